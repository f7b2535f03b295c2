"""From a file's text to its facts: one parse and one walk over the tree."""

from __future__ import annotations

from bnlint.analyzer.syntax import nodes
from bnlint.analyzer.syntax.nesting import nested_too_deeply


class Unreadable(Exception):
    """The text is not Python 3, or nested too deeply (see bnlint.analyzer.syntax.recovery)."""


def module_facts(text: str, path: str, module: str, is_package: bool = False) -> nodes.ModuleFacts:
    """The facts of one file.

    Args:
      text: the file's text. path: named in locations. module: dotted module name.
      is_package: the file is an `__init__.py` (relative imports count from it).

    Raises:
      Unreadable: the text is not Python 3; or it would take too much of a stack, or of time.
    """
    if nested_too_deeply(text):
        raise Unreadable
    import libcst  # here: it takes long to import

    from bnlint.analyzer.syntax import lower

    try:
        body, reads = lower.body_facts(text)
    except (libcst.ParserSyntaxError, libcst.CSTValidationError, RecursionError) as error:
        raise Unreadable from error
    return nodes.ModuleFacts(path, module, is_package, body, nodes.line_starts(text), reads)
