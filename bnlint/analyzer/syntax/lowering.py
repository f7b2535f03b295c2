"""What lowering a syntax tree to facts takes, whichever parser the tree came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bnlint.analyzer.syntax import nodes

Span = tuple[int, int]  # offsets of a node in the text, `end` exclusive


class Lowering:
    """Names and scopes met so far, and the nodes that both lowerings build in the same way."""

    def __init__(self) -> None:
        self.scopes: list[str] = []
        self.identifiers: set[str] = set()
        self.yields = False

    def definition(
        self,
        span: Span,
        name: str,
        params: list[nodes.Param],
        decorators: list[nodes.Expr],
        body: Callable[[], list[nodes.Stmt]],
    ) -> nodes.FunctionDef:
        """A function, with the identifiers that its body mentions."""
        outer = self.identifiers, self.yields
        self.identifiers, self.yields = set(), False
        self.scopes.append(name)
        qualname = ".".join(self.scopes)
        statements = body()
        self.scopes.pop()
        reads, is_generator = frozenset(self.identifiers), self.yields
        self.identifiers, self.yields = outer
        self.identifiers |= reads
        return nodes.FunctionDef(
            *span, name, qualname, params, statements, decorators, reads, is_generator
        )

    def class_definition(
        self,
        span: Span,
        name: str,
        bases: list[nodes.Expr],
        decorators: list[nodes.Expr],
        body: Callable[[], list[nodes.Stmt]],
    ) -> nodes.ClassDef:
        """A class."""
        self.scopes.append(name)
        qualname = ".".join(self.scopes)
        statements = body()
        self.scopes.pop()
        return nodes.ClassDef(*span, name, qualname, bases, statements, decorators)

    def imported(self, span: Span, names: list[tuple[str, str]]) -> nodes.Import:
        """`import name as alias, ...`."""
        for name, alias in names:
            self.identifiers.update(name.split("."))
            self.identifiers.add(alias)
        return nodes.Import(*span, names)

    def imported_from(
        self, span: Span, level: int, module: str, names: list[tuple[str, str]]
    ) -> nodes.ImportFrom:
        """`from module import name as alias, ...`."""
        self.identifiers.update(module.split("."))
        self.identifiers.update(name for name, _ in names)
        return nodes.ImportFrom(*span, level, module, names)


def lambda_body(value: nodes.Expr) -> list[nodes.Stmt]:
    """A lambda's body as a function's."""
    return [nodes.Return(value.start, value.end, value)]


def negated(span: Span, op: str, value: nodes.Expr) -> nodes.Expr:
    """`op value`; a negative number is a constant."""
    if op == "-" and isinstance(value, nodes.Const) and isinstance(value.value, int | float):
        return nodes.Const(*span, -value.value)
    return nodes.Unary(*span, op, value)


def number(span: Span, value: object) -> nodes.Expr:
    """A real number of at most 64 bits; others are not told apart."""
    if isinstance(value, int | float) and abs(value) < 2**63:
        return nodes.Const(*span, value)
    return nodes.Other(*span, [])


def string(span: Span, value: str, text: str) -> nodes.Const:
    """A string constant; `text`, as it is written, if it holds half a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        value = text
    return nodes.Const(*span, value)


def formatted(span: Span, parts: list[nodes.Expr]) -> nodes.Other:
    """An f-string of these expressions.

    They stand where the f-string does: until Python 3.12, ast does not know where they are.
    """
    for node in nodes.nodes_in(parts):
        node.start, node.end = span
    return nodes.Other(*span, parts)


def chained(span: Span, op: str, values: Iterable[nodes.Expr]) -> nodes.Expr:
    """`a and b and c`, from the left."""
    first, *others = values
    for value in others:
        first = nodes.BoolOp(*span, op, first, value)
    return first


def compared(span: Span, left: nodes.Expr, others: Iterable[tuple[str, nodes.Expr]]) -> nodes.Expr:
    """`a < b < c` as `a < b and b < c`."""
    parts: list[nodes.Expr] = []
    for op, right in others:
        parts.append(nodes.Compare(*span, op, left, right))
        left = right
    return chained(span, "and", parts)


def tuple_display(items: list[nodes.Expr], end: int) -> nodes.Display:
    """A tuple: from its first item to its last (parsers differ about the parentheses).

    `end`: where an empty tuple stands.
    """
    start, end = (items[0].start, items[-1].end) if items else (end, end)
    return nodes.Display(start, end, "tuple", items)


def starred(value: nodes.Expr) -> nodes.Starred:
    """`*value`, in the place of its value."""
    return nodes.Starred(value.start, value.end, value)


def comprehension_span(
    span: Span, kind: str, element: nodes.Expr, loops: Sequence[nodes.Loop]
) -> Span:
    """A generator's place is without its parentheses, which may be those of a call."""
    if kind != "generatorexp":
        return span
    _, iterable, conditions = loops[-1]
    return element.start, (conditions[-1] if conditions else iterable).end


def matched(span: Span, subject: nodes.Expr, cases: Sequence[list[nodes.Stmt]]) -> nodes.Stmt:
    """A match is an if over an undecided test, one branch per case."""
    orelse: list[nodes.Stmt] = []
    for case in reversed(cases):
        orelse = [nodes.If(*span, nodes.Other(*span, [subject]), case, orelse)]
    return orelse[0] if orelse else nodes.ExprStmt(*span, subject)
