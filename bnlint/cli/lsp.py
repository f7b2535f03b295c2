"""`bnlint lsp`: the language server."""

from __future__ import annotations

import click

from bnlint.lsp.features import make_server


@click.command()
@click.option("--stdio", is_flag=True, hidden=True, help="Clients pass it; stdio is all there is.")
def lsp(stdio: bool) -> None:
    """Run the language server on standard input and output, for an editor to start."""
    make_server().start_io()
