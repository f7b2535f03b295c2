"""Gathers what the files of a project say together (see bnlint.program.whole_project)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bnlint.analyzer.apis.clues import data_clues, function_clues, result_clues
from bnlint.analyzer.apis.signature import signatures
from bnlint.analyzer.interpreter.names import FRAMEWORKS, ROOTS, canonical
from bnlint.analyzer.project.entry_points import Root, imported_modules, is_test, relevant_modules
from bnlint.analyzer.project.modules import Module, Project
from bnlint.analyzer.project.name_values import NameValues, last_name
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import UPDATE_OPS, Clue, ClueKind, Frame
from bnlint.program.whole_project import (
    WholeProject,
    WrittenBatchNorm,
    WrittenEvaluation,
    WrittenTrainOp,
)
from bnlint.program.words import TRAINING_PARAMETER_NAMES, words

# What reads UPDATE_OPS, or runs the updates of layers: TensorFlow's own, and libraries on it.
_RUNS_UPDATES = frozenset(
    "get_update_ops create_train_op optimize_loss model_deploy updates get_updates_for "
    "tensorpack tensor2tensor tflearn RunUpdateOps".split()
)
_EAGER = frozenset("GradientTape enable_eager_execution implicit_gradients".split())
_APIS = {
    "slim.batch_norm": "slim",
    "tensorflow.layers.batch_normalization": "tf.layers",
    "tensorflow.layers.BatchNormalization": "tf.layers",
}
_FLAGS = {"slim": "is_training", "tf.layers": "training"}
_DEFAULTS = {"slim": True, "tf.layers": False}
_UPDATES = "updates_collections"

NO_READS: frozenset[Location] = frozenset()
Keywords = dict[str, nodes.Expr]


def gather(project: Project) -> WholeProject:
    """The weak facts of every module of `project` that has to do with TensorFlow."""
    relevant = relevant_modules(project, FRAMEWORKS)
    modules = [module for module in project.modules if id(module) in relevant]
    reads = frozenset[str]().union(*(module.facts.reads for module in modules))
    whole = WholeProject(is_eager=not reads.isdisjoint(_EAGER))
    if reads & {"batch_norm", "batch_normalization", "BatchNormalization"}:
        _Gathering(project, modules, whole).fill()
    return whole


def _update_reads(module: Module, every: list[nodes.Node]) -> frozenset[Location] | None:
    """Where a module reads UPDATE_OPS; None if it may run updates in another way, too.

    Where updates are *put* (`updates_collections=`) is neither.
    """
    if not module.facts.reads.isdisjoint(_RUNS_UPDATES):
        return None
    reads = [node for node in every if _reads_collection(node)]
    mentions = sum(map(_names_collection, every)) - sum(map(_puts_updates, every))
    return frozenset(map(module.facts.location, reads)) if mentions == len(reads) else None


def _all_reads(parts: Iterable[frozenset[Location] | None]) -> frozenset[Location] | None:
    """All of them; None if one is."""
    together: set[Location] = set()
    for part in parts:
        if part is None:
            return None
        together |= part
    return frozenset(together)


def _reads_collection(node: nodes.Node) -> bool:
    """`tf.get_collection(tf.GraphKeys.UPDATE_OPS)`."""
    if not isinstance(node, nodes.Call) or not node.args:
        return False
    named = last_name(node.func) in ("get_collection", "get_collection_ref")
    return named and _names_collection(node.args[0].value)


def _names_collection(node: object) -> bool:
    if isinstance(node, nodes.Name | nodes.Attribute):
        return last_name(node) == "UPDATE_OPS"
    return isinstance(node, nodes.Const) and node.value == UPDATE_OPS


def _puts_updates(node: nodes.Node) -> int:
    """How many arguments or entries of a node name the collection that updates are put into."""
    named: list[tuple[object, nodes.Expr | None]] = []
    if isinstance(node, nodes.Call):
        named = [(argument.keyword, argument.value) for argument in node.args]
    elif isinstance(node, nodes.DictDisplay):
        keys = [(key, value) for key, value in node.items if isinstance(key, nodes.Const)]
        named = [(key.value, value) for key, value in keys]
    elif isinstance(node, nodes.FunctionDef):
        named = [(param.name, param.default) for param in node.params]
    return sum(str(name).endswith(_UPDATES) and _names_collection(value) for name, value in named)


@dataclass(eq=False)
class _Uses:
    """What one module does that matters here."""

    module: Module
    batch_norms: list[tuple[WrittenBatchNorm, frozenset[str]]]  # and the names that lead to it
    train_ops: list[nodes.Call]
    runs: list[tuple[nodes.Call, nodes.Stmt | None]]


class _Gathering:
    """One pass over the modules."""

    def __init__(self, project: Project, modules: list[Module], whole: WholeProject) -> None:
        self.project = project
        self.modules = modules
        self.whole = whole
        # Assignments, calls and so on of each module, found once.
        self.nodes = {id(module): _of_interest(module) for module in modules}
        self.values = NameValues((module, self.nodes[id(module)]) for module in modules)
        self.aliases = {id(module): _aliases(module) for module in modules}
        self.mentioned = _mentioned(modules)
        # Keywords that an arg_scope gives to batch_norm somewhere.
        self.scoped: list[tuple[Keywords | None, Module]] = []
        self.scopes_params = False
        self._direct: dict[int, list[Module]] = {}
        self.imported = {id(module): self._imported(module) for module in modules}
        # What one program may import, once each: the modules of a package often import the same.
        self.programs: dict[frozenset[int], list[Module]] = {}
        for items in self.imported.values():
            self.programs.setdefault(frozenset(map(id, items)), items)
        self.uses: dict[int, _Uses] = {}

    def fill(self) -> None:
        for module in self.modules:
            for call in self._calls(module):
                if last_name(call.func) == "arg_scope":
                    self._scope(call, module)
        self.uses = {id(module): self._uses(module) for module in self.modules}
        for own in self.uses.values():
            self.whole.batch_norms += [norm for norm, _ in own.batch_norms]
        for own in self.uses.values():
            if own.train_ops or own.runs:
                self._ends(own, self._norms(own.module))
        self.whole.overridden_defaults = self.values.overridden_defaults(TRAINING_PARAMETER_NAMES)
        reads = {
            id(module): _update_reads(module, self.nodes[id(module)]) for module in self.modules
        }
        by_program = {
            members: _all_reads(reads.get(number, NO_READS) for number in members)
            for members in self.programs
        }
        for module in self.modules:
            self.whole.update_reads[module.path] = _all_reads(
                found for members, found in by_program.items() if id(module) in members
            )

    # --- files -------------------------------------------------------------------------------

    def _imported(self, start: Module) -> list[Module]:
        """A module and all that it imports, the nearest first."""
        found: dict[int, Module] = {}
        todo = [start]
        for module in todo:
            if id(module) not in found:
                found[id(module)] = module
                todo.extend(self._imports(module))
        return list(found.values())

    def _imports(self, module: Module) -> list[Module]:
        if id(module) not in self._direct:
            self._direct[id(module)] = list(imported_modules(self.project, module))
        return self._direct[id(module)]

    def _together(self, module: Module) -> list[Module]:
        """Every module that some program may import together with `module`."""
        found: dict[int, Module] = {}
        for members, items in self.programs.items():
            if id(module) in members:
                found |= {id(item): item for item in items}
        return list(found.values())

    def _calls(self, module: Module) -> Iterator[nodes.Call]:
        return (node for node in self.nodes[id(module)] if isinstance(node, nodes.Call))

    # --- names -------------------------------------------------------------------------------

    def _name(self, value: nodes.Expr | None, module: Module) -> str:
        """The canonical library name that an expression means, else ""."""
        head, _, tail = nodes.dotted(value).partition(".") if value is not None else ("", "", "")
        full = self.aliases[id(module)].get(head, "")
        name = canonical(f"{full}.{tail}" if tail else full) if full else ""
        return name if name.split(".")[0] in ROOTS else ""

    def _is_batch_norm(self, value: nodes.Expr | None, module: Module) -> bool:
        return self._name(value, module) in _APIS

    # --- batch norms -------------------------------------------------------------------------

    def _scope(self, call: nodes.Call, module: Module) -> None:
        first = call.args[0].value if call.args else None
        items = first.items if isinstance(first, nodes.Display) else [first]
        keywords = _keywords(call)
        self.scopes_params |= keywords is None or "normalizer_params" in keywords
        if any(self._is_batch_norm(item, module) for item in items):
            self.scoped.append((keywords, module))

    def _uses(self, module: Module) -> _Uses:
        uses = _Uses(module, [], [], [])
        in_assignments = {
            id(node.value): node
            for node in self.nodes[id(module)]
            if isinstance(node, nodes.Assign)
        }
        for call in self._calls(module):
            norm = self._batch_norm(call, module)
            if norm is not None:
                uses.batch_norms.append((norm, _names_of(call, module)))
            elif _in_test(call, module):
                continue
            elif self._is_train_op(call, module):
                uses.train_ops.append(call)
            elif _is_run(call) and not _initializes(call):
                uses.runs.append((call, in_assignments.get(id(call))))
        return uses

    def _batch_norm(self, call: nodes.Call, module: Module) -> WrittenBatchNorm | None:
        """The batch norm that a call builds: by itself, by its normalizer, or by a class."""
        name = self._name(call.func, module)
        if name == "tensorflow.layers.BatchNormalization":
            return self._of_class(call, module)
        if name in _APIS:
            return self._written(call, module, _APIS[name], _keywords(call, name))
        keywords = _keywords(call) or {}
        if not self._is_batch_norm(keywords.get("normalizer_fn"), module):
            return None
        params = keywords.get("normalizer_params")
        if params is None:
            given: Keywords | None = None if self.scopes_params else {}
        else:
            given = self._entries(params)
        return self._written(call, module, "slim", given)

    def _entries(self, params: nodes.Expr) -> Keywords | None:
        """The entries of a dict, or of the one dict that a name is given; None if not known."""
        if isinstance(params, nodes.Name | nodes.Attribute):
            given = self.values.assigned(last_name(params))
            return self._entries(given[0]) if len(given) == 1 else None
        if isinstance(params, nodes.DictDisplay):
            keys = [(key, value) for key, value in params.items if isinstance(key, nodes.Const)]
            known = {str(key.value): value for key, value in keys}
            return known if len(known) == len(params.items) else None
        if isinstance(params, nodes.Call) and last_name(params.func) == "dict":
            return _keywords(params)
        return None

    def _of_class(self, call: nodes.Call, module: Module) -> WrittenBatchNorm | None:
        """A layer object: its flag is where it is called."""
        calls = [outer for outer in self._calls(module) if outer.func is call]
        calls += self.values.calls_of_instances(call, module)
        if not calls:
            return None
        given = [_keywords(outer, "tensorflow.layers.BatchNormalization.call") for outer in calls]
        flagged = next((item for item in given if item is None or "training" in item), {})
        return self._written(calls[0] if len(calls) == 1 else call, module, "tf.layers", flagged)

    def _written(
        self, call: nodes.Call, module: Module, api: str, given: Keywords | None
    ) -> WrittenBatchNorm:
        """`given`: its keywords; None if there may be any."""
        flags = [(given, module)]
        if api == "slim":
            flags += self.scoped
        known = [(item.get(_FLAGS[api]), where) for item, where in flags if item is not None]
        passed = [(value, where) for value, where in known if value is not None]
        sources = {source for value, where in passed for source in self.values.of(value, where)}
        values: set[bool | None] = {source.value for source in sources}
        if any(item is None for item, _ in flags) or (passed and not sources):
            values.add(None)
        has_flag = bool(values)
        if self._is_in_branch(call, module):  # tf.cond(training, lambda: norm(True), ...)
            values = {*(values or {_DEFAULTS[api]}), None}
        first = min((source.location for source in sources), default=None)
        return WrittenBatchNorm(
            location=module.facts.location(call), api=api, has_flag=has_flag,
            values=frozenset(values or {_DEFAULTS[api]}),
            flag=first if values == {True} else None,
            collects_updates=not any(item is None or _UPDATES in item for item, _ in flags),
        )  # fmt: skip

    def _is_in_branch(self, call: nodes.Call, module: Module) -> bool:
        """It is in a lambda, or in a function inside another: who calls that decides if it runs."""
        lambdas = (node for node in self.nodes[id(module)] if isinstance(node, nodes.Lambda))
        nested = (
            function
            for function, owner in module.facts.functions
            if function.qualname.removeprefix(f"{owner}.") != function.name
        )
        return any(
            part.start <= call.start and call.end <= part.end for part in (*lambdas, *nested)
        )

    # --- train ops and evaluations -----------------------------------------------------------

    def _is_train_op(self, call: nodes.Call, module: Module) -> bool:
        if not isinstance(call.func, nodes.Attribute) or not call.args:
            return False
        owner = nodes.dotted(call.func.value).split(".")[0]
        imported = self.aliases[id(module)].get(owner, "")
        is_library = bool(imported) and canonical(imported).split(".")[0] not in ROOTS
        return call.func.attr in ("minimize", "apply_gradients") and not is_library

    def _norms(self, start: Module) -> tuple[WrittenBatchNorm, ...]:
        """The batch norms that a train op or run of a module may be about."""
        return self._norms_in(self.imported[id(start)]) or self._norms_in(self._together(start))

    def _norms_in(self, modules: Iterable[Module]) -> tuple[WrittenBatchNorm, ...]:
        """The batch norms in functions that are mentioned somewhere."""
        return tuple(
            norm
            for module in modules
            if id(module) in self.uses
            for norm, names in self.uses[id(module)].batch_norms
            if not names or names & self.mentioned
        )

    def _names_given(self, call: nodes.Call, uses: _Uses) -> Iterator[str]:
        """What a train op is assigned to."""
        for node in self.nodes[id(uses.module)]:
            if isinstance(node, nodes.Assign) and node.start <= call.start <= node.end:
                yield from (last_name(target) for target in node.targets)

    def _ends(self, uses: _Uses, norms: tuple[WrittenBatchNorm, ...]) -> None:
        if not norms:
            return
        for call in uses.train_ops:
            given = _keywords(call)
            trains_some = given is None or "var_list" in given
            place = uses.module.facts.location(call)
            self.whole.train_ops.append(WrittenTrainOp(place, norms, trains_some))
        trained = {name for call in uses.train_ops for name in self._names_given(call, uses)}
        trains = {id(call) for call, _ in uses.runs if _trains(call, trained)}
        clues = [(call, _clues(call, statement, uses.module)) for call, statement in uses.runs]
        # What is also said of a run that trains says nothing.
        said = {
            (clue.kind, clue.text) for call, known in clues if id(call) in trains for clue in known
        }
        for call, known in clues:
            clue = next((item for item in known if (item.kind, item.text) not in said), None)
            if clue is not None and id(call) not in trains:
                self.whole.evaluations.append(
                    WrittenEvaluation(
                        uses.module.facts.location(call), clue.text,
                        clue.kind is ClueKind.SAMPLING, norms,
                    )
                )  # fmt: skip


def _is_run(call: nodes.Call) -> bool:
    """`sess.run(fetches)`."""
    return last_name(call.func) == "run" and bool(call.args)


def _trains(call: nodes.Call, train_ops: set[str]) -> bool:
    """A session run that trains."""
    names = set(nodes.names_in(call.args[0].value))
    return not names.isdisjoint(train_ops) or any(
        {"train", "trainer", "optimizer", "optim"} & set(words(name)) for name in names
    )


def _initializes(call: nodes.Call) -> bool:
    names = nodes.names_in(call.args[0].value)
    return any({"initializer", "init", "initialize"} & set(words(name)) for name in names)


def _clues(call: nodes.Call, statement: nodes.Stmt | None, module: Module) -> list[Clue]:
    """Why a session run may be an evaluation; strong reasons first."""
    frames = [
        Frame(function.qualname, module.facts.location(function), None)
        for function, _ in _around(call, module)
    ]
    script = module.name.rpartition(".")[2]
    found = [
        *function_clues(frames, script), *data_clues(None, None, call.args[-1:]),
        *result_clues(statement, call),
    ]  # fmt: skip
    return sorted(found, key=lambda clue: clue.kind is ClueKind.SAMPLING)


_INTERESTING = (
    nodes.Assign, nodes.AugAssign, nodes.Attribute, nodes.Call, nodes.Const, nodes.DictDisplay,
    nodes.For, nodes.FunctionDef, nodes.Lambda, nodes.Name,
)  # fmt: skip


def _of_interest(module: Module) -> list[nodes.Node]:
    """The nodes of a module that say something, in the order they are written."""
    every = nodes.nodes_in(module.facts.body)
    found = [node for node in every if isinstance(node, _INTERESTING)]
    return sorted(found, key=lambda node: node.start)


def _keywords(call: nodes.Call, name: str = "") -> Keywords | None:
    """The arguments of a call by name, as far as the signature of `name` tells; None if others
    may be among them (`*args`, `**kwargs`)."""
    if any(argument.keyword in ("*", "**") for argument in call.args):
        return None
    found = {argument.keyword: argument.value for argument in call.args if argument.keyword}
    versions = signatures(name) if name else ()
    names = versions[0].positional if versions else ()
    positional = [argument.value for argument in call.args if not argument.keyword]
    return found | dict(zip(names, positional, strict=False))


def _aliases(module: Module) -> dict[str, str]:
    """What the names of a module mean: of its imports, and of `slim = tf.contrib.slim`."""
    known = {"tf": "tensorflow", "slim": "tensorflow.contrib.slim"}  # also by star imports
    for node in nodes.local_imports(module.facts.body):
        if isinstance(node, nodes.Import):
            for name, alias in node.names:
                known[alias or name.split(".")[0]] = name if alias else name.split(".")[0]
        else:
            for name, alias in node.names:
                known[alias or name] = "." * node.level + f"{node.module}.{name}"
    for statement in module.facts.body:
        if isinstance(statement, nodes.Assign):
            head, _, tail = nodes.dotted(statement.value).partition(".")
            for target in statement.targets:
                if isinstance(target, nodes.Name) and head in known and tail:
                    known[target.id] = f"{known[head]}.{tail}"
    return known


def _mentioned(modules: Iterable[Module]) -> frozenset[str]:
    """Names that code mentions outside the functions and classes of that name."""
    found: set[str] = set()
    for module in modules:
        found.update(nodes.names_in(module.facts.body))
        for function, _ in module.facts.functions:
            found |= function.reads - {function.name}
    return frozenset(found)


def _around(call: nodes.Call, module: Module) -> list[tuple[nodes.FunctionDef, str]]:
    """The functions that a call is in, and the class of each."""
    return [
        (function, owner)
        for function, owner in module.facts.functions
        if function.start <= call.start and call.end <= function.end
    ]


def _in_test(call: nodes.Call, module: Module) -> bool:
    return any(is_test(Root(module, *around)) for around in _around(call, module))


def _names_of(call: nodes.Call, module: Module) -> frozenset[str]:
    """Names by which code leads to the function that holds `call`; none at the top level."""
    around = _around(call, module)
    if not around:
        return frozenset()
    function, owner = min(around, key=lambda item: item[0].start)
    if owner and function.name.startswith("__"):
        return frozenset([owner.rpartition(".")[2]])
    return frozenset([function.name])
