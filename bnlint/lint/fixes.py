"""Carrying out the edits that rules propose, with libcst: formatting stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from bnlint.findings import Edit, Finding, Location

if TYPE_CHECKING:
    from bnlint.analyzer.cache import Cache
    from bnlint.lint.config import Config, Settings
    from bnlint.lint.run import LintRun

# (line, column) where nodes start -> the nodes, with where they end (exclusive); both 1-based.
Starts = dict[tuple[int, int], list[tuple[cst.CSTNode, tuple[int, int]]]]
MAX_ROUNDS = 10  # fixes that overlap are applied in later rounds


class CannotFix(Exception):
    """The edit does not fit the text."""


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """`text` with all edits made, the lowest first so that the others' places stay.

    Raises:
      CannotFix: an edit's place is not in `text`, or the result would not parse.
    """
    for edit in sorted(edits, key=lambda item: item.location, reverse=True):
        text = _apply_edit(text, edit)
    _parsed(text)
    return text


def _parsed(text: str) -> cst.Module:
    try:
        return cst.parse_module(text)
    except cst.ParserSyntaxError as error:  # libcst lacks some of what Python reads: `(x): int`
        raise CannotFix("libcst cannot read the text, or what it would become") from error


def _apply_edit(text: str, edit: Edit) -> str:
    wrapper = MetadataWrapper(_parsed(text))
    starts: Starts = {}
    for node, place in wrapper.resolve(PositionProvider).items():
        end = (place.end.line, place.end.column + 1)
        starts.setdefault((place.start.line, place.start.column + 1), []).append((node, end))
    return _apply(wrapper.module, edit, starts).code


def _find(starts: Starts, location: Location, kind: type) -> cst.CSTNode:
    for node, _ in starts.get((location.line, location.column), ()):
        if isinstance(node, kind):
            return node
    raise CannotFix(f"no such place: {location}")


def _apply(tree: cst.Module, edit: Edit, starts: Starts) -> cst.Module:
    if edit.kind == "wrap-in-update-ops":
        line, index = _line_with(starts, edit.location)
        return _replace(tree, line, _wrapped(line, index, edit))
    if edit.kind == "move-into-control-dependencies" and edit.target is not None:
        statement = _find(starts, edit.location, cst.SimpleStatementLine)
        block = _find(starts, edit.target, cst.With)
        assert isinstance(statement, cst.SimpleStatementLine) and isinstance(block, cst.With)
        return _moved(tree, statement, block)
    call = _call_at(starts, edit.location)
    if edit.kind == "set-keyword":
        return _replace(tree, call, _with_keyword(call, edit.name, edit.value))
    if edit.kind == "drop-keyword":
        return _replace(tree, call, _without_keyword(call, edit.name))
    raise CannotFix(f"unknown edit {edit.kind!r}")


def _call_at(starts: Starts, location: Location) -> cst.Call:
    """The call at `location`; f(x)(y) begins where f(x) does, so its end counts too."""
    for node, end in starts.get((location.line, location.column), ()):
        if isinstance(node, cst.Call) and end == (location.end_line, location.end_column):
            return node
    raise CannotFix(f"no call at {location}")


def _line_with(starts: Starts, location: Location) -> tuple[cst.SimpleStatementLine, int]:
    """The line of the simple statement at `location`, and which of its statements it is."""
    here = [node for node, _ in starts.get((location.line, location.column), ())]
    for nodes in starts.values():
        for line, _ in nodes:
            if isinstance(line, cst.SimpleStatementLine):
                for index, small in enumerate(line.body):
                    if any(small is node for node in here):
                        return line, index
    raise CannotFix(f"no such place: {location}")


def _replace(tree: cst.Module, old: cst.CSTNode, new: Any) -> cst.Module:
    replaced = tree.deep_replace(old, new)
    if not isinstance(replaced, cst.Module) or replaced is tree:
        raise CannotFix("the place is gone")
    return replaced


def _wrapped(
    line: cst.SimpleStatementLine, index: int, edit: Edit
) -> cst.With | cst.FlattenSentinel[cst.CSTNode]:
    """`with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):` around one
    statement of a line; those before and after it get lines of their own."""
    tf, scope = edit.value, f', scope="{edit.name}"' if edit.name else ""
    item = cst.parse_expression(
        f"{tf}.control_dependencies({tf}.get_collection({tf}.GraphKeys.UPDATE_OPS{scope}))"
    )
    before, after = line.body[:index], line.body[index + 1 :]
    inside = cst.SimpleStatementLine(
        [_unchained(line.body[index])],
        trailing_whitespace=cst.TrailingWhitespace() if after else line.trailing_whitespace,
    )
    block = cst.With(
        items=[cst.WithItem(item)],
        body=cst.IndentedBlock([inside]),
        leading_lines=() if before else line.leading_lines,
    )
    if not before and not after:
        return block
    parts: list[cst.CSTNode] = [block]
    if before:
        kept = [*before[:-1], _unchained(before[-1])]
        parts.insert(0, cst.SimpleStatementLine(kept, leading_lines=line.leading_lines))
    if after:
        parts.append(cst.SimpleStatementLine(after, trailing_whitespace=line.trailing_whitespace))
    return cst.FlattenSentinel(parts)


def _unchained(small: cst.BaseSmallStatement) -> cst.BaseSmallStatement:
    """The statement without the semicolon that follows it."""
    return small.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)


def _moved(tree: cst.Module, statement: cst.SimpleStatementLine, block: cst.With) -> cst.Module:
    if not isinstance(block.body, cst.IndentedBlock):
        raise CannotFix("the with block is on one line")
    moved = tree.visit(_Mover(statement, block))
    assert isinstance(moved, cst.Module)
    return moved


def _is_pass(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.SimpleStatementLine) and all(
        isinstance(small, cst.Pass) for small in node.body
    )


class _Mover(cst.CSTTransformer):
    """Takes a statement out of its place and puts it at the end of a with block."""

    def __init__(self, statement: cst.SimpleStatementLine, block: cst.With) -> None:
        self.statement = statement
        self.block = block

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.RemovalSentinel:
        if original_node is self.statement:
            return cst.RemoveFromParent()
        return updated_node

    def leave_With(self, original_node: cst.With, updated_node: cst.With) -> cst.With:
        if original_node is not self.block:
            return updated_node
        kept = [item for item in updated_node.body.body if not _is_pass(item)]
        body = updated_node.body.with_changes(body=[*kept, self.statement])
        return updated_node.with_changes(body=body)


def _with_keyword(call: cst.Call, name: str, value: str) -> cst.Call:
    expression = cst.parse_expression(value)
    args = list(call.args)
    for index, arg in enumerate(args):
        if arg.keyword is not None and arg.keyword.value == name:
            args[index] = arg.with_changes(value=expression)
            return call.with_changes(args=args)
    no_space = cst.SimpleWhitespace("")
    new = cst.Arg(
        keyword=cst.Name(name),
        value=expression,
        equal=cst.AssignEqual(whitespace_before=no_space, whitespace_after=no_space),
    )
    stars = [index for index, arg in enumerate(args) if arg.star == "**"]
    args.insert(stars[0] if stars else len(args), new)
    return call.with_changes(args=_with_commas(args, call.args))


def _with_commas(args: list[cst.Arg], old: Sequence[cst.Arg]) -> list[cst.Arg]:
    """Commas between arguments; a trailing comma stays last."""
    trailing = old[-1].comma if old else cst.MaybeSentinel.DEFAULT
    separator: cst.Comma | cst.MaybeSentinel = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    if len(old) > 1:
        separator = old[0].comma
    fixed = [
        arg if isinstance(arg.comma, cst.Comma) and arg is not args[-2] else
        arg.with_changes(comma=separator)
        for arg in args[:-1]
    ]  # fmt: skip
    return [*fixed, args[-1].with_changes(comma=trailing)]


def _without_keyword(call: cst.Call, name: str) -> cst.Call:
    kept = [arg for arg in call.args if arg.keyword is None or arg.keyword.value != name]
    if not name:  # the first argument by position; others by position would move up
        kept = list(call.args[1:])
        if any(arg.keyword is None for arg in kept):
            raise CannotFix("other arguments by position follow")
    if len(kept) == len(call.args):
        raise CannotFix(f"no argument {name}")
    if kept:
        kept[-1] = kept[-1].with_changes(comma=call.args[-1].comma)
    return call.with_changes(args=kept)


def fix_text(text: str, findings: Sequence[Finding], unsafe: bool) -> tuple[str, int]:
    """(the text after every fix that fits, how many were made).

    Fixes whose places overlap are left for a later round.
    """
    edits: list[Edit] = []
    taken: set[int] = set()
    count = 0
    for finding in findings:
        fix = finding.fix
        if fix is None or not (fix.safe or unsafe):
            continue
        lines = {line for edit in fix.edits for line in _lines(edit)}
        if lines & taken:
            continue
        try:
            apply_edits(text, [*edits, *fix.edits])
        except CannotFix:
            continue
        taken |= lines
        edits.extend(fix.edits)
        count += 1
    return (apply_edits(text, edits), count) if edits else (text, 0)


def _lines(edit: Edit) -> range:
    """Every line whose place an edit may change."""
    ends = [edit.location.line, edit.location.end_line or edit.location.line]
    if edit.target is not None:
        ends.append(edit.target.line)
    return range(min(ends), max(ends) + 1)


def fix_sources(
    run: LintRun, config: Config | Settings, unsafe: bool, cache: Cache | None = None
) -> tuple[dict[str, str], list[str]]:
    """Fixes every file of a run, again until nothing changes.

    Returns:
      path -> new text of the files that changed, and notes for the user.
    """
    from bnlint.lint.run import lint
    from bnlint.sources.files import Source

    changed: dict[str, str] = {}
    notes: list[str] = []
    current = run
    for _ in range(MAX_ROUNDS):
        fixed_now = {
            path: _fix_file(source, current, unsafe, notes)
            for path, source in current.sources.items()
        }
        fixed_now = {
            path: text for path, text in fixed_now.items() if text != current.sources[path].text
        }
        if not fixed_now:
            break
        changed |= fixed_now
        sources = [
            Source(item.path, item.module, changed.get(path, item.text), item.cells, item.encoding)
            for path, item in current.sources.items()
        ]
        current = lint(sources, config, cache=cache)
    return changed, list(dict.fromkeys(notes))


def _fix_file(source: object, run: LintRun, unsafe: bool, notes: list[str]) -> str:
    from bnlint.sources.files import Source

    assert isinstance(source, Source)
    findings = [
        finding
        for finding in run.report.findings
        if finding.fix is not None
        and all(edit.location.path == source.path for edit in finding.fix.edits)
    ]
    if findings and source.cells:
        notes.append(f"{source.path}: notebooks are not fixed")
        return source.text
    return fix_text(source.text, findings, unsafe)[0]
