"""Which Keras a program is for: that of TensorFlow 1, of TensorFlow 2, or Keras 3.

They treat batch norm differently (fixtures/oracle/keras). Where neither the settings nor the code
tell, all that are possible stay, and rules say only what holds for each, or name the version.
"""

from __future__ import annotations

from collections.abc import Iterable

from bnlint.analyzer.project.entry_points import imported_modules
from bnlint.analyzer.project.modules import Module, Project
from bnlint.analyzer.syntax import nodes

TF1, KERAS2, KERAS3 = "tf1", "2", "3"
ALL = frozenset([TF1, KERAS2, KERAS3])

# Names that only one of them has, or is used with.
_GRAPHS = frozenset(
    "placeholder Session InteractiveSession ConfigProto contrib reset_default_graph set_session "
    "global_variables_initializer disable_v2_behavior disable_eager_execution nb_epoch "
    "image_dim_ordering samples_per_epoch".split()
)
_EAGER = frozenset(
    "GradientTape executing_eagerly TensorSpec AUTOTUNE run_functions_eagerly "
    "set_memory_growth image_dataset_from_directory experimental_run_v2 MirroredStrategy".split()
)
_BEFORE_KERAS3 = frozenset(
    "set_learning_phase learning_phase fit_generator predict_generator evaluate_generator "
    "get_session in_train_phase add_update predict_classes".split()
)
# Modules that only one of them has.
_MODULES = {
    "tf_keras": KERAS2,
    "tensorflow_addons": KERAS2,
    "keras.ops": KERAS3,
    "keras.src": KERAS3,
    "keras.saving": KERAS3,
    "keras.random": KERAS3,
    "keras_hub": KERAS3,
    "keras.layers.normalization": TF1,
    "keras.layers.convolutional": TF1,
    "keras.layers.core": TF1,
    "keras.layers.merge": TF1,
    "keras.layers.advanced_activations": TF1,
    "keras.layers.pooling": TF1,
    "keras.engine": TF1,
}


class KerasVersions:
    """Which Keras the programs of a project are for."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._told: dict[Module, frozenset[str]] = {}
        self._imports: dict[Module, list[Module]] = {}
        self._answers: dict[Module, frozenset[str]] = {}

    def of(self, module: Module) -> frozenset[str]:
        """Those that a program which begins in this module may be for; all of them where the code
        contradicts itself."""
        if self._project.keras:
            return frozenset([self._project.keras])
        if module not in self._answers:
            self._answers[module] = self._possible(self._reached(module))
        return self._answers[module]

    def _reached(self, module: Module) -> set[Module]:
        """The module and all that it imports."""
        found: set[Module] = set()
        todo = [module]
        while todo:
            item = todo.pop()
            if item not in found:
                found.add(item)
                if item not in self._imports:
                    self._imports[item] = list(imported_modules(self._project, item))
                    self._told[item] = frozenset(_told_by_imports(item.facts))
                todo.extend(self._imports[item])
        return found

    def _possible(self, modules: set[Module]) -> frozenset[str]:
        reads = frozenset[str]().union(*(item.facts.reads for item in modules))
        told = set().union(*(self._told[item] for item in modules))
        if reads & _GRAPHS and "GradientTape" not in reads:
            told.add(TF1)
        if len(told) == 1:
            return frozenset(told)
        left = ALL & told if told else set(ALL)
        if reads & _BEFORE_KERAS3:
            left -= {KERAS3}
        if reads & _EAGER and TF1 not in told:
            left -= {TF1}
        return frozenset(left) or ALL


def _told_by_imports(facts: nodes.ModuleFacts) -> Iterable[str]:
    imported = _imported(facts)
    for name in imported:
        for module, version in _MODULES.items():
            if name == module or name.startswith(module + "."):
                yield version
    # `import keras`, then `keras.ops.mean(x)`.
    if "ops" in facts.reads and "keras" in imported:
        yield KERAS3


def _imported(facts: nodes.ModuleFacts) -> set[str]:
    """Dotted names of what a file imports; of relative imports nothing."""
    found: set[str] = set()
    for node in nodes.local_imports(facts.body):
        if isinstance(node, nodes.Import):
            found.update(name for name, _ in node.names)
        elif not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{name}" for name, _ in node.names)
    return found
