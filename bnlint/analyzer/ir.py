"""The facts of one file: a small tree of what it says, without whitespace or comments.

Every node holds `start` and `end`, offsets into the file's text. The tree is plain data, so
that it can be cached and sent between processes.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

from bnlint.findings import Location


@dataclass(slots=True, eq=False)
class Node:
    """Base of expressions and statements."""

    start: int
    end: int


# --- expressions ---------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Const(Node):
    """None, a bool, a number, a string; `Ellipsis` for `...`."""

    value: object


@dataclass(slots=True, eq=False)
class Name(Node):
    """A name that is read."""

    id: str


@dataclass(slots=True, eq=False)
class Attribute(Node):
    """`value.attr`."""

    value: Expr
    attr: str


@dataclass(slots=True, eq=False)
class Argument:
    """One argument: `keyword` is a name, "" (positional), "*" or "**"."""

    keyword: str
    value: Expr


@dataclass(slots=True, eq=False)
class Call(Node):
    """`func(*args)`."""

    func: Expr
    args: list[Argument]


@dataclass(slots=True, eq=False)
class Display(Node):
    """A list, tuple or set of items (some may be Starred)."""

    kind: str
    items: list[Expr]


@dataclass(slots=True, eq=False)
class DictDisplay(Node):
    """A dict; a None key is `**value`."""

    items: list[tuple[Expr | None, Expr]]


@dataclass(slots=True, eq=False)
class Binary(Node):
    """`left op right` for arithmetic operators."""

    op: str
    left: Expr
    right: Expr


@dataclass(slots=True, eq=False)
class Compare(Node):
    """`left op right`; chained comparisons become a BoolOp of these."""

    op: str
    left: Expr
    right: Expr


@dataclass(slots=True, eq=False)
class BoolOp(Node):
    """`a and b`, `a or b`."""

    op: str
    left: Expr
    right: Expr


@dataclass(slots=True, eq=False)
class Unary(Node):
    """`not x`, `-x`, `+x`, `~x`."""

    op: str
    value: Expr


@dataclass(slots=True, eq=False)
class Ternary(Node):
    """`body if test else orelse`."""

    test: Expr
    body: Expr
    orelse: Expr


@dataclass(slots=True, eq=False)
class Subscript(Node):
    """`value[index]`; index None for slices and several indices."""

    value: Expr
    index: Expr | None


@dataclass(slots=True, eq=False)
class Starred(Node):
    """`*value`."""

    value: Expr


@dataclass(slots=True, eq=False)
class Lambda(Node):
    """A lambda, as the function it is."""

    function: FunctionDef


@dataclass(slots=True, eq=False)
class Comprehension(Node):
    """`[element for target in iterable if conditions]`, flattened to nested loops.

    `key` is set for dict comprehensions.
    """

    kind: str
    key: Expr | None
    element: Expr
    loops: list[tuple[Target, Expr, list[Expr]]]


@dataclass(slots=True, eq=False)
class Walrus(Node):
    """`target := value`."""

    target: str
    value: Expr


@dataclass(slots=True, eq=False)
class Other(Node):
    """Any other expression, kept for the expressions inside it (f-strings, await, yield)."""

    parts: list[Expr]
    yields: bool = False


Expr = (
    Const
    | Name
    | Attribute
    | Call
    | Display
    | DictDisplay
    | Binary
    | Compare
    | BoolOp
    | Unary
    | Ternary
    | Subscript
    | Starred
    | Lambda
    | Comprehension
    | Walrus
    | Other
)
Target = Expr


# --- statements ----------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class ExprStmt(Node):
    """An expression on its own."""

    value: Expr


@dataclass(slots=True, eq=False)
class Assign(Node):
    """`targets = value` (also annotated)."""

    targets: list[Target]
    value: Expr


@dataclass(slots=True, eq=False)
class AugAssign(Node):
    """`target op= value`."""

    target: Target
    op: str
    value: Expr


@dataclass(slots=True, eq=False)
class Return(Node):
    """`return value`."""

    value: Expr | None


@dataclass(slots=True, eq=False)
class If(Node):
    """`if`; an elif is an If in `orelse`."""

    test: Expr
    body: list[Stmt]
    orelse: list[Stmt]


@dataclass(slots=True, eq=False)
class For(Node):
    """`for target in iterable` with its else."""

    target: Target
    iterable: Expr
    body: list[Stmt]
    orelse: list[Stmt]


@dataclass(slots=True, eq=False)
class While(Node):
    """`while test` with its else."""

    test: Expr
    body: list[Stmt]
    orelse: list[Stmt]


@dataclass(slots=True, eq=False)
class With(Node):
    """`with item as target, ...`."""

    items: list[tuple[Expr, Target | None]]
    body: list[Stmt]


@dataclass(slots=True, eq=False)
class Try(Node):
    """`try` with handlers' bodies, else and finally."""

    body: list[Stmt]
    handlers: list[list[Stmt]]
    orelse: list[Stmt]
    final: list[Stmt]


