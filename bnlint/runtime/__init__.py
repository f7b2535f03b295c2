"""bnlint.runtime."""
