"""Payloads between the server and one device that no broker on the way can read or forge."""
