"""Files to lint: found, read, and written back; never executed."""
