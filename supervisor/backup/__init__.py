"""Encrypted backups of a server: made while it runs, verified after writing, restored in one step."""
