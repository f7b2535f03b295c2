"""The model that rules question: what one program does, in TensorFlow's words.

A `Program` is what the interpreter saw when it followed one entry point (a script, a
train or eval function, an estimator's model_fn in one mode) through every file of the
project. Rules read it; they never see syntax.

Every `time` is a counter over the whole program: an event with a smaller time happened first.
Anything the facts do not decide is `Answer.UNKNOWN` or an `unknown` flag, and rules stay
silent or lower their confidence on it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bnlint.findings import Confidence, Location
from bnlint.program.words import (
    TRAINING_PARAMETER_NAMES,
    names_evaluation,
    names_training_flag,
)

Path = Mapping[str, bool]  # undecided condition -> how it was assumed to be


def together(first: Path, second: Path) -> bool:
    """One run of the program can take both paths."""
    return all(second.get(condition, value) is value for condition, value in first.items())


UPDATE_OPS = "update_ops"  # tf.GraphKeys.UPDATE_OPS
LEARNING_PHASE_KEY = "keras_learning_phase"  # in SessionRun.feeds: the placeholder of Keras


class Answer(enum.Enum):
    """Three-valued truth."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    @staticmethod
    def of(value: bool | None) -> Answer:
        """YES for True, NO for False, UNKNOWN for None."""
        return Answer.UNKNOWN if value is None else Answer.YES if value else Answer.NO


