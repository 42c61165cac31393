"""A certificate authority of one's own in a directory: certificates of servers and of devices, and which are revoked.

A library for the server, for `muster pki` and for tests; it knows nothing of brokers or of HTTP. This module imports
nothing: x509 takes a tenth of a second, which not every command has to wait for.
"""
