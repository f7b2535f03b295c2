"""The language server: `bnlint lsp`, for editors (extra `bnlint[lsp]`)."""