@dataclass(slots=True, eq=False)
class Param:
    """A parameter: kind is "positional", "keyword", "*" or "**"."""

    name: str
    kind: str
    default: Expr | None


@dataclass(slots=True, eq=False)
class FunctionDef(Node):
    """A function; `reads` are all identifiers its body mentions, nested functions included."""

    name: str
    qualname: str
    params: list[Param]
    body: list[Stmt]
    decorators: list[Expr]
    reads: frozenset[str]
    is_generator: bool


@dataclass(slots=True, eq=False)
class ClassDef(Node):
    """A class."""

    name: str
    qualname: str
    bases: list[Expr]
    body: list[Stmt]
    decorators: list[Expr]


@dataclass(slots=True, eq=False)
class Import(Node):
    """`import a.b as c`: (dotted name, alias or "")."""

    names: list[tuple[str, str]]


@dataclass(slots=True, eq=False)
class ImportFrom(Node):
    """`from ..module import name as alias`; name "*" for a star import."""

    level: int
    module: str
    names: list[tuple[str, str]]


@dataclass(slots=True, eq=False)
class Jump(Node):
    """`break`, `continue`, `raise`."""

    kind: str
    value: Expr | None


@dataclass(slots=True, eq=False)
class Global(Node):
    """`global` or `nonlocal` names."""

    names: list[str]


Stmt = (
    ExprStmt
    | Assign
    | AugAssign
    | Return
    | If
    | For
    | While
    | With
    | Try
    | FunctionDef
    | ClassDef
    | Import
    | ImportFrom
    | Jump
    | Global
)


@dataclass(slots=True, eq=False)
class ModuleFacts:
    """All facts of one file.

    Attributes:
      path: as the user named it. module: dotted name. is_package: it is an `__init__.py`.
      body: its statements. line_starts: offset of each line's first character.
      functions: every function and method with the class it is directly in ("" if none).
      reads: every identifier the file mentions.
    """

    path: str
    module: str
    is_package: bool
    body: list[Stmt]
    line_starts: list[int]
    functions: list[tuple[FunctionDef, str]] = field(default_factory=list)
    classes: dict[str, ClassDef] = field(default_factory=dict)
    reads: frozenset[str] = frozenset()

    def location(self, node: Node) -> Location:
        """Where `node` stands."""
        line, column = self._position(node.start)
        end_line, end_column = self._position(node.end)
        return Location(self.path, line, column, end_line, end_column)

    def _position(self, offset: int) -> tuple[int, int]:
        line = bisect.bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1


def dotted(expression: Expr) -> str:
    """`a.b.c` as text for names and attributes, else ""."""
    if isinstance(expression, Name):
        return expression.id
    if isinstance(expression, Attribute):
        base = dotted(expression.value)
        return f"{base}.{expression.attr}" if base else ""
    return ""


def assigned_attributes(function: FunctionDef) -> set[str]:
    """x of every `self.x = ...` in a method."""
    this = function.params[0].name if function.params else ""
    found: set[str] = set()
    todo: list[Stmt] = list(function.body)
    while todo:
        statement = todo.pop()
        if isinstance(statement, Assign):
            for target in statement.targets:
                items = target.items if isinstance(target, Display) else [target]
                found.update(
                    item.attr
                    for item in items
                    if isinstance(item, Attribute) and dotted(item.value) == this
                )
        todo.extend(inner for block in blocks_of(statement) for inner in block)
    return found


def blocks_of(statement: Stmt) -> list[list[Stmt]]:
    """The blocks of statements inside a statement, those of definitions left out."""
    if isinstance(statement, If | For | While):
        return [statement.body, statement.orelse]
    if isinstance(statement, Try):
        return [statement.body, *statement.handlers, statement.orelse, statement.final]
    return [statement.body] if isinstance(statement, With) else []


def names_in(part: object) -> Iterator[str]:
    """Names that expressions or statements mention, outside functions: `a.b` gives "a" and "b"."""
    todo: list[object] = [part]
    while todo:
        node = todo.pop()
        if isinstance(node, FunctionDef):
            todo.extend(node.decorators)
            continue
        if isinstance(node, Name):
            yield node.id
        elif isinstance(node, Attribute):
            yield node.attr
        elif isinstance(node, Const | str | int | bool) or node is None:
            continue
        if isinstance(node, ClassDef):
            todo.extend(node.body)
        elif isinstance(node, list | tuple):
            todo.extend(node)
        elif isinstance(node, Node | Argument):
            slots = [slot for cls in type(node).__mro__ for slot in getattr(cls, "__slots__", ())]
            todo.extend(getattr(node, slot) for slot in slots if slot not in ("start", "end"))


def local_imports(body: list[Stmt]) -> Iterator[Import | ImportFrom]:
    """Every import statement in `body`, also in nested blocks and functions."""
    for statement in body:
        if isinstance(statement, Import | ImportFrom):
            yield statement
        elif isinstance(statement, FunctionDef | ClassDef):
            yield from local_imports(statement.body)
        for block in blocks_of(statement):
            yield from local_imports(block)
