"""The language server: diagnostics for the whole project, hover and quick fixes, over stdio."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lsprotocol import types
from pygls import uris
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from bnlint.findings import Finding, lines_of
from bnlint.lint.fixes import CannotFix, fix_text
from bnlint.lint.ignore_comments import ignored_text
from bnlint.lint.repairs import fixed_texts, line_edits
from bnlint.lint.run import LintRun
from bnlint.lsp.actions import text_edits
from bnlint.lsp.convert import Places, diagnostic, error_diagnostic
from bnlint.lsp.workspace import Snapshot, WorkspaceLinter
from bnlint.registry import all_rules, rule_set
from bnlint.reporting.explanation import explanation
from bnlint.version import version

DEBOUNCE = 0.3  # seconds without a keystroke before the project is linted again
PATIENCE = 5.0  # seconds that a request waits for a run; on large projects runs take longer
STACK = 256 * 2**20  # bytes: deeply nested code takes deep recursion (see bnlint.cli.main)
WATCHED = ("**/*.{py,pyw,ipynb}", "**/{pyproject,bnlint}.toml")


@dataclass
class Shown:
    """What the client was last told: (finding, its diagnostic) by document URI, and the run."""

    run: LintRun = field(default_factory=LintRun)
    findings: dict[str, list[tuple[Finding, types.Diagnostic]]] = field(default_factory=dict)
    published: set[str] = field(default_factory=set)


class BnlintServer(LanguageServer):
    """Lints the workspace when something changes, and answers from the last run."""

    def __init__(self) -> None:
        super().__init__(
            "bnlint",
            version(),
            notebook_document_sync=types.NotebookDocumentSyncOptions(
                [
                    types.NotebookDocumentFilterWithCells(
                        notebook=types.NotebookDocumentFilterNotebookType("jupyter-notebook"),
                        cells=[types.NotebookCellLanguage("python")],
                    )
                ]
            ),
        )
        self.linter = WorkspaceLinter()
        self.shown = Shown()
        self.documentation = ""  # base URL of the documentation site, from the client
        self._rediscover = True
        self._pending: asyncio.Task[None] | None = None
        self._running = asyncio.Lock()
        # One thread: a run at a time, with the stack that deep recursion needs.
        previous = threading.stack_size(STACK)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._thread.submit(int).result()
        threading.stack_size(previous)

    def changed(self, *, rediscover: bool, wait: float = 0.0) -> None:
        """Something changed: lint again after `wait` seconds without a further change."""
        self._rediscover |= rediscover
        if self._pending is not None:
            self._pending.cancel()
        self._pending = asyncio.get_running_loop().create_task(self._lint_after(wait))

    async def settled(self) -> None:
        """Returns when what is shown is about the documents as they are, or after PATIENCE."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while self._pending is not None and not self._pending.done():
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await asyncio.wait([self._pending], timeout=left)

    def is_current(self, uri: str) -> bool:
        """The document is as the last run read it, so that edits made from that run fit."""
        source = self.shown.run.sources.get(uris.to_fs_path(uri) or "")
        if source is None or source.cells:
            return self._pending is None or self._pending.done()
        return self.workspace.get_text_document(uri).source == source.text

    async def _lint_after(self, wait: float) -> None:
        await asyncio.sleep(wait)
        # A run that has begun is not interrupted; the one that a later change asks for waits.
        async with self._running:
            snapshot, self._rediscover = self._snapshot(), False
            loop = asyncio.get_running_loop()
            try:
                run = await loop.run_in_executor(self._thread, self.linter.lint, snapshot)
            except Exception as error:  # the server outlives a bug in one run
                self._log(f"internal error: {error!r}")
                return
            self._publish(run)

    def _log(self, message: str) -> None:
        self.window_log_message(types.LogMessageParams(types.MessageType.Error, message))

    def _snapshot(self) -> Snapshot:
        notebooks = {}
        cells = set()
        for notebook in self.workspace.notebook_documents.values():
            documents = [
                (cell.kind == types.NotebookCellKind.Code, cell.document) for cell in notebook.cells
            ]
            cells |= {uri for _, uri in documents}
            path = uris.to_fs_path(notebook.uri)
            if path:
                notebooks[path] = tuple(
                    (is_code, self.workspace.get_text_document(uri).source if is_code else "")
                    for is_code, uri in documents
                )
        buffers = {
            document.path: document.source
            for document in self.workspace.text_documents.values()
            if document.uri not in cells and uris.uri_scheme(document.uri) in ("", "file")
        }
        return Snapshot(self._folders(), buffers, notebooks, self._rediscover)

    def _folders(self) -> tuple[str, ...]:
        found = [uris.to_fs_path(folder.uri) for folder in self.workspace.folders.values()]
        if not found and self.workspace.root_path:
            found = [self.workspace.root_path]
        return tuple(dict.fromkeys(path.rstrip(os.sep) for path in found if path))

    def _publish(self, run: LintRun) -> None:
        """Tells the client about every document, and that others are clean again."""
        places = self._places(run)
        findings: dict[str, list[tuple[Finding, types.Diagnostic]]] = {}
        for finding in run.report.findings:
            uri = places.uri(finding.location.path, finding.location.cell)
            link = documentation_link(finding.code, self.documentation)
            findings.setdefault(uri, []).append((finding, diagnostic(finding, places, link)))
        diagnostics = {uri: [item for _, item in pairs] for uri, pairs in findings.items()}
        for error in run.report.errors:
            if os.path.exists(error.path):
                uri = places.uri(error.path, error.cell)
                diagnostics.setdefault(uri, []).append(error_diagnostic(error, places))
        for uri in self.shown.published - set(diagnostics):
            self._tell(uri, [])
        for uri, items in diagnostics.items():
            self._tell(uri, items)
        self.shown = Shown(run, findings, set(diagnostics))

    def _tell(self, uri: str, diagnostics: Sequence[types.Diagnostic]) -> None:
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, diagnostics))

    def _places(self, run: LintRun) -> Places:
        """Places in the documents as this run read them, by the names that the client gave."""
        known = {uris.to_fs_path(item.uri): item.uri for item in self._documents()}
        texts = run.texts()

        def uri(path: str, cell: int) -> str:
            document = known.get(path) or uris.from_fs_path(path) or path
            notebook = self.workspace.notebook_documents.get(document)
            if notebook is not None and 0 < cell <= len(notebook.cells):
                return notebook.cells[cell - 1].document
            return document

        @functools.cache
        def lines(uri: str) -> list[str]:
            path = uris.to_fs_path(uri) or ""
            if path in texts and not path.endswith(".ipynb"):
                return lines_of(texts[path])
            return list(self.workspace.get_text_document(uri).lines)

        return Places(uri, lines, self.workspace.position_codec)

    def _documents(self) -> list[types.NotebookDocument | TextDocument]:
        """Open documents and notebooks: both have a `uri`."""
        opened = [*self.workspace.text_documents.values()]
        return [*self.workspace.notebook_documents.values(), *opened]

    def at(self, uri: str, span: types.Range) -> list[tuple[Finding, types.Diagnostic]]:
        """The findings whose range touches `span`."""
        return [
            (finding, item)
            for finding, item in self.shown.findings.get(uri, ())
            if _order(item.range.start) <= _order(span.end)
            and _order(span.start) <= _order(item.range.end)
        ]


