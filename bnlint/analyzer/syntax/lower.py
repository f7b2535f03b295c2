"""Facts from a libcst tree, which is of any version of Python 3, newer than the running one too."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import libcst as cst

from bnlint.analyzer.syntax import nodes
from bnlint.analyzer.syntax.positions import Span, spans

_BINARY = {
    cst.Add: "+", cst.Subtract: "-", cst.Multiply: "*", cst.Divide: "/", cst.FloorDivide: "//",
    cst.Modulo: "%", cst.Power: "**", cst.MatrixMultiply: "@", cst.BitAnd: "&", cst.BitOr: "|",
    cst.BitXor: "^", cst.LeftShift: "<<", cst.RightShift: ">>",
}  # fmt: skip
_AUGMENTED = {
    cst.AddAssign: "+", cst.SubtractAssign: "-", cst.MultiplyAssign: "*", cst.DivideAssign: "/",
}  # fmt: skip
_COMPARE = {
    cst.Equal: "==", cst.NotEqual: "!=", cst.LessThan: "<", cst.LessThanEqual: "<=",
    cst.GreaterThan: ">", cst.GreaterThanEqual: ">=", cst.In: "in", cst.NotIn: "not in",
    cst.Is: "is", cst.IsNot: "is not",
}  # fmt: skip
_KEYWORDS = {"True": True, "False": False, "None": None}
_UNARY = {cst.Not: "not", cst.Minus: "-", cst.Plus: "+", cst.BitInvert: "~"}


def body_facts(text: str) -> tuple[list[nodes.Stmt], frozenset[str]]:
    """(the statements of a text, every identifier it mentions).

    Raises:
      libcst.ParserSyntaxError: it is not Python 3.
      libcst.CSTValidationError: a name holds a letter that the running Python does not know.
      RecursionError: it nests too deeply.
    """
    tree = cst.parse_module(text)
    walk = _Lowering(tree, text)
    return walk.block(tree.body), frozenset(walk.identifiers)


class _Lowering:
    """One walk over a tree: names and scopes met so far."""

    def __init__(self, tree: cst.Module, text: str):
        self.scopes: list[str] = []
        self.identifiers: set[str] = set()
        self.yields = False
        self.text = text
        self.spans = spans(tree)

    def span(self, node: cst.CSTNode) -> Span:
        return self.spans.get(id(node), (0, 0))

    # --- statements ------------------------------------------------------------------------

    def block(self, body: cst.BaseSuite | Sequence[cst.CSTNode]) -> list[nodes.Stmt]:
        children = body.body if isinstance(body, cst.BaseSuite) else body
        statements: list[nodes.Stmt] = []
        for node in children:
            if isinstance(node, cst.SimpleStatementLine):
                for small in node.body:
                    self.statement(small, statements)
            else:
                self.statement(node, statements)
        return statements

    def statement(self, node: cst.CSTNode, out: list[nodes.Stmt]) -> None:
        lower = _STATEMENTS.get(type(node))
        if lower is not None:
            lowered = lower(self, node)
            if lowered is not None:
                out.append(lowered)

    def expr_statement(self, node: cst.Expr) -> nodes.Stmt:
        return nodes.ExprStmt(*self.span(node), self.expr(node.value))

    def assign(self, node: cst.Assign) -> nodes.Stmt:
        value = self.expr(node.value)
        targets = [self.expr(target.target) for target in node.targets]
        return nodes.Assign(*self.span(node), targets, value)

    def ann_assign(self, node: cst.AnnAssign) -> nodes.Stmt | None:
        if node.value is None:
            return None
        return nodes.Assign(*self.span(node), [self.expr(node.target)], self.expr(node.value))

    def aug_assign(self, node: cst.AugAssign) -> nodes.Stmt:
        op = _AUGMENTED.get(type(node.operator), "?")
        return nodes.AugAssign(*self.span(node), self.expr(node.target), op, self.expr(node.value))

    def return_(self, node: cst.Return) -> nodes.Stmt:
        value = self.expr(node.value) if node.value is not None else None
        return nodes.Return(*self.span(node), value)

    def if_(self, node: cst.If) -> nodes.Stmt:
        test = self.expr(node.test)
        body = self.block(node.body)
        orelse: list[nodes.Stmt] = []
        if isinstance(node.orelse, cst.If):
            orelse = [self.if_(node.orelse)]
        elif node.orelse is not None:
            orelse = self.block(node.orelse.body)
        return nodes.If(*self.span(node), test, body, orelse)

    def for_(self, node: cst.For) -> nodes.Stmt:
        iterable, target = self.expr(node.iter), self.expr(node.target)
        body = self.block(node.body)
        orelse = self.block(node.orelse.body) if node.orelse else []
        return nodes.For(*self.span(node), target, iterable, body, orelse)

    def while_(self, node: cst.While) -> nodes.Stmt:
        test, body = self.expr(node.test), self.block(node.body)
        orelse = self.block(node.orelse.body) if node.orelse else []
        return nodes.While(*self.span(node), test, body, orelse)

    def with_(self, node: cst.With) -> nodes.Stmt:
        items: list[tuple[nodes.Expr, nodes.Expr | None]] = [
            (self.expr(item.item), self.expr(item.asname.name) if item.asname else None)
            for item in node.items
        ]
        return nodes.With(*self.span(node), items, self.block(node.body))

    def try_(self, node: cst.Try | cst.TryStar) -> nodes.Stmt:
        return nodes.Try(
            *self.span(node),
            self.block(node.body),
            [self.block(handler.body) for handler in node.handlers],
            self.block(node.orelse.body) if node.orelse else [],
            self.block(node.finalbody.body) if node.finalbody else [],
        )

    def match(self, node: cst.Match) -> nodes.Stmt:
        cases = [self.block(case.body) for case in node.cases]
        return _matched(self.span(node), self.expr(node.subject), cases)

    def function(self, node: cst.FunctionDef) -> nodes.Stmt:
        decorators = [self.expr(item.decorator) for item in node.decorators]
        params = self.parameters(node.params)
        return self.definition(
            self.span(node), node.name.value, params, decorators, lambda: self.block(node.body)
        )

    def parameters(self, node: cst.Parameters) -> list[nodes.Param]:
        out = [self.param(item, "positional") for item in (*node.posonly_params, *node.params)]
        if isinstance(node.star_arg, cst.Param):
            out.append(self.param(node.star_arg, "*"))
        out += [self.param(item, "keyword") for item in node.kwonly_params]
        if node.star_kwarg is not None:
            out.append(self.param(node.star_kwarg, "**"))
        return out

    def param(self, node: cst.Param, kind: str) -> nodes.Param:
        default = self.expr(node.default) if node.default is not None else None
        return nodes.Param(node.name.value, kind, default)

    def class_(self, node: cst.ClassDef) -> nodes.Stmt:
        decorators = [self.expr(item.decorator) for item in node.decorators]
        bases = [self.expr(base.value) for base in node.bases]
        return self.class_definition(
            self.span(node), node.name.value, bases, decorators, lambda: self.block(node.body)
        )

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

    def import_(self, node: cst.Import) -> nodes.Stmt:
        names = [(_dotted(alias.name), _alias(alias)) for alias in node.names]
        return self.imported(self.span(node), names)

    def import_from(self, node: cst.ImportFrom) -> nodes.Stmt:
        if isinstance(node.names, cst.ImportStar):
            names = [("*", "")]
        else:
            names = [(_dotted(alias.name), _alias(alias)) for alias in node.names]
        module = _dotted(node.module) if node.module is not None else ""
        return self.imported_from(self.span(node), len(node.relative), module, names)

    def raise_(self, node: cst.Raise) -> nodes.Stmt:
        value = self.expr(node.exc) if node.exc is not None else None
        return nodes.Jump(*self.span(node), "raise", value)

    def break_(self, node: cst.CSTNode) -> nodes.Stmt:
        return nodes.Jump(*self.span(node), "break", None)

    def continue_(self, node: cst.CSTNode) -> nodes.Stmt:
        return nodes.Jump(*self.span(node), "continue", None)

    def global_(self, node: cst.Global | cst.Nonlocal) -> nodes.Stmt:
        return nodes.Global(*self.span(node), [item.name.value for item in node.names])

    # --- expressions -----------------------------------------------------------------------

    def expr(self, node: cst.CSTNode) -> nodes.Expr:
        lower = _EXPRESSIONS.get(type(node))
        if lower is not None:
            return lower(self, node)
        return nodes.Other(*self.span(node), self.parts(node))

    def parts(self, node: cst.CSTNode) -> list[nodes.Expr]:
        return [
            self.expr(child) for child in node.children if isinstance(child, cst.BaseExpression)
        ]

    def name(self, node: cst.Name) -> nodes.Expr:
        value = node.value
        if value in _KEYWORDS:
            return nodes.Const(*self.span(node), _KEYWORDS[value])
        self.identifiers.add(value)
        return nodes.Name(*self.span(node), value)

    def attribute(self, node: cst.Attribute) -> nodes.Expr:
        value = self.expr(node.value)
        self.identifiers.add(node.attr.value)
        return nodes.Attribute(*self.span(node), value, node.attr.value)

    def literal(self, node: cst.Integer | cst.Float) -> nodes.Expr:
        return _number(self.span(node), _evaluated(node.value))

    def string(self, node: cst.SimpleString | cst.ConcatenatedString) -> nodes.Expr:
        """A string, which may be written in pieces."""
        span, pieces = self.span(node), _pieces(node)
        if not all(isinstance(piece, cst.SimpleString) for piece in pieces):
            inner = [part for piece in pieces for part in getattr(piece, "parts", ())]
            return nodes.Other(*span, self.format_parts(inner))
        values = [_evaluated(piece.value) for piece in pieces]
        if all(isinstance(value, bytes) for value in values):
            return nodes.Other(*span, [])
        text = self.text[span[0] : span[1]]
        known = all(isinstance(value, str) for value in values)
        return _string(span, "".join(values) if known else text, text)

    def format_parts(self, contents: Sequence[Any]) -> list[nodes.Expr]:
        parts: list[nodes.Expr] = []
        for part in contents:
            if isinstance(part, cst.FormattedStringExpression | cst.TemplatedStringExpression):
                parts.append(self.expr(part.expression))
                parts += self.format_parts(part.format_spec or ())
        return parts

    def call(self, node: cst.Call) -> nodes.Expr:
        func = self.expr(node.func)
        args = []
        for arg in node.args:
            keyword = arg.keyword.value if arg.keyword is not None else arg.star
            args.append(nodes.Argument(keyword, self.expr(arg.value)))
        return nodes.Call(*self.span(node), func, args)

    def tuple_(self, node: cst.Tuple) -> nodes.Expr:
        items = [self.element(item) for item in node.elements]
        return _tuple_display(items, self.span(node)[1] + 1)

    def display(self, node: cst.List | cst.Set) -> nodes.Expr:
        kind = "list" if isinstance(node, cst.List) else "set"
        return nodes.Display(*self.span(node), kind, [self.element(item) for item in node.elements])

    def element(self, node: cst.BaseElement) -> nodes.Expr:
        value = self.expr(node.value)
        return _starred(value) if isinstance(node, cst.StarredElement) else value

    def dict_(self, node: cst.Dict) -> nodes.Expr:
        items: list[tuple[nodes.Expr | None, nodes.Expr]] = []
        for item in node.elements:
            key = self.expr(item.key) if isinstance(item, cst.DictElement) else None
            items.append((key, self.expr(item.value)))
        return nodes.DictDisplay(*self.span(node), items)

    def binary(self, node: cst.BinaryOperation) -> nodes.Expr:
        op = _BINARY.get(type(node.operator), "?")
        return nodes.Binary(*self.span(node), op, self.expr(node.left), self.expr(node.right))

    def boolean(self, node: cst.BooleanOperation) -> nodes.Expr:
        op = "and" if isinstance(node.operator, cst.And) else "or"
        return _chained(self.span(node), op, map(self.expr, _operands(node)))

    def compare(self, node: cst.Comparison) -> nodes.Expr:
        pairs = [
            (_COMPARE.get(type(target.operator), "?"), self.expr(target.comparator))
            for target in node.comparisons
        ]
        return _compared(self.span(node), self.expr(node.left), pairs)

    def unary(self, node: cst.UnaryOperation) -> nodes.Expr:
        op = _UNARY[type(node.operator)]
        return _negated(self.span(node), op, self.expr(node.expression))

    def ternary(self, node: cst.IfExp) -> nodes.Expr:
        span = self.span(node)
        return nodes.Ternary(
            *span, self.expr(node.test), self.expr(node.body), self.expr(node.orelse)
        )

    def subscript(self, node: cst.Subscript) -> nodes.Expr:
        value = self.expr(node.value)
        indices = [self.index(item.slice) for item in node.slice]
        several = len(indices) != 1 or isinstance(node.slice[0].comma, cst.Comma)
        return nodes.Subscript(*self.span(node), value, None if several else indices[0])

    def index(self, node: cst.BaseSlice) -> nodes.Expr | None:
        """`value[index]`'s index; None for a slice, a tuple, or several."""
        if isinstance(node, cst.Slice):
            for part in (node.lower, node.upper, node.step):
                if part is not None:
                    self.expr(part)
            return None
        assert isinstance(node, cst.Index)
        value = self.expr(node.value)
        return None if node.star or isinstance(node.value, cst.Tuple) else value

    def lambda_(self, node: cst.Lambda) -> nodes.Expr:
        span, params = self.span(node), self.parameters(node.params)
        function = self.definition(
            span, "<lambda>", params, [], lambda: _lambda_body(self.expr(node.body))
        )
        return nodes.Lambda(*span, function)

    def comprehension(self, node: cst.ListComp | cst.SetComp | cst.GeneratorExp) -> nodes.Expr:
        kind, element = type(node).__name__.lower(), self.expr(node.elt)
        loops = self.loops(node.for_in)
        span = _comprehension_span(self.span(node), kind, element, loops)
        return nodes.Comprehension(*span, kind, None, element, loops)

    def dict_comprehension(self, node: cst.DictComp) -> nodes.Expr:
        key, value = self.expr(node.key), self.expr(node.value)
        return nodes.Comprehension(*self.span(node), "dict", key, value, self.loops(node.for_in))

    def loops(self, loop: cst.CompFor | None) -> list[nodes.Loop]:
        loops: list[nodes.Loop] = []
        while loop is not None:
            tests = [self.expr(condition.test) for condition in loop.ifs]
            loops.append((self.expr(loop.target), self.expr(loop.iter), tests))
            loop = loop.inner_for_in
        return loops

    def walrus(self, node: cst.NamedExpr) -> nodes.Expr:
        value = self.expr(node.value)
        target = node.target.value if isinstance(node.target, cst.Name) else ""
        return nodes.Walrus(*self.span(node), target, value)

    def yield_(self, node: cst.Yield) -> nodes.Expr:
        self.yields = True
        value = node.value.item if isinstance(node.value, cst.From) else node.value
        return nodes.Other(*self.span(node), [self.expr(value)] if value else [], yields=True)


