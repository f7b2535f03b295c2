"""Facts from Python's own parser, ten times as fast as libcst.

It reads what the running Python can read; bnlint.analyzer.syntax.lower reads every version. Both
give the same facts.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from bnlint.analyzer.syntax import lowering, nodes
from bnlint.analyzer.syntax.lowering import Lowering, Span

_BINARY = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//",
    ast.Mod: "%", ast.Pow: "**", ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|",
    ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
_AUGMENTED = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
_UNARY = {ast.Not: "not", ast.USub: "-", ast.UAdd: "+", ast.Invert: "~"}


def body_facts(text: str) -> tuple[list[nodes.Stmt], frozenset[str]]:
    """(the statements of a text, every identifier it mentions).

    Raises:
      SyntaxError, ValueError, MemoryError: this Python cannot parse it.
      RecursionError: it nests too deeply.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the code's warnings are its owner's
        tree = ast.parse(text)
    walk = _AstLowering(text)
    return walk.block(tree.body), frozenset(walk.identifiers)


class _AstLowering(Lowering):
    """One walk over a tree."""

    def __init__(self, text: str):
        super().__init__()
        self.text = text
        self.starts = nodes.line_starts(text)
        self.lines: dict[int, bytes] = {}
        if not text.isascii():
            self.span = self.span_of_bytes  # type: ignore[method-assign]

    def span(self, node: Any) -> Span:
        starts = self.starts
        return (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def span_of_bytes(self, node: Any) -> Span:
        """The same where columns, which ast counts in bytes of UTF-8, are not characters."""
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno, node.end_col_offset),
        )

    def offset(self, line: int, column: int) -> int:
        data = self.lines.get(line)
        start = self.starts[line - 1]
        if data is None:
            end = self.starts[line] if line < len(self.starts) else len(self.text)
            data = self.lines[line] = self.text[start:end].encode()
        return start + len(data[:column].decode())

    # --- statements ------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt]) -> list[nodes.Stmt]:
        statements: list[nodes.Stmt] = []
        for node in body:
            lower = _STATEMENTS.get(type(node))
            lowered = lower(self, node) if lower is not None else None
            if lowered is not None:
                statements.append(lowered)
        return statements

    def expr_statement(self, node: ast.Expr) -> nodes.Stmt:
        return nodes.ExprStmt(*self.span(node), self.expr(node.value))

    def assign(self, node: ast.Assign) -> nodes.Stmt:
        value = self.expr(node.value)
        return nodes.Assign(*self.span(node), [self.expr(item) for item in node.targets], value)

    def ann_assign(self, node: ast.AnnAssign) -> nodes.Stmt | None:
        if node.value is None:
            return None
        return nodes.Assign(*self.span(node), [self.expr(node.target)], self.expr(node.value))

    def aug_assign(self, node: ast.AugAssign) -> nodes.Stmt:
        op = _AUGMENTED.get(type(node.op), "?")
        return nodes.AugAssign(*self.span(node), self.expr(node.target), op, self.expr(node.value))

    def return_(self, node: ast.Return) -> nodes.Stmt:
        value = self.expr(node.value) if node.value is not None else None
        return nodes.Return(*self.span(node), value)

    def if_(self, node: ast.If) -> nodes.Stmt:
        test = self.expr(node.test)
        return nodes.If(*self.span(node), test, self.block(node.body), self.block(node.orelse))

    def for_(self, node: ast.For | ast.AsyncFor) -> nodes.Stmt:
        iterable, target = self.expr(node.iter), self.expr(node.target)
        body, orelse = self.block(node.body), self.block(node.orelse)
        return nodes.For(*self.span(node), target, iterable, body, orelse)

    def while_(self, node: ast.While) -> nodes.Stmt:
        test = self.expr(node.test)
        return nodes.While(*self.span(node), test, self.block(node.body), self.block(node.orelse))

    def with_(self, node: ast.With | ast.AsyncWith) -> nodes.Stmt:
        items: list[tuple[nodes.Expr, nodes.Expr | None]] = [
            (
                self.expr(item.context_expr),
                self.expr(item.optional_vars) if item.optional_vars is not None else None,
            )
            for item in node.items
        ]
        return nodes.With(*self.span(node), items, self.block(node.body))

    def try_(self, node: Any) -> nodes.Stmt:  # ast.Try; ast.TryStar, which Python 3.10 lacks
        return nodes.Try(
            *self.span(node),
            self.block(node.body),
            [self.block(handler.body) for handler in node.handlers],
            self.block(node.orelse),
            self.block(node.finalbody),
        )

    def match(self, node: ast.Match) -> nodes.Stmt:
        cases = [self.block(case.body) for case in node.cases]
        return lowering.matched(self.span(node), self.expr(node.subject), cases)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> nodes.Stmt:
        decorators = [self.expr(item) for item in node.decorator_list]
        params = self.parameters(node.args)
        return self.definition(
            self.span(node), node.name, params, decorators, lambda: self.block(node.body)
        )

    def parameters(self, node: ast.arguments) -> list[nodes.Param]:
        names = [*node.posonlyargs, *node.args]
        defaults = [*[None] * (len(names) - len(node.defaults)), *node.defaults]
        pairs = zip(names, defaults, strict=True)
        out = [self.param(name, "positional", default) for name, default in pairs]
        if node.vararg is not None:
            out.append(self.param(node.vararg, "*", None))
        pairs = zip(node.kwonlyargs, node.kw_defaults, strict=True)
        out += [self.param(name, "keyword", default) for name, default in pairs]
        if node.kwarg is not None:
            out.append(self.param(node.kwarg, "**", None))
        return out

    def param(self, node: ast.arg, kind: str, default: ast.expr | None) -> nodes.Param:
        return nodes.Param(node.arg, kind, self.expr(default) if default is not None else None)

    def class_(self, node: ast.ClassDef) -> nodes.Stmt:
        decorators = [self.expr(item) for item in node.decorator_list]
        bases = [
            self.expr(base.value if isinstance(base, ast.Starred) else base) for base in node.bases
        ]
        return self.class_definition(
            self.span(node), node.name, bases, decorators, lambda: self.block(node.body)
        )

    def import_(self, node: ast.Import) -> nodes.Stmt:
        return self.imported(self.span(node), _aliases(node))

    def import_from(self, node: ast.ImportFrom) -> nodes.Stmt:
        return self.imported_from(
            self.span(node), node.level or 0, node.module or "", _aliases(node)
        )

    def raise_(self, node: ast.Raise) -> nodes.Stmt:
        value = self.expr(node.exc) if node.exc is not None else None
        return nodes.Jump(*self.span(node), "raise", value)

    def break_(self, node: ast.Break) -> nodes.Stmt:
        return nodes.Jump(*self.span(node), "break", None)

    def continue_(self, node: ast.Continue) -> nodes.Stmt:
        return nodes.Jump(*self.span(node), "continue", None)

    def global_(self, node: ast.Global | ast.Nonlocal) -> nodes.Stmt:
        return nodes.Global(*self.span(node), node.names)

    # --- expressions -----------------------------------------------------------------------

    def expr(self, node: ast.expr) -> nodes.Expr:
        lower = _EXPRESSIONS.get(type(node))
        if lower is not None:
            return lower(self, node)
        parts = [
            self.expr(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
        ]
        return nodes.Other(*self.span(node), parts)

    def name(self, node: ast.Name) -> nodes.Expr:
        self.identifiers.add(node.id)
        return nodes.Name(*self.span(node), node.id)

    def attribute(self, node: ast.Attribute) -> nodes.Expr:
        value = self.expr(node.value)
        self.identifiers.add(node.attr)
        return nodes.Attribute(*self.span(node), value, node.attr)

    def constant(self, node: ast.Constant) -> nodes.Expr:
        span, value = self.span(node), node.value
        if value is None or isinstance(value, bool):
            return nodes.Const(*span, value)
        if isinstance(value, str):
            return lowering.string(span, value, self.text[span[0] : span[1]])
        return lowering.number(span, value)

    def formatted(self, node: Any) -> nodes.Expr:
        return lowering.formatted(self.span(node), self.format_parts(node))

    def format_parts(self, node: Any) -> list[nodes.Expr]:
        parts: list[nodes.Expr] = []
        for value in node.values:
            if type(value) in _REPLACED:
                parts.append(self.expr(value.value))
                if isinstance(value.format_spec, ast.JoinedStr):
                    parts += self.format_parts(value.format_spec)
        return parts

    def call(self, node: ast.Call) -> nodes.Expr:
        func = self.expr(node.func)
        args = [self.argument(arg) for arg in node.args]
        keywords = [
            nodes.Argument("**" if item.arg is None else item.arg, self.expr(item.value))
            for item in node.keywords
        ]
        both = args + keywords
        if args and keywords and args[-1].value.start > keywords[0].value.start:
            both.sort(key=lambda item: item.value.start)  # f(a=1, *b)
        return nodes.Call(*self.span(node), func, both)

    def argument(self, node: ast.expr) -> nodes.Argument:
        if isinstance(node, ast.Starred):
            return nodes.Argument("*", self.expr(node.value))
        return nodes.Argument("", self.expr(node))

    def tuple_(self, node: ast.Tuple) -> nodes.Expr:
        return lowering.tuple_display([self.expr(item) for item in node.elts], self.span(node)[1])

    def display(self, node: ast.List | ast.Set) -> nodes.Expr:
        kind = "list" if isinstance(node, ast.List) else "set"
        return nodes.Display(*self.span(node), kind, [self.expr(item) for item in node.elts])

    def dict_(self, node: ast.Dict) -> nodes.Expr:
        items: list[tuple[nodes.Expr | None, nodes.Expr]] = [
            (self.expr(key) if key is not None else None, self.expr(value))
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        return nodes.DictDisplay(*self.span(node), items)

    def binary(self, node: ast.BinOp) -> nodes.Expr:
        op = _BINARY[type(node.op)]
        return nodes.Binary(*self.span(node), op, self.expr(node.left), self.expr(node.right))

    def boolean(self, node: ast.BoolOp) -> nodes.Expr:
        op = "and" if isinstance(node.op, ast.And) else "or"
        return lowering.chained(self.span(node), op, map(self.expr, node.values))

    def compare(self, node: ast.Compare) -> nodes.Expr:
        others = zip(node.ops, node.comparators, strict=True)
        pairs = [(_COMPARE[type(op)], self.expr(right)) for op, right in others]
        return lowering.compared(self.span(node), self.expr(node.left), pairs)

    def unary(self, node: ast.UnaryOp) -> nodes.Expr:
        return lowering.negated(self.span(node), _UNARY[type(node.op)], self.expr(node.operand))

    def ternary(self, node: ast.IfExp) -> nodes.Expr:
        test, body, orelse = self.expr(node.test), self.expr(node.body), self.expr(node.orelse)
        return nodes.Ternary(*self.span(node), test, body, orelse)

    def subscript(self, node: ast.Subscript) -> nodes.Expr:
        value, index = self.expr(node.value), self.expr(node.slice)
        several = isinstance(node.slice, ast.Slice | ast.Tuple)
        return nodes.Subscript(*self.span(node), value, None if several else index)

    def starred(self, node: ast.Starred) -> nodes.Expr:
        return lowering.starred(self.expr(node.value))

    def lambda_(self, node: ast.Lambda) -> nodes.Expr:
        span, params = self.span(node), self.parameters(node.args)
        function = self.definition(
            span, "<lambda>", params, [], lambda: lowering.lambda_body(self.expr(node.body))
        )
        return nodes.Lambda(*span, function)

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> nodes.Expr:
        kind, element = type(node).__name__.lower(), self.expr(node.elt)
        loops = self.loops(node.generators)
        span = lowering.comprehension_span(self.span(node), kind, element, loops)
        return nodes.Comprehension(*span, kind, None, element, loops)

    def dict_comprehension(self, node: ast.DictComp) -> nodes.Expr:
        key, value = self.expr(node.key), self.expr(node.value)
        return nodes.Comprehension(
            *self.span(node), "dict", key, value, self.loops(node.generators)
        )

    def loops(self, generators: Sequence[ast.comprehension]) -> list[nodes.Loop]:
        return [
            (self.expr(loop.target), self.expr(loop.iter), [self.expr(test) for test in loop.ifs])
            for loop in generators
        ]

    def walrus(self, node: ast.NamedExpr) -> nodes.Expr:
        return nodes.Walrus(*self.span(node), node.target.id, self.expr(node.value))

    def yield_(self, node: ast.Yield | ast.YieldFrom) -> nodes.Expr:
        self.yields = True
        parts = [self.expr(node.value)] if node.value is not None else []
        return nodes.Other(*self.span(node), parts, yields=True)


def _aliases(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
    return [(alias.name, alias.asname or "") for alias in node.names]


_STATEMENTS: dict[type, Callable[[_AstLowering, Any], nodes.Stmt | None]] = {
    ast.Expr: _AstLowering.expr_statement,
    ast.Assign: _AstLowering.assign,
    ast.AnnAssign: _AstLowering.ann_assign,
    ast.AugAssign: _AstLowering.aug_assign,
    ast.Return: _AstLowering.return_,
    ast.If: _AstLowering.if_,
    ast.For: _AstLowering.for_,
    ast.AsyncFor: _AstLowering.for_,
    ast.While: _AstLowering.while_,
    ast.With: _AstLowering.with_,
    ast.AsyncWith: _AstLowering.with_,
    ast.Try: _AstLowering.try_,
    ast.Match: _AstLowering.match,
    ast.FunctionDef: _AstLowering.function,
    ast.AsyncFunctionDef: _AstLowering.function,
    ast.ClassDef: _AstLowering.class_,
    ast.Import: _AstLowering.import_,
    ast.ImportFrom: _AstLowering.import_from,
    ast.Raise: _AstLowering.raise_,
    ast.Break: _AstLowering.break_,
    ast.Continue: _AstLowering.continue_,
    ast.Global: _AstLowering.global_,
    ast.Nonlocal: _AstLowering.global_,
}
if sys.version_info >= (3, 11):
    _STATEMENTS[ast.TryStar] = _AstLowering.try_

_EXPRESSIONS: dict[type, Callable[[_AstLowering, Any], nodes.Expr]] = {
    ast.Name: _AstLowering.name,
    ast.Attribute: _AstLowering.attribute,
    ast.Constant: _AstLowering.constant,
    ast.JoinedStr: _AstLowering.formatted,
    ast.Call: _AstLowering.call,
    ast.List: _AstLowering.display,
    ast.Tuple: _AstLowering.tuple_,
    ast.Set: _AstLowering.display,
    ast.Dict: _AstLowering.dict_,
    ast.BinOp: _AstLowering.binary,
    ast.BoolOp: _AstLowering.boolean,
    ast.Compare: _AstLowering.compare,
    ast.UnaryOp: _AstLowering.unary,
    ast.IfExp: _AstLowering.ternary,
    ast.Subscript: _AstLowering.subscript,
    ast.Starred: _AstLowering.starred,
    ast.Lambda: _AstLowering.lambda_,
    ast.ListComp: _AstLowering.comprehension,
    ast.SetComp: _AstLowering.comprehension,
    ast.GeneratorExp: _AstLowering.comprehension,
    ast.DictComp: _AstLowering.dict_comprehension,
    ast.NamedExpr: _AstLowering.walrus,
    ast.Yield: _AstLowering.yield_,
    ast.YieldFrom: _AstLowering.yield_,
}
_REPLACED: tuple[type, ...] = (ast.FormattedValue,)
if sys.version_info >= (3, 14):
    _EXPRESSIONS[ast.TemplateStr] = _AstLowering.formatted
    _REPLACED += (ast.Interpolation,)
