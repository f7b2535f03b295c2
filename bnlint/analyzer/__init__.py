"""bnlint.analyzer."""
