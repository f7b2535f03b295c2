"""bnlint.slim."""
