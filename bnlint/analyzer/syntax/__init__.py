"""From a file's text to its facts."""
