"""From a file's text to its facts: one parse and one walk over the tree."""

from __future__ import annotations

from bnlint.analyzer.syntax import lower_ast, nodes


class NestedTooDeeply(Exception):
    """Parsing the text would overflow a stack."""


def module_facts(text: str, path: str, module: str, is_package: bool = False) -> nodes.ModuleFacts:
    """The facts of one file.

    Python's own parser is tried first; libcst, which is imported only then, reads what is newer
    than the running Python, and says what is wrong with the rest.

    Args:
      text: the file's text. path: named in locations. module: dotted module name.
      is_package: the file is an `__init__.py` (relative imports count from it).

    Raises:
      NestedTooDeeply: it would take too much of a stack.
      libcst.ParserSyntaxError: the text is not Python 3.
      libcst.CSTValidationError: a name holds a letter that the running Python does not know.
    """
    try:
        body, reads = _body_facts(text)
    except (RecursionError, MemoryError) as error:  # MemoryError: the parser's own stack is full
        raise NestedTooDeeply from error
    return nodes.ModuleFacts(path, module, is_package, body, nodes.line_starts(text), reads)


def _body_facts(text: str) -> tuple[list[nodes.Stmt], frozenset[str]]:
    try:
        return lower_ast.body_facts(text)
    except (SyntaxError, ValueError):  # the latter: half a surrogate pair
        from bnlint.analyzer.syntax.nesting import nested_too_deeply

        if nested_too_deeply(text):
            raise NestedTooDeeply from None
        from bnlint.analyzer.syntax import lower

        return lower.body_facts(text)