def _lambda_body(value: nodes.Expr) -> list[nodes.Stmt]:
    """A lambda's body as a function's."""
    return [nodes.Return(value.start, value.end, value)]


def _negated(span: Span, op: str, value: nodes.Expr) -> nodes.Expr:
    """`op value`; a negative number is a constant."""
    if op == "-" and isinstance(value, nodes.Const) and isinstance(value.value, int | float):
        return nodes.Const(*span, -value.value)
    return nodes.Unary(*span, op, value)


def _number(span: Span, value: object) -> nodes.Expr:
    """A real number of at most 64 bits; others are not told apart."""
    if isinstance(value, int | float) and abs(value) < 2**63:
        return nodes.Const(*span, value)
    return nodes.Other(*span, [])


def _string(span: Span, value: str, text: str) -> nodes.Const:
    """A string constant; `text`, as it is written, if it holds half a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        value = text
    return nodes.Const(*span, value)


def _chained(span: Span, op: str, values: Iterable[nodes.Expr]) -> nodes.Expr:
    """`a and b and c`, from the left."""
    first, *others = values
    for value in others:
        first = nodes.BoolOp(*span, op, first, value)
    return first


def _compared(span: Span, left: nodes.Expr, others: Iterable[tuple[str, nodes.Expr]]) -> nodes.Expr:
    """`a < b < c` as `a < b and b < c`."""
    parts: list[nodes.Expr] = []
    for op, right in others:
        parts.append(nodes.Compare(*span, op, left, right))
        left = right
    return _chained(span, "and", parts)


def _tuple_display(items: list[nodes.Expr], end: int) -> nodes.Display:
    """A tuple: from its first item to its last (parsers differ about the parentheses).

    `end`: where an empty tuple stands.
    """
    start, end = (items[0].start, items[-1].end) if items else (end, end)
    return nodes.Display(start, end, "tuple", items)


def _starred(value: nodes.Expr) -> nodes.Starred:
    """`*value`, in the place of its value."""
    return nodes.Starred(value.start, value.end, value)


def _comprehension_span(
    span: Span, kind: str, element: nodes.Expr, loops: Sequence[nodes.Loop]
) -> Span:
    """A generator's place is without its parentheses, which may be those of a call."""
    if kind != "generatorexp":
        return span
    _, iterable, conditions = loops[-1]
    return element.start, (conditions[-1] if conditions else iterable).end


