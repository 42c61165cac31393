"""`python -m bench [NAME ...]`: run all benchmarks, or the named ones."""

from __future__ import annotations

import importlib
import sys

NAMES = {
    "runtime": "tell and ask over pooled actors, against ThreadingActor",
    "heartbeats": "QoS 0 heartbeats into device state, against bare paho + json.loads",
    "ingest": "durable QoS 1 ingest, against bare paho + executemany + ack after commit",
    "latency": "publish to row visible at 200 messages/s; /api/health under full ingest",
    "fleet": "100,000 devices: start-up, memory, lateness of verdicts",
    "crash": "SIGKILL of the server in mid-stream, 50 times",
    "analysis": "one analysis and one update of what is usual, in microseconds",
    "sealed": "a sealed payload, sealed, opened and decoded, against a plain one",
    "notify": "a bulk of notifications through the ledger, against a bare paho publish loop",
    "edge": "an edge: how soon it is found and missed; memory and CPU at rest",
    "trust": "what safety costs: ingest over TLS and with a user for each device; backup; fifty downloads",
    "hostile": "/api/health while floods and slow clients are at the server",
    "pages": "open pages: what they cost the ingest, 200 streams, a page of 20,000 devices in a real browser",
    "soak": "100 publishers and 10 subscribers for ten minutes: memory",
}


def main() -> int:
    """Run what is named."""
    names = sys.argv[1:] or list(NAMES)
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in names:
        print(f"\n== {name}: {NAMES[name]}", flush=True)
        importlib.import_module(f"bench.{name}").run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
