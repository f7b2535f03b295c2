"""How much of a program is followed."""

from __future__ import annotations

# Statements and calls per program. Real training scripts take a few thousand; of 60 real packages
# the largest program with a finding took 29,000. Where anything of interest happened at all, the
# first call of TensorFlow came within 3,500 steps, mostly 500, and the first event within 9,400.
# Code that is longer without builds configurations, or belongs to another framework.
MAX_STEPS = 60_000
MAX_STEPS_WITHOUT_TENSORFLOW = 5_000
MAX_STEPS_WITHOUT_EVENTS = 12_000
MAX_IMPORT_STEPS = 3_000  # in a module's top level; from there on its calls are not followed
MAX_DEPTH = 60  # nested project calls
MAX_UNROLL = 8  # items of a literal list that a loop is followed through one by one


class BudgetExceeded(Exception):
    """The program is larger than the interpreter follows."""