def _matched(span: Span, subject: nodes.Expr, cases: Sequence[list[nodes.Stmt]]) -> nodes.Stmt:
    """A match is an if over an undecided test, one branch per case."""
    orelse: list[nodes.Stmt] = []
    for case in reversed(cases):
        orelse = [nodes.If(*span, nodes.Other(*span, [subject]), case, orelse)]
    return orelse[0] if orelse else nodes.ExprStmt(*span, subject)


def _evaluated(literal: str) -> Any:
    try:
        return ast.literal_eval(literal)
    except (ValueError, SyntaxError):  # more digits than int() takes, an escape Python rejects
        return None


def _pieces(node: cst.BaseExpression) -> list[Any]:
    """The strings that stand side by side in `node`."""
    pieces: list[cst.BaseExpression] = []
    while isinstance(node, cst.ConcatenatedString):
        pieces.append(node.left)
        node = node.right
    return [*pieces, node]


def _operands(node: cst.BooleanOperation) -> list[cst.BaseExpression]:
    """a, b and c of `a and b and c`."""
    operands: list[cst.BaseExpression] = []
    left: cst.BaseExpression = node
    while (
        isinstance(left, cst.BooleanOperation)
        and type(left.operator) is type(node.operator)
        and (left is node or not left.lpar)
    ):
        operands.append(left.right)
        left = left.left
    return [left, *reversed(operands)]


