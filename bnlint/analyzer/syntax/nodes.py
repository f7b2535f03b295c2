"""The facts of one file: a small tree of what it says, without whitespace or comments.

Every node holds `start` and `end`, offsets into the file's text. The tree is plain data, so
that it can be cached and sent between processes: `encode` and `decode` turn it into MessagePack
and back. Decoding checks every type and executes nothing, so a damaged or hostile cache can at
worst give an error. Nodes hold no cycles, so Python's garbage collector need not look at them.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import re
from collections.abc import Iterator

import msgspec

from bnlint.findings import Location


class _Plain(msgspec.Struct, eq=False, gc=False, array_like=True):
    """Compared by identity; written as an array of its fields."""


class Node(_Plain, tag=True):
    """Base of expressions and statements."""

    start: int
    end: int


# --- expressions ---------------------------------------------------------------------------


class Const(Node, tag=True):
    """None, a bool, a real number of at most 64 bits, or a string."""

    value: bool | int | float | str | None


class Name(Node, tag=True):
    """A name that is read."""

    id: str


class Attribute(Node, tag=True):
    """`value.attr`."""

    value: Expr
    attr: str


class Argument(_Plain):
    """One argument: `keyword` is a name, "" (positional), "*" or "**"."""

    keyword: str
    value: Expr


class Call(Node, tag=True):
    """`func(*args)`."""

    func: Expr
    args: list[Argument]


class Display(Node, tag=True):
    """A list, tuple or set of items (some may be Starred)."""

    kind: str
    items: list[Expr]


class DictDisplay(Node, tag=True):
    """A dict; a None key is `**value`."""

    items: list[tuple[Expr | None, Expr]]


class Binary(Node, tag=True):
    """`left op right` for arithmetic operators."""

    op: str
    left: Expr
    right: Expr


class Compare(Node, tag=True):
    """`left op right`; chained comparisons become a BoolOp of these."""

    op: str
    left: Expr
    right: Expr


class BoolOp(Node, tag=True):
    """`a and b`, `a or b`."""

    op: str
    left: Expr
    right: Expr


class Unary(Node, tag=True):
    """`not x`, `-x`, `+x`, `~x`."""

    op: str
    value: Expr


class Ternary(Node, tag=True):
    """`body if test else orelse`."""

    test: Expr
    body: Expr
    orelse: Expr


class Subscript(Node, tag=True):
    """`value[index]`; index None for slices and several indices."""

    value: Expr
    index: Expr | None


class Starred(Node, tag=True):
    """`*value`."""

    value: Expr


class Lambda(Node, tag=True):
    """A lambda, as the function it is."""

    function: FunctionDef


class Comprehension(Node, tag=True):
    """`[element for target in iterable if conditions]`, flattened to nested loops.

    `key` is set for dict comprehensions.
    """

    kind: str
    key: Expr | None
    element: Expr
    loops: list[Loop]


class Walrus(Node, tag=True):
    """`target := value`."""

    target: str
    value: Expr


class Other(Node, tag=True):
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
Loop = tuple[Target, Expr, list[Expr]]  # for target in iterable, and its conditions


# --- statements ----------------------------------------------------------------------------


class ExprStmt(Node, tag=True):
    """An expression on its own."""

    value: Expr


class Assign(Node, tag=True):
    """`targets = value` (also annotated)."""

    targets: list[Target]
    value: Expr


class AugAssign(Node, tag=True):
    """`target op= value`."""

    target: Target
    op: str
    value: Expr


class Return(Node, tag=True):
    """`return value`."""

    value: Expr | None


class If(Node, tag=True):
    """`if`; an elif is an If in `orelse`."""

    test: Expr
    body: list[Stmt]
    orelse: list[Stmt]


class For(Node, tag=True):
    """`for target in iterable` with its else."""

    target: Target
    iterable: Expr
    body: list[Stmt]
    orelse: list[Stmt]


class While(Node, tag=True):
    """`while test` with its else."""

    test: Expr
    body: list[Stmt]
    orelse: list[Stmt]


class With(Node, tag=True):
    """`with item as target, ...`."""

    items: list[tuple[Expr, Target | None]]
    body: list[Stmt]


class Try(Node, tag=True):
    """`try` with handlers' bodies, else and finally."""

    body: list[Stmt]
    handlers: list[list[Stmt]]
    orelse: list[Stmt]
    final: list[Stmt]


class Param(_Plain):
    """A parameter: kind is "positional", "keyword", "*" or "**"."""

    name: str
    kind: str
    default: Expr | None


class FunctionDef(Node, tag=True):
    """A function; `reads` are all identifiers its body mentions, nested functions included."""

    name: str
    qualname: str
    params: list[Param]
    body: list[Stmt]
    decorators: list[Expr]
    reads: frozenset[str]
    is_generator: bool


