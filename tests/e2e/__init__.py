"""Muster from outside: real processes, a real broker, real databases, a real browser."""
