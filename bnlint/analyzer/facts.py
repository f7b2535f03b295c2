"""From a file's text to its facts: one libcst parse and one walk over the tree."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import libcst as cst

from bnlint.analyzer import ir
from bnlint.analyzer.positions import spans

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
_UNARY = {cst.Not: "not", cst.Minus: "-", cst.Plus: "+", cst.BitInvert: "~"}


MAX_BRACKETS = 200  # CPython's own limit (MAXLEVEL in its tokenizer)
MAX_ELIFS = 2000
MAX_CHAIN = 1000  # operators of one expression that nest in each other; libcst takes a second
# "a" "b" ...: one constant to ast.
_STRINGS = re.compile(rf"""(?:[A-Za-z]{{0,2}}(?:"[^"\n\\]*"|'[^'\n\\]*')\s*){{{MAX_CHAIN}}}""")
_BRACKET_OR_LINE = re.compile(r"[()\[\]{}\n]")


def nested_too_deeply(text: str) -> bool:
    """Parsing `text` would overflow libcst's native stack, which ends the process, or take long.

    Measured with libcst 1.9: 1,000 brackets or elifs parse, 10,000 of either crash; the time for
    `1 + 1 + ...`, `not not ...` or `a.b.b...` grows with the square of their number, to 20
    seconds and more for 10,000.
    """
    if text.count("elif ") > MAX_ELIFS:
        return True
    depth, longest = _extent(text)
    if depth > MAX_BRACKETS and _depth(_tokens(text)) > MAX_BRACKETS:
        return True
    return longest > 2 * MAX_CHAIN and _has_long_chain(text)


def _extent(text: str) -> tuple[int, int]:
    """(how deep brackets nest, characters of the longest statement); at most too large."""
    depth = deepest = longest = start = 0
    for match in _BRACKET_OR_LINE.finditer(text):
        if match[0] == "\n":
            end = match.start()
            if depth == 0 and text[end - 1 : end] != "\\":
                longest = max(longest, end - start)
                start = end
        elif match[0] in "([{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth = max(depth - 1, 0)
    return deepest, max(longest, len(text) - start)


def _has_long_chain(text: str) -> bool:
    """Some expression nests too deeply, by CPython's parser (slower, so only for suspects)."""
    if _STRINGS.search(text):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (RecursionError, MemoryError):
        return True
    except (SyntaxError, ValueError):  # newer or older Python, or broken: libcst will tell
        return False
    todo: list[tuple[ast.AST, int]] = [(tree, 0)]
    while todo:
        node, depth = todo.pop()
        if depth > MAX_CHAIN:
            return True
        deeper = depth + _levels(node) if isinstance(node, ast.expr) else 0
        todo.extend((child, deeper) for child in ast.iter_child_nodes(node))
    return False


def _levels(node: ast.expr) -> int:
    """How many nodes of libcst nest for one of ast, which keeps these chains flat."""
    if isinstance(node, ast.BoolOp):
        return len(node.values)
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return len(node.generators)
    return 1


def _depth(brackets: Iterable[str]) -> int:
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    return deepest