class ClassDef(Node, tag=True):
    """A class."""

    name: str
    qualname: str
    bases: list[Expr]
    body: list[Stmt]
    decorators: list[Expr]


class Import(Node, tag=True):
    """`import a.b as c`: (dotted name, alias or "")."""

    names: list[tuple[str, str]]


class ImportFrom(Node, tag=True):
    """`from ..module import name as alias`; name "*" for a star import."""

    level: int
    module: str
    names: list[tuple[str, str]]


class Jump(Node, tag=True):
    """`break`, `continue`, `raise`."""

    kind: str
    value: Expr | None


class Global(Node, tag=True):
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


class ModuleFacts:
    """All facts of one file.

    Attributes:
      path: as the user named it. module: dotted name. is_package: it is an `__init__.py`.
      body: its statements. line_starts: offset of each line's first character.
      functions: every function and method with the class it is directly in ("" if none).
      classes: every class by qualified name.
      reads: every identifier the file mentions.
    """

    __slots__ = (
        "body", "classes", "functions", "is_package", "line_starts", "module", "path", "reads",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        module: str,
        is_package: bool,
        body: list[Stmt],
        line_starts: list[int],
        reads: frozenset[str] = frozenset(),
    ) -> None:
        self.path = path
        self.module = module
        self.is_package = is_package
        self.body = body
        self.line_starts = line_starts
        self.reads = reads
        self.functions: list[tuple[FunctionDef, str]] = []
        self.classes: dict[str, ClassDef] = {}
        self._index(body, "")

    def _index(self, body: list[Stmt], owner: str) -> None:
        for statement in body:
            if isinstance(statement, FunctionDef):
                self._index(statement.body, "")
                self.functions.append((statement, owner))
            elif isinstance(statement, ClassDef):
                self._index(statement.body, statement.qualname)
                self.classes[statement.qualname] = statement
            else:
                for block in blocks_of(statement):
                    self._index(block, owner)

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
    """Names that expressions or statements mention, outside functions but for lambdas: `a.b` gives
    "a" and "b"."""
    todo: list[object] = [part]
    while todo:
        node = todo.pop()
        if isinstance(node, Lambda):
            yield from node.function.reads
            continue
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
            names = (name for name in node.__struct_fields__ if name not in ("start", "end"))
            todo.extend(getattr(node, name) for name in names)


def texts_in(part: object) -> Iterator[str]:
    """The names that `part` mentions, and its short strings: `data["test"].x`."""
    yield from names_in(part)
    for node in nodes_in(part):
        if isinstance(node, Const) and isinstance(node.value, str) and len(node.value) < 100:
            yield node.value


def nodes_in(part: object) -> Iterator[Node]:
    """Every expression and statement in a part of the facts, functions' bodies included."""
    todo: list[object] = [part]
    while todo:
        node = todo.pop()
        if isinstance(node, list | tuple):
            todo.extend(node)
        elif isinstance(node, Node | Argument | Param):
            if isinstance(node, Node):
                yield node
            todo.extend(getattr(node, name) for name in node.__struct_fields__)


def local_imports(body: list[Stmt]) -> Iterator[Import | ImportFrom]:
    """Every import statement in `body`, also in nested blocks and functions."""
    for statement in body:
        if isinstance(statement, Import | ImportFrom):
            yield statement
        elif isinstance(statement, FunctionDef | ClassDef):
            yield from local_imports(statement.body)
        for block in blocks_of(statement):
            yield from local_imports(block)


_LINE_END = re.compile(r"\r\n?|\n")


def line_starts(text: str) -> list[int]:
    """Offset of each line's first character, where Python's tokenizer ends lines.

    `str.splitlines` would end them at form feeds and other separators, too.
    """
    return [0, *(match.end() for match in _LINE_END.finditer(text))]


# --- storage -------------------------------------------------------------------------------


class _Stored(_Plain):
    """What of a file's facts depends on nothing but its text."""

    body: list[Stmt]
    line_lengths: list[int]
    reads: frozenset[str]


@functools.cache
def _coders() -> tuple[msgspec.msgpack.Encoder, msgspec.msgpack.Decoder[_Stored]]:
    return msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Stored)


def encode(facts: ModuleFacts) -> bytes:
    """Facts as MessagePack, without path and module name: equal texts have equal facts."""
    lengths = [end - start for start, end in itertools.pairwise(facts.line_starts)]
    return _coders()[0].encode(_Stored(facts.body, lengths, facts.reads))


def decode(data: bytes, path: str, module: str, is_package: bool) -> ModuleFacts:
    """The facts that `encode` wrote, for a file at `path`.

    Raises:
      ValueError: `data` is something else.
    """
    try:
        stored = _coders()[1].decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not stored facts") from error
    starts = [0, *itertools.accumulate(stored.line_lengths)]
    return ModuleFacts(path, module, is_package, stored.body, starts, stored.reads)
