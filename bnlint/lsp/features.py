"""What the server does with each message of the client."""

from __future__ import annotations

from collections.abc import Sequence

from lsprotocol import types

from bnlint.lsp.server import DEBOUNCE, WATCHED, BnlintServer, fix_all, hover_text, quick_fixes

_KINDS = [types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll]


def make_server() -> BnlintServer:
    """A server with every feature, ready for `start_io()`."""
    server = BnlintServer()
    _add_lifecycle(server)
    _add_changes(server)
    _add_requests(server)
    return server


def _add_lifecycle(server: BnlintServer) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        options = params.initialization_options
        if isinstance(options, dict):
            server.documentation = str(options.get("documentationUrl") or "")

    @server.feature(types.INITIALIZED)
    async def initialized(params: types.InitializedParams) -> None:
        server.changed(rediscover=True)
        workspace = server.client_capabilities.workspace
        watched = workspace.did_change_watched_files if workspace else None
        if watched is not None and watched.dynamic_registration:
            watchers = [types.FileSystemWatcher(glob_pattern=pattern) for pattern in WATCHED]
            registration = types.Registration(
                id="bnlint-files",
                method=types.WORKSPACE_DID_CHANGE_WATCHED_FILES,
                register_options=types.DidChangeWatchedFilesRegistrationOptions(watchers),
            )
            await server.client_register_capability_async(types.RegistrationParams([registration]))


def _add_changes(server: BnlintServer) -> None:
    """pygls keeps the documents; here they are only linted again."""

    def at_once(server: BnlintServer, params: object) -> None:
        server.changed(rediscover=True)

    def after_a_pause(server: BnlintServer, params: object) -> None:
        server.changed(rediscover=False, wait=DEBOUNCE)

    for method in (
        types.TEXT_DOCUMENT_DID_OPEN,
        types.TEXT_DOCUMENT_DID_SAVE,
        types.TEXT_DOCUMENT_DID_CLOSE,
        types.NOTEBOOK_DOCUMENT_DID_OPEN,
        types.NOTEBOOK_DOCUMENT_DID_SAVE,
        types.NOTEBOOK_DOCUMENT_DID_CLOSE,
        types.WORKSPACE_DID_CHANGE_WATCHED_FILES,
        types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS,
    ):
        server.feature(method)(at_once)
    for method in (types.TEXT_DOCUMENT_DID_CHANGE, types.NOTEBOOK_DOCUMENT_DID_CHANGE):
        server.feature(method)(after_a_pause)


def _add_requests(server: BnlintServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        span = types.Range(params.position, params.position)
        touched = server.at(params.text_document.uri, span)
        if not touched:
            return None
        text = hover_text([finding for finding, _ in touched])
        content = types.MarkupContent(types.MarkupKind.Markdown, text)
        return types.Hover(content, touched[0][1].range)

    options = types.CodeActionOptions(code_action_kinds=_KINDS)

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, options)
    async def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        await server.settled()
        uri = params.text_document.uri
        wanted = params.context.only
        actions: list[types.CodeAction] = []
        if not server.is_current(uri):
            return actions
        if _wants(wanted, types.CodeActionKind.QuickFix):
            for finding, shown in server.at(uri, params.range):
                actions += quick_fixes(server, uri, finding, shown)
        if _wants(wanted, types.CodeActionKind.SourceFixAll):
            actions += fix_all(server, uri)
        return actions


def _wants(wanted: Sequence[types.CodeActionKind | str] | None, kind: types.CodeActionKind) -> bool:
    """The client asked for every kind, for this one, or for one above it ("source")."""
    if not wanted:
        return True
    names = [item.value if isinstance(item, types.CodeActionKind) else item for item in wanted]
    return any(kind.value == name or kind.value.startswith(f"{name}.") for name in names)