def _order(position: types.Position) -> tuple[int, int]:
    return (position.line, position.character)


def documentation_link(code: str, base: str) -> str | None:
    """A rule's page on the documentation site, or the rule file, which holds the same text."""
    if base:
        return f"{base.rstrip('/')}/rules/{code}/"
    file = rule_set().files.get(code, "")
    return Path(file).as_uri() if file else None


def edits_of(server: BnlintServer, changed: dict[str, str]) -> types.WorkspaceEdit:
    """New texts by path as edits of the documents that the last run read."""
    texts = server.shown.run.texts()
    places = server._places(server.shown.run)
    changes = {
        places.uri(path, 0): text_edits(line_edits(texts[path], after), texts[path])
        for path, after in changed.items()
    }
    return types.WorkspaceEdit(changes=changes)


def quick_fixes(
    server: BnlintServer, uri: str, finding: Finding, shown: types.Diagnostic
) -> list[types.CodeAction]:
    """The rule's repair, if it has one that fits, and the comment that silences the finding."""
    texts = dict(server.shown.run.texts())
    actions = []
    in_notebook = bool(finding.location.cell)
    fixed = None if in_notebook else fixed_texts(finding, texts)
    current = all(server.is_current(uris.from_fs_path(path) or path) for path in fixed or ())
    if fixed and current and finding.fix is not None:
        actions.append(
            types.CodeAction(
                title=f"{finding.fix.message} ({finding.code})",
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[shown],
                edit=edits_of(server, fixed),
                is_preferred=finding.fix.safe,
            )
        )
    before = (
        server.workspace.get_text_document(uri).source
        if in_notebook
        else texts[finding.location.path]
    )
    after = ignored_text(before, finding.location.line, finding.code)
    if after is not None and finding.code != "BN001":
        edits = text_edits(line_edits(before, after), before)
        actions.append(
            types.CodeAction(
                title=f"Ignore this {finding.code} finding",
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[shown],
                edit=types.WorkspaceEdit(changes={uri: edits}),
            )
        )
    return actions


def fix_all(server: BnlintServer, uri: str) -> list[types.CodeAction]:
    """Every safe repair in one document."""
    path = uris.to_fs_path(uri) or ""
    source = server.shown.run.sources.get(path)
    findings = [
        finding
        for finding, _ in server.shown.findings.get(uri, ())
        if finding.fix and all(edit.location.path == path for edit in finding.fix.edits)
    ]
    if source is None or not findings:
        return []
    try:
        text, count = fix_text(source.text, findings, unsafe=False)
    except CannotFix:
        return []
    if not count:
        return []
    return [
        types.CodeAction(
            "Fix all bnlint findings",
            types.CodeActionKind.SourceFixAll,
            edit=edits_of(server, {path: text}),
        )
    ]


def hover_text(findings: Sequence[Finding]) -> str:
    """The explanations of the rules of these findings, in Markdown."""
    rules = all_rules()
    codes = dict.fromkeys(finding.code for finding in findings)
    return "\n---\n".join(explanation(rules[code]) for code in codes if code in rules)
