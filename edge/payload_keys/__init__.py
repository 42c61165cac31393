"""Payloads that only the server can read: this device's key, its exchange for the server's, and its use on the link."""
