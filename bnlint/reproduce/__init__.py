"""`bnlint reproduce`: broken and repaired training programs, run and measured side by side."""