def _tokens(text: str) -> Iterator[str]:
    """Brackets outside strings and comments (slower, so only for suspects)."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.OP and token.string in "()[]{}":
                yield token.string
    except (tokenize.TokenError, SyntaxError):  # newer tokenizers have the same limit
        yield from "(" * (MAX_BRACKETS + 1)


def module_facts(text: str, path: str, module: str, is_package: bool = False) -> ir.ModuleFacts:
    """The facts of one file.

    Args:
      text: the file's text. path: named in locations. module: dotted module name.
      is_package: the file is an `__init__.py` (relative imports count from it).

    Raises:
      libcst.ParserSyntaxError: the text is not Python 3.
    """
    tree = cst.parse_module(text)
    return _Lowering(tree, path, module, is_package).facts


class _Lowering:
    """One walk over a tree."""

    def __init__(self, tree: cst.Module, path: str, module: str, is_package: bool):
        self.spans = spans(tree)
        self.scopes: list[str] = []
        self.identifiers: set[str] = set()
        self.yields = False
        code = tree.code
        starts = [0]
        for line in code.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        body = self.block(tree.body)
        reads = frozenset(self.identifiers)
        self.facts = ir.ModuleFacts(path, module, is_package, body, starts, reads)

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        return self.spans.get(id(node), (0, 0))

    # --- statements ------------------------------------------------------------------------

    def block(self, body: cst.BaseSuite | Sequence[cst.CSTNode]) -> list[ir.Stmt]:
        nodes = body.body if isinstance(body, cst.BaseSuite) else body
        statements: list[ir.Stmt] = []
        for node in nodes:
            if isinstance(node, cst.SimpleStatementLine):
                for small in node.body:
                    self.statement(small, statements)
            else:
                self.statement(node, statements)
        return statements

    def statement(self, node: cst.CSTNode, out: list[ir.Stmt]) -> None:
        lower = _STATEMENTS.get(type(node))
        if lower is not None:
            lowered = lower(self, node)
            if lowered is not None:
                out.append(lowered)

    def expr_statement(self, node: cst.Expr) -> ir.Stmt:
        return ir.ExprStmt(*self.span(node), self.expr(node.value))

    def assign(self, node: cst.Assign) -> ir.Stmt:
        value = self.expr(node.value)
        targets = [self.expr(target.target) for target in node.targets]
        return ir.Assign(*self.span(node), targets, value)

    def ann_assign(self, node: cst.AnnAssign) -> ir.Stmt | None:
        if node.value is None:
            return None
        return ir.Assign(*self.span(node), [self.expr(node.target)], self.expr(node.value))

    def aug_assign(self, node: cst.AugAssign) -> ir.Stmt:
        op = _AUGMENTED.get(type(node.operator), "?")
        return ir.AugAssign(*self.span(node), self.expr(node.target), op, self.expr(node.value))

    def return_(self, node: cst.Return) -> ir.Stmt:
        value = self.expr(node.value) if node.value is not None else None
        return ir.Return(*self.span(node), value)

    def if_(self, node: cst.If) -> ir.Stmt:
        test = self.expr(node.test)
        body = self.block(node.body)
        orelse: list[ir.Stmt] = []
        if isinstance(node.orelse, cst.If):
            orelse = [self.if_(node.orelse)]
        elif node.orelse is not None:
            orelse = self.block(node.orelse.body)
        return ir.If(*self.span(node), test, body, orelse)

    def for_(self, node: cst.For) -> ir.Stmt:
        iterable, target = self.expr(node.iter), self.expr(node.target)
        body = self.block(node.body)
        orelse = self.block(node.orelse.body) if node.orelse else []
        return ir.For(*self.span(node), target, iterable, body, orelse)

    def while_(self, node: cst.While) -> ir.Stmt:
        test, body = self.expr(node.test), self.block(node.body)
        orelse = self.block(node.orelse.body) if node.orelse else []
        return ir.While(*self.span(node), test, body, orelse)

    def with_(self, node: cst.With) -> ir.Stmt:
        items: list[tuple[ir.Expr, ir.Expr | None]] = [
            (self.expr(item.item), self.expr(item.asname.name) if item.asname else None)
            for item in node.items
        ]
        return ir.With(*self.span(node), items, self.block(node.body))

    def try_(self, node: cst.Try | cst.TryStar) -> ir.Stmt:
        return ir.Try(
            *self.span(node),
            self.block(node.body),
            [self.block(handler.body) for handler in node.handlers],
            self.block(node.orelse.body) if node.orelse else [],
            self.block(node.finalbody.body) if node.finalbody else [],
        )

    def match(self, node: cst.Match) -> ir.Stmt:
        """A match is an if over an undecided test, one branch per case."""
        subject = self.expr(node.subject)
        orelse: list[ir.Stmt] = []
        for case in reversed(node.cases):
            test = ir.Other(*self.span(case), [subject])
            orelse = [ir.If(*self.span(case), test, self.block(case.body), orelse)]
        return orelse[0] if orelse else ir.ExprStmt(*self.span(node), subject)

    def function(self, node: cst.FunctionDef) -> ir.Stmt:
        decorators = [self.expr(item.decorator) for item in node.decorators]
        return self._function(
            node.name.value, node, node.params, decorators, lambda: self.block(node.body)
        )

    def _function(
        self,
        name: str,
        node: cst.CSTNode,
        params: cst.Parameters,
        decorators: list[ir.Expr],
        body: Callable[[], list[ir.Stmt]],
    ) -> ir.FunctionDef:
        parameters = self.parameters(params)
        outer = self.identifiers, self.yields
        self.identifiers, self.yields = set(), False
        self.scopes.append(name)
        qualname = ".".join(self.scopes)
        statements = body()
        self.scopes.pop()
        reads, is_generator = frozenset(self.identifiers), self.yields
        self.identifiers, self.yields = outer
        self.identifiers |= reads
        return ir.FunctionDef(
            *self.span(node),
            name,
            qualname,
            parameters,
            statements,
            decorators,
            reads,
            is_generator,
        )

    def parameters(self, node: cst.Parameters) -> list[ir.Param]:
        out = [self.param(item, "positional") for item in (*node.posonly_params, *node.params)]
        if isinstance(node.star_arg, cst.Param):
            out.append(self.param(node.star_arg, "*"))
        out += [self.param(item, "keyword") for item in node.kwonly_params]
        if node.star_kwarg is not None:
            out.append(self.param(node.star_kwarg, "**"))
        return out

    def param(self, node: cst.Param, kind: str) -> ir.Param:
        default = self.expr(node.default) if node.default is not None else None
        return ir.Param(node.name.value, kind, default)

    def class_(self, node: cst.ClassDef) -> ir.Stmt:
        decorators = [self.expr(item.decorator) for item in node.decorators]
        bases = [self.expr(base.value) for base in node.bases]
        self.scopes.append(node.name.value)
        qualname = ".".join(self.scopes)
        body = self.block(node.body)
        self.scopes.pop()
        return ir.ClassDef(*self.span(node), node.name.value, qualname, bases, body, decorators)

    def import_(self, node: cst.Import) -> ir.Stmt:
        names = [(_dotted(alias.name), _alias(alias)) for alias in node.names]
        for name, alias in names:
            self.identifiers.update(name.split("."))
            self.identifiers.add(alias)
        return ir.Import(*self.span(node), names)

    def import_from(self, node: cst.ImportFrom) -> ir.Stmt:
        if isinstance(node.names, cst.ImportStar):
            names = [("*", "")]
        else:
            names = [(_dotted(alias.name), _alias(alias)) for alias in node.names]
        module = _dotted(node.module) if node.module is not None else ""
        self.identifiers.update(module.split("."))
        self.identifiers.update(name for name, _ in names)
        return ir.ImportFrom(*self.span(node), len(node.relative), module, names)

    def raise_(self, node: cst.Raise) -> ir.Stmt:
        value = self.expr(node.exc) if node.exc is not None else None
        return ir.Jump(*self.span(node), "raise", value)

    def break_(self, node: cst.CSTNode) -> ir.Stmt:
        return ir.Jump(*self.span(node), "break", None)

    def continue_(self, node: cst.CSTNode) -> ir.Stmt:
        return ir.Jump(*self.span(node), "continue", None)

    def global_(self, node: cst.Global | cst.Nonlocal) -> ir.Stmt:
        return ir.Global(*self.span(node), [item.name.value for item in node.names])

    # --- expressions -----------------------------------------------------------------------

    def expr(self, node: cst.CSTNode) -> ir.Expr:
        lower = _EXPRESSIONS.get(type(node))
        if lower is not None:
            return lower(self, node)
        parts = [self.expr(child) for child in node.children if _holds_code(child)]
        return ir.Other(*self.span(node), parts)

    def name(self, node: cst.Name) -> ir.Expr:
        value = node.value
        if value in _KEYWORDS:
            return ir.Const(*self.span(node), _KEYWORDS[value])
        self.identifiers.add(value)
        return ir.Name(*self.span(node), value)

    def attribute(self, node: cst.Attribute) -> ir.Expr:
        value = self.expr(node.value)
        self.identifiers.add(node.attr.value)
        return ir.Attribute(*self.span(node), value, node.attr.value)

    def literal(self, node: cst.Integer | cst.Float) -> ir.Expr:
        value = _number(node.value)
        if value is None or abs(value) >= 2**63:
            return ir.Other(*self.span(node), [])
        return ir.Const(*self.span(node), value)

    def string(self, node: cst.SimpleString) -> ir.Expr:
        try:
            value = ast.literal_eval(node.value)
            if isinstance(value, bytes):
                return ir.Other(*self.span(node), [])
            value.encode()
        except (ValueError, SyntaxError):  # an escape that Python rejects, half a surrogate pair
            value = node.value
        return ir.Const(*self.span(node), value)

    def concatenated(self, node: cst.ConcatenatedString) -> ir.Expr:
        left, right = self.expr(node.left), self.expr(node.right)
        return ir.Binary(*self.span(node), "+", left, right)

    def call(self, node: cst.Call) -> ir.Expr:
        func = self.expr(node.func)
        args = []
        for arg in node.args:
            keyword = arg.keyword.value if arg.keyword is not None else arg.star
            args.append(ir.Argument(keyword, self.expr(arg.value)))
        return ir.Call(*self.span(node), func, args)

    def display(self, node: cst.List | cst.Tuple | cst.Set) -> ir.Expr:
        kind = type(node).__name__.lower()
        items = [self.element(item) for item in node.elements]
        return ir.Display(*self.span(node), kind, items)

    def element(self, node: cst.BaseElement) -> ir.Expr:
        value = self.expr(node.value)
        if isinstance(node, cst.StarredElement):
            return ir.Starred(value.start, value.end, value)
        return value

    def dict_(self, node: cst.Dict) -> ir.Expr:
        items: list[tuple[ir.Expr | None, ir.Expr]] = []
        for item in node.elements:
            key = self.expr(item.key) if isinstance(item, cst.DictElement) else None
            items.append((key, self.expr(item.value)))
        return ir.DictDisplay(*self.span(node), items)

    def binary(self, node: cst.BinaryOperation) -> ir.Expr:
        op = _BINARY.get(type(node.operator), "?")
        return ir.Binary(*self.span(node), op, self.expr(node.left), self.expr(node.right))

    def boolean(self, node: cst.BooleanOperation) -> ir.Expr:
        op = "and" if isinstance(node.operator, cst.And) else "or"
        return ir.BoolOp(*self.span(node), op, self.expr(node.left), self.expr(node.right))

    def compare(self, node: cst.Comparison) -> ir.Expr:
        span = self.span(node)
        left = self.expr(node.left)
        result: ir.Expr | None = None
        for target in node.comparisons:
            op = _COMPARE.get(type(target.operator), "?")
            right = self.expr(target.comparator)
            part = ir.Compare(*span, op, left, right)
            result = part if result is None else ir.BoolOp(*span, "and", result, part)
            left = right
        return result if result is not None else left

    def unary(self, node: cst.UnaryOperation) -> ir.Expr:
        value = self.expr(node.expression)
        op = _UNARY[type(node.operator)]
        if op == "-" and isinstance(value, ir.Const) and isinstance(value.value, int | float):
            return ir.Const(*self.span(node), -value.value)
        return ir.Unary(*self.span(node), op, value)

    def ternary(self, node: cst.IfExp) -> ir.Expr:
        span = self.span(node)
        return ir.Ternary(*span, self.expr(node.test), self.expr(node.body), self.expr(node.orelse))

    def subscript(self, node: cst.Subscript) -> ir.Expr:
        value = self.expr(node.value)
        index: ir.Expr | None = None
        if len(node.slice) == 1 and isinstance(node.slice[0].slice, cst.Index):
            index = self.expr(node.slice[0].slice.value)
        return ir.Subscript(*self.span(node), value, index)

    def starred(self, node: cst.StarredElement) -> ir.Expr:
        return ir.Starred(*self.span(node), self.expr(node.value))

    def lambda_(self, node: cst.Lambda) -> ir.Expr:
        def body() -> list[ir.Stmt]:
            value = self.expr(node.body)
            return [ir.Return(value.start, value.end, value)]

        return ir.Lambda(*self.span(node), self._function("<lambda>", node, node.params, [], body))

    def comprehension(self, node: cst.BaseComp) -> ir.Expr:
        key = None
        if isinstance(node, cst.DictComp):
            kind, key, element = "dict", self.expr(node.key), self.expr(node.value)
        else:
            assert isinstance(node, cst.BaseSimpleComp)
            kind, element = type(node).__name__.lower(), self.expr(node.elt)
        loops = []
        loop: cst.CompFor | None = node.for_in
        while loop is not None:
            conditions = [self.expr(condition.test) for condition in loop.ifs]
            loops.append((self.expr(loop.target), self.expr(loop.iter), conditions))
            loop = loop.inner_for_in
        return ir.Comprehension(*self.span(node), kind, key, element, loops)

    def walrus(self, node: cst.NamedExpr) -> ir.Expr:
        value = self.expr(node.value)
        target = node.target.value if isinstance(node.target, cst.Name) else ""
        return ir.Walrus(*self.span(node), target, value)

    def yield_(self, node: cst.Yield) -> ir.Expr:
        self.yields = True
        parts = [self.expr(child) for child in node.children if _holds_code(child)]
        return ir.Other(*self.span(node), parts, yields=True)


def _holds_code(node: cst.CSTNode) -> bool:
    return not isinstance(
        node, cst.BaseParenthesizableWhitespace | cst.LeftParen | cst.RightParen | cst.Comma
    )


def _number(text: str) -> float | None:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):  # more digits than int() takes
        return None


def _dotted(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def _alias(node: cst.ImportAlias) -> str:
    if node.asname is not None and isinstance(node.asname.name, cst.Name):
        return node.asname.name.value
    return ""


_KEYWORDS = {"True": True, "False": False, "None": None}

_STATEMENTS: dict[type, Callable[[_Lowering, Any], ir.Stmt | None]] = {
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

_EXPRESSIONS: dict[type, Callable[[_Lowering, Any], ir.Expr]] = {
    cst.Name: _Lowering.name,
    cst.Attribute: _Lowering.attribute,
    cst.Integer: _Lowering.literal,
    cst.Float: _Lowering.literal,
    cst.SimpleString: _Lowering.string,
    cst.ConcatenatedString: _Lowering.concatenated,
    cst.Call: _Lowering.call,
    cst.List: _Lowering.display,
    cst.Tuple: _Lowering.display,
    cst.Set: _Lowering.display,
    cst.Dict: _Lowering.dict_,
    cst.BinaryOperation: _Lowering.binary,
    cst.BooleanOperation: _Lowering.boolean,
    cst.Comparison: _Lowering.compare,
    cst.UnaryOperation: _Lowering.unary,
    cst.IfExp: _Lowering.ternary,
    cst.Subscript: _Lowering.subscript,
    cst.StarredElement: _Lowering.starred,
    cst.Lambda: _Lowering.lambda_,
    cst.ListComp: _Lowering.comprehension,
    cst.SetComp: _Lowering.comprehension,
    cst.GeneratorExp: _Lowering.comprehension,
    cst.DictComp: _Lowering.comprehension,
    cst.NamedExpr: _Lowering.walrus,
    cst.Yield: _Lowering.yield_,
}
