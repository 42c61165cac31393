"""Enrolment: a device exchanges the fleet's key, once, for credentials of its own.

`rules` decides, `actor` carries it out, `proofs` shows a device that this server knows the key too.
"""
