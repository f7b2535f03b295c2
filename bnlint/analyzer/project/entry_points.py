"""Where programs begin: scripts, functions that nobody in the project calls, model_fns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bnlint.analyzer.project.module_index import posix
from bnlint.analyzer.project.modules import Module, Project
from bnlint.analyzer.project.prescan import NETS, TF_NAMES, Words, has_word
from bnlint.analyzer.syntax import nodes

# Calling a class or its instance runs these methods.
_BY_CLASS = frozenset("__init__ __call__ call build _build forward".split())


@dataclass(frozen=True, eq=False)
class Root:
    """A place to start from: a module's top level, or a function (in class `owner`)."""

    module: Module
    function: nodes.FunctionDef | None
    owner: str


def relevant_modules(project: Project, frameworks: frozenset[str]) -> set[int]:
    """ids of the modules that import TensorFlow or Keras, or a project module that does.

    PyTorch and JAX code has functions of the same names; nothing of it needs to be followed.
    """
    importers: dict[int, list[Module]] = {}
    todo: list[Module] = []
    for module in project.modules:
        if module.facts.reads & frameworks:
            todo.append(module)
        for target in imported_modules(project, module):
            importers.setdefault(id(target), []).append(module)
    found: set[int] = set()
    while todo:
        module = todo.pop()
        if id(module) not in found:
            found.add(id(module))
            todo.extend(importers.get(id(module), ()))
    return found


def imported_modules(project: Project, module: Module) -> Iterator[Module]:
    """The project's modules that `module` imports, wherever in it."""
    for node in nodes.local_imports(module.facts.body):
        if isinstance(node, nodes.Import):
            targets = [project.resolve(name, module) for name, _ in node.names]
        else:
            names = [node.module, *(f"{node.module}.{name}".strip(".") for name, _ in node.names)]
            targets = [
                project.resolve_relative(node.level, name, module)
                if node.level
                else project.resolve(name, module)
                for name in names
            ]
        yield from (target for target in targets if target is not None)


def _with_imports(project: Project, relevant: set[int]) -> Iterator[Module]:
    """The relevant modules and what they import, in the project's order."""
    found: set[int] = set()
    todo = [module for module in project.modules if id(module) in relevant]
    while todo:
        module = todo.pop()
        if id(module) not in found:
            found.add(id(module))
            todo.extend(imported_modules(project, module))
    return (module for module in project.modules if id(module) in found)


def may_matter(module: Module, is_relevant: bool, words: Words) -> bool:
    """What some rule looks for is written in this file: a network, or logits that are logged.

    Without such a file no entry point of a project is worth following (see `CallGraph.roots`).

    Args:
      module: the file.
      is_relevant: the file imports a framework, directly or through others.
      words: what to look for.
    """
    facts = module.facts
    if facts.reads & (words.frameworks | TF_NAMES):
        if facts.reads & words.networks:
            return True
        if facts.reads & words.by_name:
            named = words.networks | NETS
            return any(has_word(text, named) for text in nodes.texts_in(facts.body))
    return is_relevant and _logs_logits(module, words)


def _logs_logits(module: Module, words: Words) -> bool:
    facts = module.facts
    if not may_log_logits(facts.reads, words):
        return False
    functions = (function.reads for function, _ in facts.functions)
    return _is_script(module) or any(may_log_logits(reads, words) for reads in functions)


def may_log_logits(reads: frozenset[str], words: Words) -> bool:
    """Code that mentions these names may take the logarithm of a network's output, and train."""
    return "log" in reads and bool(reads & {"tf", "tensorflow"}) and bool(reads & words.acts)


MEANINGS = 20  # a name with more definitions does not order their callers