class FlagKind(enum.Enum):
    """What an `is_training`/`training` argument is."""

    TRUE = "True"
    FALSE = "False"
    PLACEHOLDER = "placeholder"  # must be fed
    PLACEHOLDER_WITH_DEFAULT = "placeholder_with_default"
    TENSOR = "tensor"  # some other boolean tensor or tf.Variable
    LEARNING_PHASE = "learning phase"  # Keras decides (fit: True; evaluate, predict: False)
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Flag:
    """The training flag that reached a batch norm or a Keras call.

    Attributes:
      kind: see FlagKind.
      explicit: False when nobody passed it and the API's own default applies
        (slim: True; tf.layers: False; Keras: learning phase).
      location: where the value was written (the literal, the placeholder call), if known.
      key: identity of the placeholder, tensor or Python variable the flag came from, to
        compare with feeds and rebindings; "" if it has none.
      default: for PLACEHOLDER_WITH_DEFAULT, the default if it is a known bool.
      name: of a placeholder: the variable it was assigned to, or its tensor's name; "" if unknown.
      via: how an explicit flag arrived: "argument", "arg_scope", "normalizer_params".
      left_out: of a constant that is a parameter's default: the call that did not pass it.
    """

    kind: FlagKind
    explicit: bool = True
    location: Location | None = None
    key: str = ""
    default: bool | None = None
    via: str = "argument"
    name: str = ""
    left_out: Location | None = None

    @property
    def is_true(self) -> bool:
        """Statically True: batch statistics are always used."""
        return self.kind is FlagKind.TRUE

    @property
    def is_false(self) -> bool:
        """Statically False: moving statistics are always used, nothing is updated."""
        return self.kind is FlagKind.FALSE

    @property
    def negated(self) -> Flag:
        """The flag that is True where this one is False: no feed of one is a feed of the other."""
        kinds = {FlagKind.TRUE: FlagKind.FALSE, FlagKind.FALSE: FlagKind.TRUE}
        kind = kinds.get(self.kind, FlagKind.TENSOR if self.is_tensor else FlagKind.UNKNOWN)
        return Flag(kind, True, self.location)

    @property
    def is_tensor(self) -> bool:
        """Decided when the graph runs."""
        return self.kind in (
            FlagKind.PLACEHOLDER,
            FlagKind.PLACEHOLDER_WITH_DEFAULT,
            FlagKind.TENSOR,
        )


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function on the call chain.

    Attributes:
      name: as written.
      used: the body reads it anywhere (also in nested functions).
      value: what was passed: the flag if it is a bool, placeholder etc., else kind UNKNOWN.
      default: the declared default value if it is a bool.
      passed: the caller passed it (or an arg_scope did).
    """

    name: str
    used: bool
    value: Flag
    default: bool | None = None
    passed: bool = True


@dataclass(frozen=True)
class Frame:
    """One function call on the way from the entry point to an event.

    Attributes:
      function: qualified name, e.g. "nets.resnet_v1" or "Model.build".
      location: of the `def`.
      call: where it was called; None for the entry itself.
      parameters: those named like training flags, and those that hold a placeholder.
      arguments: the names of all parameters.
    """

    function: str
    location: Location
    call: Location | None
    parameters: tuple[Parameter, ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def misplaced_flag(self) -> Parameter | None:
        """A training placeholder that was passed as another parameter, while the function's own
        training parameter stays on its default."""
        own = self.training_parameter
        if own is None or own.passed:
            return None
        others = (parameter for parameter in self.parameters if parameter is not own)
        return next((item for item in others if names_training_flag(item.value.name)), None)

    @property
    def training_parameter(self) -> Parameter | None:
        """The first parameter named is_training, training, is_train, phase_train, ..."""
        for parameter in self.parameters:
            if parameter.name in TRAINING_PARAMETER_NAMES:
                return parameter
        return None


def in_evaluation(frames: Iterable[Frame]) -> bool:
    """A function of the call chain says in its name that it evaluates or predicts."""
    return any(names_evaluation(frame.function.rsplit(".", 1)[-1]) for frame in frames)


@dataclass(frozen=True)
class Activation:
    """The output of a Keras layer.

    Attributes:
      layer: number of the layer; 0 if it is not known.
      kind: its class in keras.layers: "Dense"; "" if it is not known.
      rank: number of axes, batch included; None if it is not known.
    """

    layer: int
    kind: str
    rank: int | None


NO_ACTIVATION = Activation(0, "", None)  # nothing is known


@dataclass(eq=False)
class BatchNorm:
    """One batch norm built into a graph.

    Attributes:
      location: of the call that builds it (the `conv2d` call if it is that conv's normalizer_fn).
      definition: where `batch_norm` itself is named, if elsewhere (the arg_scope, normalizer_fn=).
      api: "slim" (tf.contrib.slim, tf_slim, tf.contrib.layers, bnlint.slim), "tf.layers"
        (functions and graph-mode tf.layers classes), "keras" (Keras layers in graph mode),
        "custom" (tf.nn.moments and what follows by hand).
      training: its flag.
      updates: "collection" (ops added to `collection`), "in-place" (updates_collections=None),
        "none" (flag statically False, or written by hand without moving averages: no updates
        exist), "layer" (Keras: layer.updates), "op" (written by hand: ops in no collection, which
        something must run), "unknown".
      collection: the collection's name; "update_ops" is tf.GraphKeys.UPDATE_OPS.
      scope: full variable scope of its variables ("resnet/block1/BatchNorm"); None if unknown.
      reuses: shares variables with the batch norm built earlier; None if it has its own.
      reuse_unknown: it may share variables with an earlier one.
      trainable: False when gamma/beta are frozen explicitly; None if unknown.
      decay: its decay/momentum if a known number (or the API's default), else None.
      zero_debias: its moving mean is debiased (slim's zero_debias_moving_mean).
      statistics_trainable: variables_collections lists its moving mean and variance among
        TRAINABLE_VARIABLES, or may do so; then savers of those variables keep them.
      selected_by: two networks were built, one with True and one with False, and this flag selects
        between their outputs (`tf.cond(flag, lambda: first, lambda: second)`): both run.
      updates_always: written by hand, its updates are made outside of the switch between batch and
        moving statistics: they run in inference mode too.
      takes_mode: the call at `location` takes the flag itself (a `conv2d` with a normalizer_fn does
        not).
      frames: call chain from the entry point, outermost first.
      graph: number of the tf.Graph it is in.
      conditional: built under a branch or loop that may not run.
      path: the undecided conditions that were assumed on the way, by identity.
      layer: number of the Keras layer; 0 for functions.
      input: what a Keras layer is applied to.
      time: see module docstring.
    """

    location: Location
    definition: Location | None
    api: str
    training: Flag
    updates: str
    collection: str | None
    scope: str | None
    reuses: BatchNorm | None
    reuse_unknown: bool
    trainable: bool | None
    decay: float | None
    frames: tuple[Frame, ...]
    graph: int
    conditional: bool
    time: int
    zero_debias: bool = False
    statistics_trainable: bool = False
    path: Path = field(default_factory=dict, repr=False)
    selected_by: Flag | None = None
    updates_always: bool = False
    takes_mode: bool = True
    layer: int = 0
    input: Activation = NO_ACTIVATION

    @property
    def switch(self) -> Flag:
        """The flag that says whether its network's output is that of training mode."""
        return self.selected_by or self.training

    @property
    def built(self) -> BatchNorm:
        """The batch norm that made the variables: itself, unless it shares them."""
        return self if self.reuses is None else self.reuses.built

    @property
    def has_update_ops(self) -> bool:
        """It certainly has ops that something must run, in a collection or in a variable."""
        return self.updates in ("collection", "op")

    @property
    def only_batch_statistics(self) -> bool:
        """Written by hand without moving averages: there is nothing to update, save or restore."""
        return self.api == "custom" and self.updates == "none" and not self.training.is_false


@dataclass(eq=False)
class CollectionRead:
    """A read of an op collection: `tf.get_collection(tf.GraphKeys.UPDATE_OPS, scope)`.

    Attributes:
      collection: its name ("update_ops").
      scope: the scope filter; "" when there is none, None when it is not known.
      batch_norms: whose update ops this read returned.
      missed: batch norms of the same graph and collection that it did not return, whether
        built later or outside the scope filter.
      conditional: see BatchNorm.
    """

    location: Location
    collection: str
    scope: str | None
    batch_norms: list[BatchNorm]
    missed: list[BatchNorm]
    graph: int
    conditional: bool
    time: int


@dataclass(eq=False)
class ControlBlock:
    """A `with tf.control_dependencies(inputs):` block (or `graph.control_dependencies`).

    Attributes:
      location, end_line: of the with statement.
      reads: the collection reads whose ops are among its inputs.
      batch_norms: whose updates are among its inputs.
      unknown: its inputs hold something the facts do not decide.
      holds: train ops created inside the block.
      empty: no TensorFlow op at all was created inside.
    """

    location: Location
    end_line: int
    reads: list[CollectionRead]
    batch_norms: list[BatchNorm]
    unknown: bool
    holds: list[TrainOp]
    empty: bool
    time: int


@dataclass(eq=False)
class TrainOp:
    """An op that applies gradients.

    Attributes:
      location: of the call that made it.
      api: "minimize", "apply_gradients", "create_train_op", "optimize_loss", "assign" (by the
        project's own optimizer), "train_op" (other).
      statement: start of the statement that made it (for fixes); None if not a simple statement.
      tf_name: how this file writes TF1-style symbols ("tf", "tf.compat.v1", "tf1"), for fixes;
        "" if unknown.
      batch_norms: those its loss depends on (their outputs are on the way to the loss).
      loss_unknown: the loss's history is not fully known (batch norms may be missing above).
      loss_opaque: the loss comes out of code that is not followed.
      attaches_updates: it runs UPDATE_OPS without being told to, as create_train_op does.
      update_ops_argument: of functions with attaches_updates: "default" (not passed: everything in
        UPDATE_OPS is attached), "empty" (update_ops=[]), "given", "unknown".
      control_blocks: enclosing control_dependencies blocks, outermost first.
      reads: collection reads whose ops the train op, or an op grouped with it and run, depends on.
      trainable_scope: var_list's scope filter if a known one, else None.
      trainable_words: of which one is in each of var_list's names; none if that is not known.
      trains_some: a var_list was passed, so some variables may be left out on purpose.
      graph, frames, conditional, path, time: see BatchNorm.
      used: it is fetched by a Session.run, returned to estimator/learning.train, or grouped.
      escapes: it went somewhere the facts do not follow (returned to an unknown caller of the
        entry, passed to an unknown function, stored); then others may attach the updates.
    """

    location: Location
    api: str
    statement: Location | None
    tf_name: str
    batch_norms: list[BatchNorm]
    loss_unknown: bool
    attaches_updates: bool
    update_ops_argument: str
    control_blocks: list[ControlBlock]
    reads: list[CollectionRead]
    trainable_scope: str | None
    trains_some: bool
    graph: int
    frames: tuple[Frame, ...]
    conditional: bool
    time: int
    used: bool
    escapes: bool
    loss_opaque: bool = False
    trainable_words: frozenset[str] = frozenset()
    path: Path = field(default_factory=dict, repr=False)
    _runs: dict[int, Answer] = field(default_factory=dict, repr=False)
    _unless: dict[int, str] = field(default_factory=dict, repr=False)

    def lost_unless(self, batch_norm: BatchNorm) -> str:
        """The setting that, at its default, leaves out the updates of `batch_norm`; "" for none.

        `update_ops = get_collection(...) if args.move_averages else None`.
        """
        return self._unless.get(id(batch_norm), "")

    def runs_updates_of(self, batch_norm: BatchNorm) -> Answer:
        """Does running this train step also run `batch_norm`'s moving-average updates?

        Counts the train op's own dependencies (control_dependencies, group, create_train_op,
        updates in place) and everything fetched in the same Session.run.
        """
        return self._runs.get(id(batch_norm), Answer.UNKNOWN)


class ClueKind(enum.Enum):
    """Where a program says that a run evaluates."""

    FED_FALSE = "fed False"  # a training flag is fed False: inference is wanted, whoever reads it
    DATA = "data"  # what is fed is named test, validation or eval data
    FUNCTION = "function"  # it stands in a function named so
    RESULT = "result"  # its result is given such a name
    BRANCH = "branch"  # it stands under such a condition, or in a loop over such data
    SAMPLING = "sampling"  # a function or result named after sampling, demos, visualization


@dataclass(frozen=True)
class Clue:
    """One reason to believe that a session run wants inference mode.

    Attributes:
      kind: see ClueKind.
      text: the telling name as the user wrote it: "val_images", "evaluate".
    """

    kind: ClueKind
    text: str


@dataclass(frozen=True)
class FedSetting:
    """A setting of the user that a flag is fed: `FLAGS.is_training`.

    Attributes:
      name: its identity, as rules may print it.
      default: what it is when the user gives nothing, None if that is not known.
    """

    name: str
    default: bool | None


@dataclass(eq=False)
class SessionRun:
    """One `sess.run(fetches, feed_dict)` (also `tensor.eval()`, `op.run()`).

    Attributes:
      fetches_unknown: something fetched is not known.
      train_ops: train ops it runs (directly or through groups).
      batch_norms: those whose output the fetched tensors depend on.
      updates: batch norms whose updates it runs through update ops that are not part of a
        train op (fetched, grouped, or control dependencies of what is fetched).
      feeds: flag key -> fed value (True, False, or None for unknown). See LEARNING_PHASE_KEY.
      fed_numbers: the keys of `feeds` that are fed a number, not a bool.
      fed_by: the setting that the user gives, where a flag is fed one: its name, and what it is by
        default (None if that is not known).
      feeds_unknown: the feed_dict is not fully known.
      clues: why it may be an evaluation, strongest first; empty when nothing says so.
      frames, graph, conditional, path, time: see BatchNorm.
    """

    location: Location
    fetches_unknown: bool
    train_ops: list[TrainOp]
    batch_norms: list[BatchNorm]
    updates: list[BatchNorm]
    feeds: dict[str, bool | None]
    feeds_unknown: bool
    clues: tuple[Clue, ...]
    frames: tuple[Frame, ...]
    graph: int
    conditional: bool
    time: int
    path: Path = field(default_factory=dict, repr=False)
    fed_numbers: frozenset[str] = frozenset()
    fed_by: dict[str, FedSetting] = field(default_factory=dict)

    @property
    def evaluates(self) -> bool:
        """It trains nothing, and something says that it evaluates."""
        strong = any(clue.kind is not ClueKind.SAMPLING for clue in self.clues)
        return strong and not self.train_ops

    @property
    def networks(self) -> set[BatchNorm]:
        """The batch norms that it computes: of the fetched outputs and the train ops' losses."""
        return {*self.batch_norms, *(norm for op in self.train_ops for norm in op.batch_norms)}


@dataclass(eq=False)
class Evaluation:
    """A place that evaluates, predicts with or exports a network, by clear evidence.

    Attributes:
      kind: "estimator eval" or "estimator predict" (EstimatorSpec in that mode),
        "slim.evaluation" (evaluate_once, evaluation_loop...), "export" (SavedModel, freeze),
        "restored session" (a program that restores a checkpoint, trains nothing, and runs
        outputs), "second net" (in a program that also trains: runs a net that no train op
        trains), "trained net" (runs the very net that is trained, and something says that
        this run evaluates).
      batch_norms: of the network that is evaluated.
      run: the session run, for the three last kinds.
      confidence: that it is an evaluation, and wants inference mode.
    """

    location: Location
    kind: str
    batch_norms: list[BatchNorm]
    run: SessionRun | None
    time: int
    confidence: Confidence = Confidence.HIGH


@dataclass(eq=False)
class VariableSelection:
    """Which variables a Saver (or init_from_checkpoint and the like) handles.

    Attributes:
      kind: "all" (no var_list, or all global/model variables), "trainable"
        (tf.trainable_variables(), perhaps of a scope), "filtered-moving" (a filter that names
        moving_mean/moving_variance drops them), "trainable-plus-moving" (kept explicitly),
        "unknown".
      location: where the selection was made.
    """

    kind: str
    location: Location


@dataclass(eq=False)
class Saver:
    """A `tf.train.Saver` (also slim.assign_from_checkpoint_fn, init_from_checkpoint).

    Attributes:
      location: of its construction.
      selection: its var_list.
      saves: places that call save (or hand it to a supervisor / learning.train / scaffold).
      restores: places that call restore.
      batch_norms: of its graph when it was made (TensorFlow fixes the variables then).
      other_full_saver: another Saver of this program saves every variable.
      statement, tf_name: as in TrainOp.
      var_list_keyword: var_list was passed by keyword (for the fix); "" positional, None absent.
    """

    location: Location
    selection: VariableSelection
    saves: list[Location]
    restores: list[Location]
    batch_norms: list[BatchNorm]
    other_full_saver: bool
    tf_name: str
    var_list_keyword: str | None
    graph: int
    conditional: bool
    time: int


@dataclass(frozen=True)
class Load:
    """Variables of a graph get values from a checkpoint, weights file or imported graph.

    Attributes:
      statistics: moving statistics among them.
      scopes: those of the variables, if they were limited to some.
      keras: they are those of one Keras model.
      resumes: by a saver that was made after the train op, for all variables, and that saves them:
        what is loaded is an earlier state of the same training.
      path: see BatchNorm.
    """

    graph: int
    time: int
    statistics: bool = True
    scopes: tuple[str, ...] = ()
    keras: bool = False
    resumes: bool = False
    path: Path = field(default_factory=dict, repr=False, compare=False)

    def may_give_statistics_to(self, norm: BatchNorm) -> bool:
        """Statistics that another training has estimated."""
        if self.graph != norm.graph or not self.statistics or self.resumes:
            return False
        if self.keras and norm.api != "keras":
            return False
        return not self.scopes or norm.scope is None or norm.scope.startswith(self.scopes)


@dataclass(eq=False)
class ArgScope:
    """A `with arg_scope([...], **kwargs):` block.

    Attributes:
      targets: short names of the functions it sets ("conv2d", "dropout", "batch_norm").
      sets_training: the training flag it sets for its targets, if any.
      covers_batch_norm: batch_norm is among the targets.
      normalizer_params_training: the flag in `normalizer_params`, None when it has none or
        there are no normalizer_params.
      batch_norms: slim's that are built inside the block, or where a scope that was saved inside
        it (`as scope`, returned by a function) is entered again.
    """

    location: Location
    targets: tuple[str, ...]
    sets_training: Flag | None
    covers_batch_norm: bool
    normalizer_params_training: Flag | None
    batch_norms: list[BatchNorm]
    time: int


@dataclass(eq=False)
class Rebinding:
    """A Python variable that was used as a training flag is later set to another bool.

    Attributes:
      name: the variable as written ("is_training", "self.is_training").
      value: the new value. location: of the assignment.
      batch_norms: those that were built with the old value.
      rebuilt: a batch norm was built with the variable after this assignment.
      runs_after: session runs (of the same graph) after the assignment and before the next one.
    """

    name: str
    value: bool
    location: Location
    batch_norms: list[BatchNorm]
    rebuilt: bool
    runs_after: list[SessionRun]
    time: int


@dataclass(eq=False)
class KerasCall:
    """A Keras layer or model called as a function: `model(x, training=...)`.

    Calls that another layer's or model's `call` makes are part of that one.

    Attributes:
      training: flag passed. Not explicit: TF2 Keras runs in inference mode outside fit.
      by: "__call__", or "call" for `self.call(x)`, by which Keras learns nothing of `training`.
      in_tape: inside a `tf.GradientTape` whose gradients are applied to variables of what is
        called (a training step). differentiated: inside any tape.
      exported: it is part of a function that is exported.
      purpose: "train" (in_tape), "eval" (something says that it evaluates), "export", "unknown".
      batch_norms: what it applies, with the flags that arrive at each.
      clues: why it may be an evaluation.
      model: identity of the model; two calls of one model have the same.
      steps: how often it happens, if that is known.
    """

    location: Location
    training: Flag
    by: str
    in_tape: bool
    purpose: str
    batch_norms: list[BatchNorm]
    frames: tuple[Frame, ...]
    conditional: bool
    time: int
    model: int = 0
    clues: tuple[Clue, ...] = ()
    differentiated: bool = False
    exported: bool = False
    steps: int | None = None


@dataclass(eq=False)
class KerasRun:
    """`model.fit(...)`, `evaluate` or `predict` of a Keras model, or its export.

    Attributes:
      kind: "fit", "evaluate" (the validation of a fit, too), "predict" or "export".
      batch_norms: what it applies, with the flags that arrive at each; empty where the model has
        a step of its own, whose calls are KerasCalls.
      model: identity of the model. loaded: when it was loaded from a file, None if it was not.
      steps: of training, if their number is known. batch_size: if it is known.
    """

    location: Location
    kind: str
    batch_norms: list[BatchNorm]
    model: int
    conditional: bool
    time: int
    loaded: int | None = None
    steps: int | None = None
    batch_size: int | None = None


@dataclass(eq=False)
class KerasCompile:
    """`model.compile(...)`.

    Attributes:
      model: identity of the model. layers: of its batch norm layers.
    """

    location: Location
    model: int
    layers: frozenset[int]
    conditional: bool
    time: int


@dataclass(eq=False)
class Freeze:
    """`layer.trainable = value` of a layer or model, which Keras passes to all layers inside.

    Attributes:
      value: None if it is not known.
      model: identity of the layer or model. layers: its batch norm layers that were set.
      partial: of some of them only, which ones is not known.
    """

    location: Location
    value: bool | None
    model: int
    layers: frozenset[int]
    partial: bool
    conditional: bool
    time: int


@dataclass(eq=False)
class KerasCopy:
    """A copy of variables into a Keras model, one by one (`a.assign(b)`) or by set_weights.

    Attributes:
      model: identity of the model that is written; layers: its batch norm layers.
      source, source_layers: of the model that is read; 0 and none if that is not known.
      with_statistics: moving statistics are written, too, not only trainable variables.
      averages: old and new values are mixed, as for an EMA or a target network.
    """

    location: Location
    model: int
    source: int
    layers: frozenset[int]
    source_layers: frozenset[int]
    with_statistics: bool
    averages: bool
    conditional: bool
    time: int


@dataclass(eq=False)
class LearningPhase:
    """`K.set_learning_phase(value)`. It holds until the next one."""

    location: Location
    value: bool | None
    conditional: bool
    time: int


@dataclass(eq=False)
class LogOfTensor:
    """`tf.log(x)` (tf.math.log, keras.ops.log).

    Attributes:
      of: "logits" (output of a linear layer or matmul, no activation since), "probabilities",
        "unknown".
      layer: where x was made.
      in_loss: the result is multiplied by labels and reduced, or reaches a train op's loss.
    """

    location: Location
    of: str
    layer: Location | None
    in_loss: bool
    time: int


@dataclass(eq=False)
class TrainingLength:
    """A known number of training steps (a constant loop or number_of_steps/max_steps argument).

    Attributes: steps: the count; location: where it is set.
    """

    steps: int
    location: Location
    time: int


@dataclass(frozen=True)
class EntryPoint:
    """Where the interpreter began.

    Attributes:
      name: qualified name, or the file's path for scripts.
      kind: "script", "function" (never called from the project), "method", "model_fn".
      mode: for a model_fn, "train", "eval" or "predict"; else "".
      location: of the `def`, or line 1 of the script.
      choice: the setting that this program is for, where it chooses what is followed:
        "args.model = 'resnet'"; "" for its default.
    """

    name: str
    kind: str
    mode: str
    location: Location
    choice: str = ""


@dataclass(frozen=True)
class Gap:
    """A place where following a program lost sight of what rules look at.

    Attributes:
      what: what was called or imported, as written; "" if it is not a name.
      reason: why that was not followed, as a clause.
      given: what went in: "a train op", "the output of a batch norm"...; "" if that is not it.
    """

    location: Location
    what: str
    reason: str
    given: str = ""


@dataclass(eq=False)
class Program:
    """Everything that happened from one entry point. See the classes above.

    Attributes:
      exports: where a graph is exported or frozen: (place, graph, time) of each.
      restored: graphs that a checkpoint is restored into.
      differentiated: graphs in which gradients of variables are taken.
      loads: when variables come from a checkpoint, weights file or imported graph.
      certain_loads: when that happens whenever the program runs.
      overridden_defaults: see WholeProject.
      stops_gradients: tf.stop_gradient is used, so parts of a network may be frozen on purpose.
      assigns_variables: tf.assign, set_weights and the like: statistics may be copied.
      reads_learning_phase: it has the placeholder of Keras' learning phase, and may feed it.
      reads_layer_updates: `.updates` or `get_updates_for` of some Keras layer or model is read.
      sees_all_updates: whatever reads UPDATE_OPS was followed, and its ops went nowhere out of
        sight: values that are not known hold no updates of that collection.
      left: why it was not followed to its end, or "".
      imported_tensors: a tensor's key in feeds -> its name, of those that nothing here has built.
      placeholder_names: a placeholder's key in flags and feeds -> the names it goes by.
      gaps: where knowledge was lost; None where nobody asked.
      keras: the Kerases that the program may be for: "tf1" (sessions and graphs), "2" (tf.keras of
        TensorFlow 2 until 2.15, tf-keras), "3".
    """

    entry: EntryPoint
    batch_norms: list[BatchNorm] = field(default_factory=list)
    collection_reads: list[CollectionRead] = field(default_factory=list)
    control_blocks: list[ControlBlock] = field(default_factory=list)
    train_ops: list[TrainOp] = field(default_factory=list)
    runs: list[SessionRun] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    savers: list[Saver] = field(default_factory=list)
    arg_scopes: list[ArgScope] = field(default_factory=list)
    rebindings: list[Rebinding] = field(default_factory=list)
    keras_calls: list[KerasCall] = field(default_factory=list)
    keras_runs: list[KerasRun] = field(default_factory=list)
    learning_phases: list[LearningPhase] = field(default_factory=list)
    logs: list[LogOfTensor] = field(default_factory=list)
    training_lengths: list[TrainingLength] = field(default_factory=list)
    uses_estimator: bool = False
    exports: list[tuple[Location, int, int]] = field(default_factory=list)
    restored: set[int] = field(default_factory=set)
    differentiated: set[int] = field(default_factory=set)
    loads: list[Load] = field(default_factory=list)
    certain_loads: list[int] = field(default_factory=list)
    overridden_defaults: set[Location] = field(default_factory=set)
    stops_gradients: bool = False
    assigns_variables: bool = False
    reads_layer_updates: bool = False
    sees_all_updates: bool = False
    left: str = ""
    placeholder_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    imported_tensors: dict[str, str] = field(default_factory=dict)
    gaps: list[Gap] | None = None
    reads_learning_phase: bool = False
    keras: frozenset[str] = frozenset(["tf1", "2", "3"])
    keras_compiles: list[KerasCompile] = field(default_factory=list)
    freezes: list[Freeze] = field(default_factory=list)
    keras_copies: list[KerasCopy] = field(default_factory=list)

    def in_training_mode(self, norm: BatchNorm, run: SessionRun | None) -> bool:
        """`norm` uses batch statistics for good: its flag is True, or the run stands in a branch
        that makes it so (`if options.train:`)."""
        flag = norm.training
        branch = run.path.get(flag.key) if run is not None and flag.key else None
        if flag.is_true:
            return branch is not False
        return flag.kind is FlagKind.UNKNOWN and branch is True

    def trained(self, batch_norm: BatchNorm) -> list[TrainOp]:
        """The train ops whose loss depends on `batch_norm`'s output."""
        return [op for op in self.train_ops if batch_norm in op.batch_norms]

    def may_update_unseen(self, batch_norm: BatchNorm) -> bool:
        """A value that is not known may hold the updates of `batch_norm`."""
        library = batch_norm.api in ("slim", "tf.layers") and batch_norm.collection == UPDATE_OPS
        return not (library and self.sees_all_updates)

    def starts_pretrained(self, graph: int) -> bool:
        """Variables of `graph` are loaded before a training step (or at all if there is none)."""
        return any(load.graph == graph for load in self._loads_before_training(graph))

    def loads_statistics(self, norm: BatchNorm) -> bool:
        """Moving statistics of `norm` may be loaded before a training step."""
        loads = self._loads_before_training(norm.graph)
        return any(load.may_give_statistics_to(norm) for load in loads)

    def _loads_before_training(self, graph: int) -> Iterator[Load]:
        steps = [run for run in self.runs if run.train_ops and run.graph == graph]
        for load in self.loads:
            before = (run.time > load.time and together(run.path, load.path) for run in steps)
            if not steps or any(before):
                yield load

    def evaluated(self) -> Iterator[tuple[Evaluation, BatchNorm]]:
        """Every (evaluation, batch norm in its network) pair."""
        for evaluation in self.evaluations:
            for batch_norm in evaluation.batch_norms:
                yield evaluation, batch_norm

    @property
    def has_events(self) -> bool:
        """It builds, trains, runs, restores or hands over something that rules look at."""
        return self.uses_estimator or any(
            (
                self.batch_norms, self.train_ops, self.runs, self.savers, self.keras_calls,
                self.keras_runs, self.learning_phases, self.logs, self.loads,
            )
        )  # fmt: skip
