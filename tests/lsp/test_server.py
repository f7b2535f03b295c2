"""The language server, driven by a real client over stdio."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient

NETS = """\
import tensorflow.compat.v1 as tf

def net(x, training):
    h = tf.layers.dense(x, 8)
    h = tf.layers.batch_normalization(h, training=training)
    return tf.layers.dense(h, 10)
"""
TRAIN = """\
import tensorflow.compat.v1 as tf
from nets import net

x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.int32, [None])
loss = tf.losses.sparse_softmax_cross_entropy(y, net(x, True))
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    for _ in range(10000):
        sess.run(train_op)
"""
LINE = 6  # of the train op, 0-based
COLUMN = len("train_op = ")
SERVER = [sys.executable, "-m", "bnlint.cli.main", "lsp", "--stdio"]


class Session:
    """One client, its server, and a project folder with train.py and nets.py."""

    def __init__(self, client: LanguageClient, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.versions: dict[str, int] = {}

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def open(self, name: str, text: str) -> None:
        self.client.text_document_did_open(
            types.DidOpenTextDocumentParams(
                types.TextDocumentItem(self.uri(name), types.LanguageKind.Python, 1, text)
            )
        )

    def change(self, name: str, text: str) -> None:
        version = self.versions[name] = self.versions.get(name, 1) + 1
        whole = types.TextDocumentContentChangeWholeDocument(text)
        document = types.VersionedTextDocumentIdentifier(version, self.uri(name))
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [whole]))

    def codes(self, name: str) -> list[object]:
        return [item.code for item in self.client.diagnostics.get(self.uri(name), ())]

    async def until(self, name: str, codes: Sequence[str]) -> list[types.Diagnostic]:
        """Waits until the document's diagnostics have these codes."""

        async def shown() -> None:
            while self.codes(name) != list(codes):
                await asyncio.sleep(0.05)

        await asyncio.wait_for(shown(), 60)
        return list(self.client.diagnostics.get(self.uri(name), ()))

    async def actions(
        self, name: str, span: types.Range, only: Sequence[types.CodeActionKind] | None = None
    ) -> list[types.CodeAction]:
        document = types.TextDocumentIdentifier(self.uri(name))
        context = types.CodeActionContext([], only)
        found = await self.client.text_document_code_action_async(
            types.CodeActionParams(document, span, context)
        )
        return [item for item in found or () if isinstance(item, types.CodeAction)]


@pytest_lsp.fixture(config=ClientServerConfig(server_command=SERVER))
async def client(lsp_client: LanguageClient, tmp_path: Path) -> AsyncIterator[None]:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "train.py").write_text(TRAIN)
    folder = types.WorkspaceFolder(tmp_path.as_uri(), "project")
    await lsp_client.initialize_session(
        types.InitializeParams(types.ClientCapabilities(), workspace_folders=[folder])
    )
    yield
    await lsp_client.shutdown_session()


@pytest.fixture
def session(client: LanguageClient, tmp_path: Path) -> Session:
    return Session(client, tmp_path)


def applied(text: str, edits: Sequence[types.TextEdit | object]) -> str:
    """`text` after the edits, as a client makes them: from the last to the first."""
    lines = text.splitlines(keepends=True)
    starts = [sum(len(line) for line in lines[:number]) for number in range(len(lines) + 1)]

    def offset(position: types.Position) -> int:
        line = lines[position.line] if position.line < len(lines) else ""
        ends = line.rstrip("\n").encode("utf-16-le")[: 2 * position.character]
        return starts[position.line] + len(ends.decode("utf-16-le"))

    for edit in reversed(edits):
        assert isinstance(edit, types.TextEdit)
        start, end = offset(edit.range.start), offset(edit.range.end)
        text = text[:start] + edit.new_text + text[end:]
    return text


def edited(action: types.CodeAction, uri: str, text: str) -> str:
    assert action.edit is not None and action.edit.changes is not None
    return applied(text, action.edit.changes[uri])


@pytest.mark.asyncio
async def test_the_whole_project_is_linted_before_a_file_is_open(session: Session) -> None:
    (found,) = await session.until("train.py", ["BN101"])
    assert found.source == "bnlint" and found.severity == types.DiagnosticSeverity.Error
    assert found.range.start == types.Position(LINE, COLUMN)
    assert "UPDATE_OPS" in found.message
    (related,) = found.related_information or ()
    assert related.location.uri == session.uri("nets.py")
    assert related.location.range.start.line == 4
    assert found.code_description is not None
    link = Path(found.code_description.href.removeprefix("file://"))
    assert link.name == "bn101_missing_update_ops.py" and link.is_file()


@pytest.mark.asyncio
async def test_columns_count_in_utf16(session: Session) -> None:
    session.open("train.py", TRAIN.replace("train_op = tf", "é = '🙂'; train_op = tf"))
    await session.until("train.py", ["BN101"])
    await session.actions("train.py", types.Range(types.Position(0, 0), types.Position(0, 0)))
    (found,) = session.client.diagnostics[session.uri("train.py")]
    before = len("é = '🙂'; ") + 1  # the emoji is two units
    assert found.range.start == types.Position(LINE, before + COLUMN)


@pytest.mark.asyncio
async def test_an_unsaved_buffer_counts_for_the_other_files(session: Session) -> None:
    await session.until("train.py", ["BN101"])
    session.open("nets.py", NETS)
    session.change("nets.py", NETS.replace("training=training", "training=False"))
    await session.until("train.py", [])
    assert (session.folder / "nets.py").read_text() == NETS
    session.change("nets.py", NETS)
    await session.until("train.py", ["BN101"])