def _dotted(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def _alias(node: cst.ImportAlias) -> str:
    if node.asname is not None and isinstance(node.asname.name, cst.Name):
        return node.asname.name.value
    return ""


_STATEMENTS: dict[type, Callable[[_Lowering, Any], nodes.Stmt | None]] = {
    cst.Expr: _Lowering.expr_statement,
    cst.Assign: _Lowering.assign,
    cst.AnnAssign: _Lowering.ann_assign,
    cst.AugAssign: _Lowering.aug_assign,
    cst.Return: _Lowering.return_,
    cst.If: _Lowering.if_,
    cst.For: _Lowering.for_,
    cst.While: _Lowering.while_,
    cst.With: _Lowering.with_,
    cst.Try: _Lowering.try_,
    cst.TryStar: _Lowering.try_,
    cst.Match: _Lowering.match,
    cst.FunctionDef: _Lowering.function,
    cst.ClassDef: _Lowering.class_,
    cst.Import: _Lowering.import_,
    cst.ImportFrom: _Lowering.import_from,
    cst.Raise: _Lowering.raise_,
    cst.Break: _Lowering.break_,
    cst.Continue: _Lowering.continue_,
    cst.Global: _Lowering.global_,
    cst.Nonlocal: _Lowering.global_,
}

_EXPRESSIONS: dict[type, Callable[[_Lowering, Any], nodes.Expr]] = {
    cst.Name: _Lowering.name,
    cst.Attribute: _Lowering.attribute,
    cst.Integer: _Lowering.literal,
    cst.Float: _Lowering.literal,
    cst.SimpleString: _Lowering.string,
    cst.ConcatenatedString: _Lowering.string,
    cst.FormattedString: _Lowering.string,
    cst.TemplatedString: _Lowering.string,
    cst.Call: _Lowering.call,
    cst.List: _Lowering.display,
    cst.Tuple: _Lowering.tuple_,
    cst.Set: _Lowering.display,
    cst.Dict: _Lowering.dict_,
    cst.BinaryOperation: _Lowering.binary,
    cst.BooleanOperation: _Lowering.boolean,
    cst.Comparison: _Lowering.compare,
    cst.UnaryOperation: _Lowering.unary,
    cst.IfExp: _Lowering.ternary,
    cst.Subscript: _Lowering.subscript,
    cst.StarredElement: _Lowering.element,
    cst.Lambda: _Lowering.lambda_,
    cst.ListComp: _Lowering.comprehension,
    cst.SetComp: _Lowering.comprehension,
    cst.GeneratorExp: _Lowering.comprehension,
    cst.DictComp: _Lowering.dict_comprehension,
    cst.NamedExpr: _Lowering.walrus,
    cst.Yield: _Lowering.yield_,
}
