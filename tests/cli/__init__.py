"""The command line, against a fake server."""
