"""`python -m supervisor.cli` is `muster`."""

from __future__ import annotations

from . import main

main()
