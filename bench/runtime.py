"""The runtime against pykka's own: tells over many actors, asks, start, memory."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import pykka

from actors.runtime import PooledActor, Runtime

ACTORS = 10_000
TELLS = 200_000


class Gate:
    """Opens when a number of messages has been handled."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.lock = threading.Lock()
        self.open = threading.Event()

    def one(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.open.set()


class Pooled(PooledActor):
    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    def on_receive(self, message: object) -> object:
        if message == "ask":
            return "answer"
        self.gate.one()
        return None


class Threading(pykka.ThreadingActor):
    use_daemon_thread = True

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    def on_receive(self, message: object) -> object:
        if message == "ask":
            return "answer"
        with self.gate.lock:  # many threads count here, one there
            self.gate.one()
        return None


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def burst(refs: list, gate: Gate, tells: int) -> float:
    started = time.perf_counter()
    for number in range(tells):
        refs[number % len(refs)].tell(number)
    assert gate.open.wait(600)
    return tells / (time.perf_counter() - started)


def ask_us(ref: pykka.ActorRef, count: int = 2_000) -> float:
    started = time.perf_counter()
    for _ in range(count):
        ref.ask("ask", timeout=10)
    return (time.perf_counter() - started) / count * 1e6


def measure(kind: str, actors: int, tells: int) -> dict[str, float]:
    gate = Gate(tells)
    gc.collect()
    before, started = rss(), time.perf_counter()
    runtime = None
    if kind == "pooled":
        runtime = Runtime.system()
        runtime.start()
        refs = [runtime.launch(Pooled(gate)) for _ in range(actors)]
    else:
        # Not `start()`: pykka's registry is not what is measured.
        refs = [Runtime.system().launch(Threading(gate)) for _ in range(actors)]
    start_us = (time.perf_counter() - started) / actors * 1e6
    kib = (rss() - before) / actors / 1024
    rate = burst(refs, gate, tells)
    result = {"rate": rate, "start_us": start_us, "kib": kib, "ask_us": ask_us(refs[actors // 2])}
    for ref in refs:
        if ref.is_alive():
            ref.stop(block=False)
    if runtime is not None:
        runtime.stop()
    return result


def run() -> None:
    for actors, tells in ((1_000, TELLS), (ACTORS, TELLS)):
        pooled = measure("pooled", actors, tells)
        threads = measure("threads", actors, tells)
        ratio = pooled["rate"] / threads["rate"]
        rates = f"{pooled['rate']:9.0f} tells/s pooled, {threads['rate']:8.0f} threads"
        print(f"{actors:6d} actors: {rates}: {ratio:.0f} times")
        for key, unit in (("start_us", "us to start one"), ("kib", "KiB each"), ("ask_us", "us for an ask")):
            print(f"{'':15}{pooled[key]:8.1f} {unit} pooled, {threads[key]:8.1f} threads", flush=True)
