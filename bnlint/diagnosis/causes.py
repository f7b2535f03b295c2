"""The causes of "all test images get the same class", and which of them the evidence supports.

A cause is one mechanism: several rules find it, in code or in what training left behind. Symptoms
(the statistics are still initial, the predictions are collapsed) confirm causes and exclude others.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bnlint.diagnosis.evidence import CODE, MODEL, PREDICTIONS, RUN
from bnlint.findings import Confidence

if TYPE_CHECKING:
    from bnlint.diagnosis.evidence import Evidence
    from bnlint.findings import Finding
    from bnlint.runtime.predictions.collapse import PredictionReport
    from bnlint.runtime.predictions.mode_gap import GapReport


@dataclass(frozen=True)
class Cause:
    """One mechanism.

    Attributes:
      key, title: its name for tools and for people.
      codes: rules that find it.
      check: the one check that decides it.
      repair: in general; a finding's own repair is better.
    """

    key: str
    title: str
    codes: tuple[str, ...]
    check: str
    repair: str


UPDATES = Cause(
    "updates-never-run",
    "the moving mean and variance are never updated in training",
    ("BN101", "BN102", "BN103", "BN104", "BN105", "BN106", "BN107"),
    "Print one moving mean before and after a training step: it must change.",
    "Run the UPDATE_OPS with the train op: `with tf.control_dependencies("
    "tf.get_collection(tf.GraphKeys.UPDATE_OPS)): train_op = optimizer.minimize(loss)`.",
)
TRAINS_IN_INFERENCE = Cause(
    "training-in-inference-mode",
    "the network trains in inference mode: batch norm neither normalizes nor learns statistics",
    ("BN203", "BN204", "BN209"),
    "Print one moving mean before and after a training step, and the flag that the step is given.",
    "Give training True to every batch norm that trains: `is_training=True`, `model(x, "
    "training=True)`.",
)
EVALUATES_IN_TRAINING = Cause(
    "evaluation-in-training-mode",
    "the evaluation runs in training mode: each image is normalized by the batch it is in",
    ("BN201", "BN202", "BN206", "BN207", "BN208"),
    "Predict one image alone and in a batch of others: in inference mode its logits are the same.",
    "Give is_training=False to every batch norm of the evaluation, also through arg scopes.",
)
FLAG_NOT_FED = Cause(
    "flag-not-fed",
    "the training flag is a placeholder that one of training and evaluation does not feed",
    ("BN205",),
    "Print the flag in the same `session.run` that evaluates.",
    "Feed the flag in every run: `feed_dict={is_training: False}` when evaluating.",
)
UPDATES_IN_EVALUATION = Cause(
    "updates-in-evaluation",
    "the evaluation runs the updates, so that test images change the model",
    ("BN108",),
    "Print one moving mean before and after evaluating: it must not change.",
    "Evaluate without the UPDATE_OPS, and in inference mode.",
)
OWN_COPY = Cause(
    "evaluation-has-own-variables",
    "the evaluated network has batch norms of its own, which were never trained",
    ("BN210",),
    "Print `tf.global_variables()`: each batch norm must be there once.",
    "Build the evaluation with reuse: the same scope and `reuse=True` (or tf.AUTO_REUSE).",
)
NOT_SAVED = Cause(
    "statistics-not-saved",
    "the checkpoint lacks the moving mean and variance",
    ("BN301",),
    "List the checkpoint's variables (`tf.train.list_variables`) and look for moving_mean.",
    "Save all variables: `tf.train.Saver()` or `tf.train.Saver(tf.global_variables())`.",
)
NOT_RESTORED = Cause(
    "statistics-not-restored",
    "the moving mean and variance are in the checkpoint, but the evaluation does not restore them",
    ("BN302",),
    "After restoring, print one moving mean and compare it with the checkpoint's.",
    "Restore all variables, and initialize none of them after that.",
)
WRONG_DECAY = Cause(
    "wrong-decay",
    "the moving mean and variance do not fit the data: the decay is wrong for the number of steps",
    ("BN303", "BN503", "BN705"),
    "Measure the statistics on training images: `bnlint inspect MODEL --data images.npz`.",
    "Use a decay (Keras: momentum) of 0.9 to 0.99, or train for more steps.",
)
FINE_TUNING = Cause(
    "fine-tuning",
    "a pretrained network's batch norms train when they should not, or the other way round",
    ("BN701", "BN702"),
    "Print the batch norms' `layer.trainable` and the flag that they are called with, in training.",
    "Freeze batch norm for fine-tuning: `base.trainable = False` before `compile`, and "
    "`base(x, training=False)`.",
)
SHARED = Cause(
    "shared-batch-norm",
    "one batch norm serves two distributions, so that its statistics fit neither",
    ("BN704",),
    "Compare the batch mean of both inputs with the moving mean.",
    "Give each input a batch norm of its own.",
)
TINY_BATCHES = Cause(
    "tiny-batches",
    "training batches are too small for batch statistics",
    ("BN706",),
    "Train for a few steps with batches of 32, and evaluate again.",
    "Use larger batches, or a normalization that does not look at the batch.",
)
NOT_FINITE = Cause(
    "not-finite",
    "training diverged: statistics or scores are NaN or infinite",
    ("BN502",),
    "Look for the first step whose loss is not finite.",
    "Lower the learning rate, and clip what can become 0 before a logarithm or a division.",
)
NOT_BATCH_NORM = Cause(
    "not-batch-norm",
    "the network did not learn for a reason other than its two modes (the loss, labels or input)",
    ("BN401",),
    "Predict training images in training mode: if they are wrong, too, look at the loss first.",
    "Give the loss logits, not probabilities or their logarithm; check labels and input scaling.",
)
CAUSES = (
    UPDATES, TRAINS_IN_INFERENCE, EVALUATES_IN_TRAINING, FLAG_NOT_FED, UPDATES_IN_EVALUATION,
    OWN_COPY, NOT_SAVED, NOT_RESTORED, WRONG_DECAY, FINE_TUNING, SHARED, TINY_BATCHES, NOT_FINITE,
    NOT_BATCH_NORM,
)  # fmt: skip


class Level(enum.Enum):
    """How far the evidence goes, most first."""

    CERTAIN = "certain"
    LIKELY = "likely"
    UNLIKELY = "unlikely"
    EXCLUDED = "excluded"


@dataclass
class Verdict:
    """What the evidence says about one cause.

    Attributes:
      score: orders verdicts of the same level.
      because: why, one reason a line.
      findings: (half, finding) that name this cause, the most telling first.
    """

    cause: Cause
    level: Level = Level.UNLIKELY
    score: float = 0.0
    because: list[str] = field(default_factory=list)
    findings: list[tuple[str, Finding]] = field(default_factory=list)

    @property
    def code(self) -> str:
        """Of the rule that says it most exactly; "" where no rule reported it."""
        return self.findings[0][1].code if self.findings else ""


@dataclass(frozen=True)
class Symptoms:
    """What can be seen of the mistake, whatever its cause. None: there was nothing to see it in.

    Attributes:
      initial: statistics are still at their initial 0 and 1.
      stored: the model holds moving statistics.
      bad: inference-mode predictions are collapsed, or no better than guessing.
      gap: they are much worse than in training mode.
    """

    initial: bool | None = None
    stored: bool | None = None
    bad: bool | None = None
    gap: bool | None = None


_CONFIDENCE = {Confidence.HIGH: 3.0, Confidence.MEDIUM: 2.0, Confidence.LOW: 1.0}
_ORDER = {CODE: 0, RUN: 1, MODEL: 2, PREDICTIONS: 3}
_ABOUT_STATISTICS = (UPDATES, NOT_SAVED, NOT_RESTORED, WRONG_DECAY)
_LEVELS = list(Level)
_SMALL_GAP = 0.05
_STANDARD_ERRORS = 3.3  # one-sided, 1 in 2,000
_FAST_DECAY = 0.5


def symptoms(evidence: Evidence) -> Symptoms:
    """See Symptoms."""
    codes = evidence.codes
    with_norms = [report for _, report in evidence.models if report.batch_norms]
    gaps = [_gap(one.gap) for one in evidence.results if one.gap is not None]
    return Symptoms(
        initial="BN501" in codes if with_norms or "BN501" in codes else None,
        stored="BN301" not in codes if with_norms or "BN301" in codes else None,
        bad=any(_is_bad(evidence)) if evidence.results else None,
        gap=True if True in gaps else None if None in gaps else False if gaps else None,
    )


def _gap(report: GapReport) -> bool | None:
    """Is inference mode worse than training mode? None: a little, or that is not clear.

    Besides the test of BN602, which promises few false alarms for a margin of 10 points: at least 5
    points, and a sign test of the rows that only one mode has right, of which at most all rows
    that the modes disagree on are some.
    """
    if report.gap:
        return True
    if report.train_accuracy is None or report.eval_accuracy is None:
        return None if report.disagreement > _SMALL_GAP else False
    lost = report.train_accuracy - report.eval_accuracy
    if lost < _SMALL_GAP:
        return False
    errors = lost * report.rows / max(1.0, report.disagreement * report.rows) ** 0.5
    return True if errors >= _STANDARD_ERRORS else None


def _is_bad(evidence: Evidence) -> list[bool]:
    return [
        one.predictions.collapsed or bool(one.predictions.note) or _is_guessing(one.predictions)
        for one in evidence.results
    ]


def _is_guessing(report: PredictionReport) -> bool:
    """No better than always guessing the most common label, by three standard errors."""
    rows = report.rows
    if report.accuracy is None or not rows:
        return False
    best = max(row.labeled for row in report.classes) / rows
    if best > 0.9:
        return False  # nearly everybody is right there
    return report.accuracy <= best + 3 * (best * (1 - best) / rows) ** 0.5


def rank(evidence: Evidence) -> list[Verdict]:
    """Every cause with a level, most likely first."""
    seen = symptoms(evidence)
    verdicts = {cause.key: Verdict(cause) for cause in CAUSES}
    for verdict in verdicts.values():
        _weigh_findings(verdict, evidence)
    if not any(one.score >= 2 for one in verdicts.values()):
        _guess(verdicts, seen, evidence)
    for verdict in verdicts.values():
        _weigh_symptoms(verdict, seen)
        _settle(verdict)
    return sorted(verdicts.values(), key=lambda one: (_LEVELS.index(one.level), -one.score))


def _weigh_findings(verdict: Verdict, evidence: Evidence) -> None:
    found = [one for one in evidence.findings if one[1].code in verdict.cause.codes]
    found.sort(key=lambda one: (-_CONFIDENCE[one[1].confidence], _ORDER[one[0]]))
    verdict.findings = found
    if not found:
        return
    halves = list(dict.fromkeys(half for half, _ in found))
    verdict.score = _CONFIDENCE[found[0][1].confidence] + 0.5 * (len(halves) - 1)
    for half in halves:
        finding = next(one for where, one in found if where == half)
        verdict.because.append(
            f"{_SAYS[half]} {finding.code} ({finding.confidence.value} confidence)"
        )


_SAYS = {CODE: "the code shows", MODEL: "the model shows", RUN: "the run showed",
         PREDICTIONS: "the predictions show"}  # fmt: skip


def _guess(verdicts: dict[str, Verdict], seen: Symptoms, evidence: Evidence) -> None:
    """No rule names a cause: what do the symptoms point at?"""

    def suspect(cause: Cause, score: float, why: str) -> None:
        verdict = verdicts[cause.key]
        verdict.score = max(verdict.score, score)
        verdict.because.append(why)

    norms = [norm for _, report in evidence.models for norm in report.batch_norms]
    modes = {norm.mode for norm in norms}
    if _nan(evidence):
        suspect(NOT_FINITE, 3, "scores are NaN")
    if seen.initial:
        why = "the moving statistics still have their initial values 0 and 1"
        keras = norms and all(norm.kind == "keras" for norm in norms)
        in_inference = modes == {"infer"} or keras
        suspect(TRAINS_IN_INFERENCE if in_inference else UPDATES, 2.5, why)
        suspect(UPDATES if in_inference else TRAINS_IN_INFERENCE, 1.5, why)
    elif seen.gap:
        why = "the same images are right in training mode and wrong in inference mode"
        moved = " though the stored statistics have moved" if seen.initial is False else ""
        suspect(NOT_RESTORED if moved else UPDATES, 2.2, why + moved)
        fast = [norm.decay for norm in norms if norm.decay is not None and norm.decay < _FAST_DECAY]
        kept = f"; the decay {fast[0]:g} keeps little more than the last batch" if fast else ""
        suspect(WRONG_DECAY, 2.4 if fast else 2.0, why + kept)
    elif seen.bad and seen.gap is False:
        suspect(NOT_BATCH_NORM, 2.5, "predictions are as wrong in training mode")
    elif seen.bad:
        why = "predictions are wrong"
        if any(norm.default is True for norm in norms):
            suspect(FLAG_NOT_FED, 2.3, f"{why}, and the flag is True where nothing feeds it")
        if modes == {"train"}:
            suspect(EVALUATES_IN_TRAINING, 2.1, f"{why}, and the graph only has training mode")
        if seen.stored:
            suspect(NOT_RESTORED, 2.0, why)


def _nan(evidence: Evidence) -> bool:
    return any(one.predictions.nan_rows for one in evidence.results)


def _weigh_symptoms(verdict: Verdict, seen: Symptoms) -> None:
    """Symptoms confirm what something else points at; alone they only exclude."""
    pointed_at = verdict.score > 0
    for confirms, why in _confirmed(verdict.cause, seen):
        if pointed_at or not confirms:
            verdict.score += 0.5 if confirms else -2
            verdict.because.append(why)


def _confirmed(cause: Cause, seen: Symptoms) -> list[tuple[bool, str]]:
    """(for or against, why)."""
    found = []
    if cause in (UPDATES, TRAINS_IN_INFERENCE) and seen.initial is not None:
        state = "still have their initial values" if seen.initial else "have moved from 0 and 1"
        found.append((seen.initial, f"the stored moving statistics {state}"))
    if cause is NOT_SAVED and seen.stored:
        found.append((False, "the model holds its moving statistics"))
    if cause in _ABOUT_STATISTICS and seen.gap is not None and not (seen.bad and not seen.gap):
        text = "is much worse than" if seen.gap else "agrees with"
        found.append((seen.gap, f"inference mode {text} training mode on the same images"))
    elif cause in _ABOUT_STATISTICS and seen.gap is False:
        found.append((False, "the same images are as wrong in training mode"))
    if cause is NOT_BATCH_NORM and seen.gap:
        found.append((False, "the same images are right in training mode"))
    return found


def _settle(verdict: Verdict) -> None:
    against = verdict.score < 0
    confirmed = bool(verdict.findings) and verdict.score >= 3
    if confirmed:
        verdict.level = Level.CERTAIN
    elif verdict.score >= 2:
        verdict.level = Level.LIKELY
    elif against:
        verdict.level = Level.EXCLUDED
    else:
        verdict.level = Level.UNLIKELY
