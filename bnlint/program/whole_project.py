"""What the files of a project say together, whichever way its programs run.

These facts are weak: nobody followed a program to them. They answer questions where following
lost the thread, and where one answer of all files decides: what no file mentions, no program does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bnlint.findings import Finding, Location
from bnlint.program.events import Program


@dataclass(frozen=True)
class WrittenBatchNorm:
    """One call in the project's code that builds a batch norm of a library.

    Attributes:
      location: of the call (of a convolution, where batch norm is its normalizer_fn).
      api: "slim" or "tf.layers".
      has_flag: a training flag is passed, or may be (`**kwargs`, normalizer_params, an arg_scope
        over batch_norm somewhere in the project).
      values: what the flag may be: True, False, None for anything that is not known; the
        library's default when it has no flag.
      flag: where its one value True was written; None if there are others.
      collects_updates: its updates are put into a collection that something must run.
    """

    location: Location
    api: str
    has_flag: bool
    values: frozenset[bool | None]
    flag: Location | None
    collects_updates: bool


@dataclass(frozen=True)
class WrittenTrainOp:
    """A call of `minimize` or `apply_gradients`.

    Attributes:
      location: of the call.
      batch_norms: those in its file and in what that imports, in functions that are mentioned; if
        there are none, those of the files that are imported together with it.
      trains_some: a var_list is passed.
    """

    location: Location
    batch_norms: tuple[WrittenBatchNorm, ...]
    trains_some: bool


@dataclass(frozen=True)
class WrittenEvaluation:
    """A session run in code that says in its names that it evaluates, predicts or samples.

    Attributes:
      location: of the run.
      name: what says so.
      samples: the name is one of sampling or visualization only.
      batch_norms: see WrittenTrainOp.
    """

    location: Location
    name: str
    samples: bool
    batch_norms: tuple[WrittenBatchNorm, ...]


# A train op of the same file, or a batch norm, with one of these is no second opinion's business.
_UPDATES = (
    "BN101",
    "BN102",
    "BN103",
    "BN104",
    "BN105",
    "BN106",
    "BN107",
    "BN203",
    "BN207",
    "BN209",
)
_MODES = (
    "BN108", "BN201", "BN202", "BN204", "BN205", "BN206", "BN207", "BN208", "BN209", "BN210",
)  # fmt: skip


@dataclass
class Followed:
    """What following the programs of the project decided, one way or the other.

    Attributes:
      cleared: train ops whose loss is known, and that train no batch norm whose updates are lost.
      trained: batch norms that a train op was seen to train.
      flagged: batch norms that were seen with a training flag that somebody passed.
      switched: batch norms that were seen with another training flag than a constant True.
      evaluated: batch norms of a network that was seen to be evaluated.
      files: (code, path) of every finding and the places that it names.
    """

    cleared: set[Location] = field(default_factory=set)
    trained: set[Location] = field(default_factory=set)
    flagged: set[Location] = field(default_factory=set)
    switched: set[Location] = field(default_factory=set)
    evaluated: set[Location] = field(default_factory=set)
    files: set[tuple[str, str]] = field(default_factory=set)

    def add(self, program: Program) -> None:
        """A program that was followed."""
        for op in program.train_ops:
            self.trained.update(norm.location for norm in op.batch_norms)
            if op.batch_norms or not op.loss_opaque:
                self.cleared.add(op.location)
        for norm in program.batch_norms:
            if norm.training.explicit:
                self.flagged.add(norm.location)
            if not norm.training.is_true:
                self.switched.add(norm.location)
        for _, norm in program.evaluated():
            self.evaluated.add(norm.location)

    def reported(self, findings: Iterable[Finding]) -> None:
        """What the rules said about these programs."""
        for finding in findings:
            places = [finding.location, *(item.location for item in finding.related)]
            self.files.update((finding.code, place.path) for place in places)

    def updates_reported(self, place: Location) -> bool:
        """Something was said about updates in this file."""
        return any((code, place.path) in self.files for code in _UPDATES)

    def mode_reported(self, place: Location) -> bool:
        """Something was said about modes in this file."""
        return any((code, place.path) in self.files for code in _MODES)


@dataclass
class WholeProject:
    """The weak facts of the files of one linked project.

    Attributes:
      batch_norms, train_ops, evaluations: in the order of the files.
      update_reads: by path of a file, where the files that may be imported into one program with
        it read tf.GraphKeys.UPDATE_OPS; None when they could run updates in other ways (slim's
        create_train_op, a layer's `updates`, the collection's name in a variable).
      overridden_defaults: of training parameters that some call replaces by something else than
        True.
      is_eager: some code runs eagerly (GradientTape, enable_eager_execution).
      followed: what is known better.
    """

    batch_norms: list[WrittenBatchNorm] = field(default_factory=list)
    train_ops: list[WrittenTrainOp] = field(default_factory=list)
    evaluations: list[WrittenEvaluation] = field(default_factory=list)
    update_reads: dict[str, frozenset[Location] | None] = field(default_factory=dict)
    overridden_defaults: set[Location] = field(default_factory=set)
    is_eager: bool = False
    followed: Followed = field(default_factory=Followed)

    @property
    def is_adversarial(self) -> bool:
        """Several train ops each train a part: a GAN, whose samples may be normalized so."""
        return sum(op.trains_some for op in self.train_ops) > 1

    def may_run_updates(self, path: str, known: Iterable[Location] = ()) -> bool:
        """Some program with the file at `path` may run the updates of a collection, besides by
        the `known` reads of UPDATE_OPS."""
        reads = self.update_reads.get(path)
        return self.is_eager or reads is None or not reads <= set(known)

    def never_updated(self) -> Iterator[tuple[WrittenTrainOp, WrittenBatchNorm]]:
        """Train ops of batch norms whose collected updates nothing in the project can run."""
        for op in self.train_ops:
            place = op.location
            if self.may_run_updates(place.path) or place in self.followed.cleared:
                continue
            if self.followed.updates_reported(place):
                continue
            lost = (norm for norm in op.batch_norms if _loses_updates(norm))
            norm = next(lost, None)
            if norm is not None and not self.followed.updates_reported(norm.location):
                yield op, norm

    def trained_on_inference_default(self) -> Iterator[tuple[WrittenTrainOp, WrittenBatchNorm]]:
        """tf.layers batch norms that are trained, and that no code gives a training flag."""
        known = self.followed.trained | self.followed.flagged
        seen: set[WrittenBatchNorm] = set()
        for op in self.train_ops:
            for norm in op.batch_norms:
                if norm.api != "tf.layers" or norm.has_flag or norm in seen:
                    continue
                seen.add(norm)
                if norm.location in known or self.followed.updates_reported(norm.location):
                    continue
                yield op, norm

    def never_in_inference_mode(
        self, has_flag: bool
    ) -> Iterator[tuple[WrittenEvaluation, WrittenBatchNorm]]:
        """Batch norms of evaluated networks that are in training mode wherever they are built.

        Args:
          has_flag: True for those that are given True everywhere, False for slim's default.
        """
        seen: set[WrittenBatchNorm] = set()
        for evaluation in sorted(self.evaluations, key=lambda item: item.samples):
            for norm in evaluation.batch_norms:
                if norm.values != {True} or norm.has_flag is not has_flag or norm in seen:
                    continue
                seen.add(norm)
                if not self._mode_is_known(norm, evaluation):
                    yield evaluation, norm

    def _mode_is_known(self, norm: WrittenBatchNorm, evaluation: WrittenEvaluation) -> bool:
        known = self.followed
        if norm.location in known.evaluated | known.switched:
            return True
        if norm.location in known.flagged and not norm.has_flag:
            return True
        return any(
            known.mode_reported(place)
            for place in (norm.location, norm.flag, evaluation.location)
            if place is not None
        )


def _loses_updates(norm: WrittenBatchNorm) -> bool:
    return norm.collects_updates and norm.values != {False}
