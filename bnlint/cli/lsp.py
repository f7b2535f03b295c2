"""`bnlint lsp`: the language server."""

from __future__ import annotations

import signal

import click


@click.command()
@click.option("--stdio", is_flag=True, hidden=True, help="Clients pass it; stdio is all there is.")
def lsp(stdio: bool) -> None:
    """Run the language server on standard input and output, for an editor to start."""
    try:
        from bnlint.lsp.features import make_server
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"the language server needs {error.name}: pip install 'bnlint[lsp]'"
        ) from error
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # its event loop would not end at an exception
    make_server().start_io()
