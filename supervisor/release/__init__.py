"""Releases of the edge: one signed file with everything that a device installs, and what may be believed of it.

A pure library for both sides: `muster release` builds and signs, the server keeps, a device verifies and unpacks.
Nothing here is loaded before it is used: importing `cryptography` costs a device more memory than the rest of it all.
"""