class CallGraph:
    """Which functions may reach which words, by name (an over-approximation)."""

    def __init__(self, project: Project, words: Words) -> None:
        self.words = words
        self.relevant = relevant_modules(project, words.frameworks)
        self.modules = list(_with_imports(project, self.relevant))
        self.functions: list[tuple[Module, nodes.FunctionDef, str]] = [
            (module, function, owner)
            for module in self.modules
            for function, owner in module.facts.functions
        ]
        self.by_name: dict[str, list[nodes.FunctionDef]] = {}
        for _, function, owner in self.functions:
            self.by_name.setdefault(function.name, []).append(function)
            if function.name in _BY_CLASS and owner:
                self.by_name.setdefault(owner.rsplit(".", 1)[-1], []).append(function)
        self._add_aliases()
        self._add_inherited()
        self._add_registries()
        self.owners: dict[int, tuple[int, str]] = {
            id(function): (id(module), owner) for module, function, owner in self.functions if owner
        }
        self.builders = words.builders | self._subclasses(words.builders)
        # A PyTorch package with one TensorFlow reader has the same words in every model.
        self.reaching = self._reach(self.builders, among=words.frameworks | TF_NAMES)
        self.acting = self._reach(words.acts)
        # Methods share what `self` holds: one builds the network, another trains it.
        self.building = {self.owners[number] for number in self.reaching if number in self.owners}

    def _add_aliases(self) -> None:
        """`from nets import small as net`: whoever mentions `net` may call `small`."""
        for module in self.modules:
            for node in nodes.local_imports(module.facts.body):
                for name, alias in node.names if isinstance(node, nodes.ImportFrom) else ():
                    if alias and alias != name:
                        self.by_name.setdefault(alias, []).extend(self.by_name.get(name, ()))

    def _add_inherited(self) -> None:
        """Calling a class also runs the constructors of its bases."""
        classes = [cls for module in self.modules for cls in module.facts.classes.values()]
        for cls in classes:
            for base in cls.bases:
                inherited = self.by_name.get(nodes.dotted(base).rpartition(".")[2], [])
                found = [item for item in inherited if item.name in _BY_CLASS]
                if found and nodes.dotted(base).rpartition(".")[2] != cls.name:
                    self.by_name.setdefault(cls.name, []).extend(found)

    def _subclasses(self, bases: frozenset[str]) -> frozenset[str]:
        """Names of the project's classes on top of library classes with one of these names."""
        return frozenset(
            cls.name
            for module in self.modules
            for cls in module.facts.classes.values()
            if any(nodes.dotted(base).rpartition(".")[2] in bases for base in cls.bases)
        )

    def _add_registries(self) -> None:
        """Globals that hold functions or classes: whoever reads `NETS` may call what is in it.

        That is `NETS = {"a": net_a}`, and what functions that read `NETS` are put on as decorators.
        """
        held = self._assigned_names()
        definitions: list[nodes.FunctionDef | nodes.ClassDef] = [
            item for _, item, _ in self.functions
        ]
        definitions += [cls for module in self.modules for cls in module.facts.classes.values()]
        for definition in definitions:
            for decorator in self._decorators(definition):
                for variable in decorator.reads & held.keys():
                    held[variable].add(definition.name)
        for variable, names in held.items():
            others = sorted(names - {variable})
            found = [item for name in others for item in self.by_name.get(name, ())]
            if len(found) <= MEANINGS:  # who reads a larger one is not about to build a network
                self.by_name.setdefault(variable, []).extend(found)

    def _assigned_names(self) -> dict[str, set[str]]:
        """Variable of a module or class -> names in what is assigned to it."""
        held: dict[str, set[str]] = {}
        for module in self.modules:
            bodies = [module.facts.body, *(cls.body for cls in module.facts.classes.values())]
            for statement in (item for body in bodies for item in body):
                if isinstance(statement, nodes.Assign):
                    names = _contents(statement.value)
                    for target in statement.targets:
                        if isinstance(target, nodes.Name):
                            held.setdefault(target.id, set()).update(names)
        return held

    def _decorators(
        self, definition: nodes.FunctionDef | nodes.ClassDef
    ) -> Iterator[nodes.FunctionDef]:
        """The functions of the project that decorate `definition`."""
        for name in set(nodes.names_in(definition.decorators)):
            yield from self.by_name.get(name, ())

    def _reach(self, words: frozenset[str], among: frozenset[str] | None = None) -> set[int]:
        """Functions that mention one of `words`, or a function that does, and so on.

        Args:
          words: what to look for.
          among: count the words themselves only in modules that mention one of these names.
        """
        reached: set[int] = set()
        mentions: dict[str, list[nodes.FunctionDef]] = {}
        names = self.by_name.keys()
        for _, function, _ in self.functions:
            for name in function.reads & names:
                mentions.setdefault(name, []).append(function)
        todo = [
            function
            for module, function, _ in self.functions
            if function.reads & words and (among is None or module.facts.reads & among)
        ]
        keys: dict[int, list[str]] = {}
        for name, functions in self.by_name.items():
            for function in functions:
                keys.setdefault(id(function), []).append(name)
        while todo:
            function = todo.pop()
            if id(function) in reached:
                continue
            reached.add(id(function))
            for name in keys[id(function)]:
                todo.extend(mentions.get(name, ()))
        return reached

    def _may_build(self, function: nodes.FunctionDef) -> bool:
        """It may build a batch norm, or it ends what another method of its class began."""
        if id(function) in self.reaching:
            return True
        ends = bool(function.reads & self.words.ends) or id(function) in self.acting
        return ends and self.owners.get(id(function)) in self.building

    def idle(self) -> frozenset[int]:
        """ids of functions that lead to no batch norm, and to nothing that uses one."""
        used = self.reaching | self.acting
        return frozenset(id(item) for _, item, _ in self.functions if id(item) not in used)

    def interesting(self, reads: frozenset[str]) -> bool:
        """Code that mentions these names may build a batch norm and do something with it."""
        builds = self._may(reads, self.builders, self.reaching)
        return builds and self._may(reads, self.words.acts, self.acting)

    def _may(self, reads: frozenset[str], words: frozenset[str], reached: set[int]) -> bool:
        if reads & words:
            return True
        return any(
            id(function) in reached
            for name in reads & self.by_name.keys()
            for function in self.by_name[name]
        )

    def roots(self) -> Iterator[Root]:
        """Scripts first, then functions that no other code of the project mentions."""
        mentioned = self._mentioned()
        for module in self.modules:
            if id(module) not in self.relevant:
                continue
            if _is_script(module) and (
                self.interesting(_top_level_reads(module))
                or may_log_logits(module.facts.reads, self.words)
            ):
                yield Root(module, None, "")
        for module, function, owner in self.functions:
            root = Root(module, function, owner)
            if (
                id(module) in self.relevant
                and self._is_root(function, owner, mentioned)
                and not is_test(root)
            ):
                yield root

    def uncalled(self, called: set[int]) -> Iterator[Root]:
        """Functions that lead to a train op or an evaluation, and that no root led to: callers
        before what they mention, since something calls them that could not be followed.

        `called` may grow meanwhile.
        """
        ending = self._ending()
        waiting = {
            id(function): root
            for module, function, owner in self.functions
            if id(function) in ending
            and id(module) in self.relevant
            and self._may_build(function)
            and not function.name.startswith("__")
            and ("." not in function.qualname or owner)
            and not is_test(root := Root(module, function, owner))
            and id(function) not in called
        }
        for root in self._callers_first(waiting):
            if id(root.function) not in called:
                yield root

    def _ending(self) -> set[int]:
        """Functions that end programs, and two levels of their callers by names of few meanings."""
        found = {
            id(function) for _, function, _ in self.functions if function.reads & self.words.ends
        }
        for _ in range(2):
            names = {
                name
                for name, functions in self.by_name.items()
                if len(functions) <= 2 and any(id(item) in found for item in functions)
            }
            found |= {id(item) for _, item, _ in self.functions if item.reads & names}
        return found

    def _callers_first(self, roots: dict[int, Root]) -> list[Root]:
        """`roots` by what mentions what: reversed postorder of a depth-first search."""
        done: set[int] = set()
        order: list[Root] = []
        for start in roots.values():
            stack = [(start, False)]
            while stack:
                root, left = stack.pop()
                assert root.function is not None
                if left:
                    order.append(root)
                elif id(root.function) not in done:
                    done.add(id(root.function))
                    stack.append((root, True))
                    for name in sorted(root.function.reads & self.by_name.keys()):
                        if len(self.by_name[name]) > MEANINGS:
                            continue  # `forward`, `get`: says nothing about who calls whom
                        mentioned = (roots.get(id(item)) for item in self.by_name[name])
                        stack.extend((item, False) for item in mentioned if item is not None)
        return order[::-1]

    def _mentioned(self) -> dict[str, int]:
        """How many functions and top levels mention each name."""
        counts: dict[str, int] = {}
        for _, function, _ in self.functions:
            for name in function.reads:
                counts[name] = counts.get(name, 0) + 1
        for module in self.modules:
            for name in nodes.names_in(module.facts.body):
                counts[name] = counts.get(name, 0) + 1
        return counts

    def _is_root(self, function: nodes.FunctionDef, owner: str, mentioned: dict[str, int]) -> bool:
        if "." in function.qualname and not owner:
            return False  # nested functions run with their outer function
        if function.name.startswith("__") and function.name != "__call__":
            return False
        itself = 1 if function.name in function.reads else 0
        if mentioned.get(function.name, 0) > itself and not is_model_fn(function, self.words):
            return False
        if may_log_logits(function.reads, self.words):
            return True
        return (self._may_build(function) and id(function) in self.acting) or self._runs_network(
            function, owner
        )

    def _runs_network(self, function: nodes.FunctionDef, owner: str) -> bool:
        """A method that runs a session, in a class that builds a network: others call it."""
        runs = "run" in function.reads and any("sess" in name for name in function.reads)
        return runs and bool(owner) and self.owners.get(id(function)) in self.building


