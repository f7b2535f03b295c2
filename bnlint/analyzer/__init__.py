"""The static analyzer: from files to findings, without running or importing them."""
