"""Puts items into an outbox for ever; prints the id of each as soon as its put is answered."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from actors.outbox import Item, Outbox, OutboxBoard, Put
from actors.runtime import GuardedFuture, Runtime


def main() -> None:
    runtime = Runtime.system()
    ref = runtime.launch(Outbox(Path(sys.argv[1]), runtime.clock, OutboxBoard()))
    for number in count():
        future = GuardedFuture()
        ref.tell(Put((Item(f"id-{number}", "reading", "t", b"x", number),), future))
        future.get(timeout=10)
        print(f"id-{number}", flush=True)


if __name__ == "__main__":
    main()