def _contents(value: nodes.Expr) -> set[str]:
    """Names in a literal dict, or in `dict(a=net)`; the one in `build = net`."""
    if isinstance(value, nodes.Name | nodes.Attribute):
        return {nodes.dotted(value).rpartition(".")[2]}
    is_dict = isinstance(value, nodes.Call) and nodes.dotted(value.func).endswith(("dict", "Dict"))
    if is_dict or isinstance(value, nodes.DictDisplay):
        return set(nodes.names_in(value))
    return set()


def is_model_fn(function: nodes.FunctionDef | None, words: Words) -> bool:
    """An estimator's model_fn: takes `mode` and makes an EstimatorSpec."""
    if function is None:
        return False
    takes_mode = any(param.name == "mode" for param in function.params)
    return takes_mode and bool(function.reads & words.specs)


def is_test(root: Root) -> bool:
    """A test, of unittest or pytest: they build networks in any mode on purpose."""
    cls = root.module.facts.classes.get(root.owner)
    names = [nodes.dotted(base) for base in cls.bases] if cls is not None else []
    if any(name.endswith(("TestCase", "Test", "TestBase")) for name in names):
        return True
    function = root.function
    return is_test_file(root.module.path) and function is not None and function.name[:4] == "test"


def is_test_file(path: str) -> bool:
    """A file that pytest collects."""
    name = posix(path).rpartition("/")[2]
    return name.startswith("test_") or name.endswith("_test.py")


def _top_level_reads(module: Module) -> frozenset[str]:
    """Names that code outside functions mentions, and `main`, which tf.app.run() calls unnamed."""
    names = set(nodes.names_in(module.facts.body))
    return frozenset(names | {"main"} if "run" in names else names)


def _is_script(module: Module) -> bool:
    """Its top level does something: calls functions that are not definitions."""
    return any(_acts(statement) for statement in module.facts.body)


def _acts(statement: nodes.Stmt) -> bool:
    if isinstance(statement, nodes.If | nodes.With | nodes.For | nodes.While | nodes.Try):
        return not isinstance(statement, nodes.Try) or any(_acts(inner) for inner in statement.body)
    if isinstance(statement, nodes.ExprStmt):
        return isinstance(statement.value, nodes.Call)
    if isinstance(statement, nodes.Assign):
        return isinstance(statement.value, nodes.Call)
    return False
