"""bnlint.cli."""
