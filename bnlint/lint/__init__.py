"""A whole lint run: settings, findings, baseline, repairs. Used by the commands and the server."""