@pytest.mark.asyncio
async def test_closing_without_saving_goes_back_to_the_disk(session: Session) -> None:
    session.open("train.py", "x = 1\n")
    await session.until("train.py", [])
    session.client.text_document_did_close(
        types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(session.uri("train.py")))
    )
    await session.until("train.py", ["BN101"])


@pytest.mark.asyncio
async def test_saved_settings_take_effect(session: Session) -> None:
    await session.until("train.py", ["BN101"])
    (session.folder / "pyproject.toml").write_text('[tool.bnlint]\nignore = ["BN101"]\n')
    session.client.text_document_did_save(
        types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(session.uri("pyproject.toml")))
    )
    await session.until("train.py", [])


@pytest.mark.asyncio
async def test_broken_settings_are_said_and_the_project_is_still_linted(session: Session) -> None:
    await session.until("train.py", ["BN101"])
    (session.folder / "pyproject.toml").write_text("[tool.bnlint]\nselekt = []\n")
    session.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([]))
    (found,) = await session.until("pyproject.toml", [None])  # type: ignore[list-item]
    assert "selekt" in found.message
    assert session.codes("train.py") == ["BN101"]


@pytest.mark.asyncio
async def test_a_file_that_does_not_parse_is_named(session: Session) -> None:
    session.open("train.py", "import nets; tensorflow.minimize( $\n")
    (found,) = await session.until("train.py", [None])  # type: ignore[list-item]
    assert found.severity == types.DiagnosticSeverity.Warning
    assert "syntax error" in found.message
    session.change("train.py", TRAIN)
    await session.until("train.py", ["BN101"])


@pytest.mark.asyncio
async def test_hover_explains_the_rule(session: Session) -> None:
    await session.until("train.py", ["BN101"])
    document = types.TextDocumentIdentifier(session.uri("train.py"))
    hover = await session.client.text_document_hover_async(
        types.HoverParams(document, types.Position(LINE, COLUMN + 3))
    )
    assert hover is not None and isinstance(hover.contents, types.MarkupContent)
    assert hover.contents.kind == types.MarkupKind.Markdown
    assert hover.contents.value.startswith("# BN101 missing-update-ops")
    assert "How to repair it" in hover.contents.value
    elsewhere = types.HoverParams(document, types.Position(0, 0))
    assert await session.client.text_document_hover_async(elsewhere) is None


@pytest.mark.asyncio
async def test_quick_fixes_repair_or_silence(session: Session) -> None:
    session.open("train.py", TRAIN)
    (found,) = await session.until("train.py", ["BN101"])
    fix, ignore = await session.actions("train.py", found.range, [types.CodeActionKind.QuickFix])
    assert fix.is_preferred and list(fix.diagnostics or ()) == [found]
    uri = session.uri("train.py")

    fixed = edited(fix, uri, TRAIN)
    assert "    train_op = tf.train.AdamOptimizer().minimize(loss)\n" in fixed
    session.change("train.py", fixed)
    await session.until("train.py", [])

    silenced = edited(ignore, uri, TRAIN)
    assert "minimize(loss)  # bnlint: ignore[BN101]\n" in silenced
    session.change("train.py", silenced)
    await asyncio.sleep(0)
    assert await session.actions("train.py", found.range) == []  # waits for the run
    assert session.codes("train.py") == []


@pytest.mark.asyncio
async def test_fix_all_is_offered_for_the_whole_file(session: Session) -> None:
    session.open("train.py", TRAIN)
    await session.until("train.py", ["BN101"])
    top = types.Range(types.Position(0, 0), types.Position(0, 0))
    (action,) = await session.actions("train.py", top, [types.CodeActionKind.Source])
    assert action.kind == types.CodeActionKind.SourceFixAll
    assert "control_dependencies" in edited(action, session.uri("train.py"), TRAIN)


@pytest.mark.asyncio
async def test_notebook_cells_get_their_own_diagnostics(session: Session) -> None:
    first, second = TRAIN.split("loss =", 1)
    texts = ["%matplotlib inline\n" + first, "loss =" + second]
    cells = [f"vscode-notebook-cell:{session.folder}/a.ipynb#{n}" for n in range(2)]
    session.client.notebook_document_did_open(
        types.DidOpenNotebookDocumentParams(
            types.NotebookDocument(
                session.uri("a.ipynb"),
                "jupyter-notebook",
                1,
                [types.NotebookCell(types.NotebookCellKind.Code, uri) for uri in cells],
            ),
            [
                types.TextDocumentItem(uri, types.LanguageKind.Python, 1, text)
                for uri, text in zip(cells, texts, strict=True)
            ],
        )
    )

    async def shown() -> Sequence[types.Diagnostic]:
        while not session.client.diagnostics.get(cells[1]):
            await asyncio.sleep(0.05)
        return session.client.diagnostics[cells[1]]

    (found,) = await asyncio.wait_for(shown(), 60)
    assert found.code == "BN101" and found.range.start == types.Position(1, 11)
    context = types.CodeActionContext([])
    (action,) = (
        await session.client.text_document_code_action_async(
            types.CodeActionParams(types.TextDocumentIdentifier(cells[1]), found.range, context)
        )
        or ()
    )
    assert isinstance(action, types.CodeAction)
    assert "minimize(loss)  # bnlint: ignore[BN101]" in edited(action, cells[1], texts[1])
