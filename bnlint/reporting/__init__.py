"""bnlint.reporting."""
