"""How much is followed: steps per program and per group of files, sizes of values.

A step is a statement or a call. Work that grows with the size of a value counts as a step per
64 parts. All limits count work, never time, so that every machine finds the same.
"""

from __future__ import annotations

from bnlint.analyzer.interpreter.library import Library

# Real training scripts take a few thousand steps; of 60 real packages the largest program with a
# finding took 29,000. Where anything of interest happened at all, the first call of TensorFlow
# came within 3,500 steps, mostly 500, and the first event within 9,400. A program that took more
# is followed thriftily: calls that cannot lead to a batch norm or to what trains, evaluates or
# saves one are skipped. After twice as many it is left: it belongs to another framework.
MAX_STEPS = 60_000
THRIFTY_STEPS = 40_000
STEPS_WITHOUT_TENSORFLOW = 5_000
STEPS_WITHOUT_EVENTS = 12_000
IMPORT_STEPS = 3_000  # in a module's top level; from there on its calls are not followed
# Of all programs of a group; tf-models-official, the largest tried, takes 1,000 per file.
GROUP_STEPS = 400_000
GROUP_STEPS_PER_FILE = 3_000

MAX_DEPTH = 60  # nested project calls
MAX_UNROLL = 8  # items of a literal list that a loop is followed through one by one
MAX_TEXT = 1_000  # letters of a string that is computed with
MAX_BITS = 256  # of a whole number

_CHECK_EVERY = 500


class BudgetExceeded(Exception):
    """The program is larger than the interpreter follows; the argument says in what."""


class Budget:
    """The steps of one program, or of one module's top level.

    Attributes:
      steps: taken so far.
      is_thrifty: calls that cannot lead to anything of interest are skipped.
    """

    def __init__(self, library: Library) -> None:
        self.steps = 0
        self.is_thrifty = False
        self._library = library
        self._next_check = STEPS_WITHOUT_TENSORFLOW

    def spend(self, steps: int = 1) -> None:
        """Counts steps; BudgetExceeded when there were too many."""
        self.steps += steps
        if self.steps >= self._next_check:
            self._next_check = self.steps + _CHECK_EVERY
            self._check()

    def _check(self) -> None:
        if self.steps > MAX_STEPS:
            raise BudgetExceeded(f"it takes more than {MAX_STEPS:,} steps")
        self.is_thrifty = self.steps >= THRIFTY_STEPS
        if not self._library.was_called():
            self._expect("call of TensorFlow", STEPS_WITHOUT_TENSORFLOW)
        if not self._library.has_events():
            self._expect("batch norm, training or evaluation", STEPS_WITHOUT_EVENTS)

    def _expect(self, what: str, steps: int) -> None:
        if self.steps >= 2 * steps:
            raise BudgetExceeded(f"no {what} within {2 * steps:,} steps")
        self.is_thrifty |= self.steps >= steps


class ImportBudget(Budget):
    """The steps of a module's top level, whoever imports it: nothing need happen there."""

    def _check(self) -> None:
        if self.steps > MAX_STEPS:
            raise BudgetExceeded(f"importing it takes more than {MAX_STEPS:,} steps")
        self.is_thrifty = self.steps >= IMPORT_STEPS
