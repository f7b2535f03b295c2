"""bnlint's rules, one file each. To add one, add a file with a module-level `RULE`."""
