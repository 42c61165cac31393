"""What one reading costs the analysis: refuse, analyse, add to the baseline, explain; in microseconds."""

from __future__ import annotations

import random
import timeit
import tracemalloc
from collections.abc import Callable
from itertools import count

from actors.analysis import Baseline, SoilAnalyser

MINUTE_US = 60_000_000
READINGS = 2_000
ROUNDS = 9
BUDGETS = {"analyse": 6.0, "add": 5.0}
"""Microseconds for seven measures without anomalies."""
USUAL = {"N": 41.0, "P": 32.0, "K": 180.0, "CO2": 620.0, "Temperature": 21.5, "Moisture": 33.0, "pH": 6.4}
SITE = "field-7"


def readings(number: int) -> list[dict[str, float]]:
    draw = random.Random(7)
    return [{name: round(draw.gauss(value, value / 200), 2) for name, value in USUAL.items()} for _ in range(number)]


def microseconds(work: Callable[[dict[str, float]], object], samples: list[dict[str, float]]) -> float:
    """Return what one sample costs in the best of several rounds."""

    def all_samples() -> None:
        for sample in samples:
            work(sample)

    return min(timeit.repeat(all_samples, number=1, repeat=ROUNDS)) / len(samples) * 1e6


def bytes_of_a_baseline(samples: list[dict[str, float]]) -> int:
    """Return the memory of a baseline whose windows are full."""
    baseline = Baseline()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number, sample in enumerate(samples):
        baseline.add(number * MINUTE_US, {name: value + 0.0 for name, value in sample.items()})  # numbers of its own
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert baseline.fences("pH") is not None
    return after - before


def run() -> None:
    samples = readings(READINGS)
    soil, baseline, minutes = SoilAnalyser(), Baseline(), count()
    steps: dict[str, Callable[[dict[str, float]], object]] = {
        "add": lambda sample: baseline.add(next(minutes) * MINUTE_US, sample),
        "add too early": lambda sample: baseline.add(0, sample),
        "check": soil.check,
        "analyse": lambda sample: soil.analyse(sample, baseline, SITE),
        "analyse alone": lambda sample: soil.analyse(sample, None, SITE),
        "explain": lambda sample: soil.explain(sample, baseline, SITE),
    }
    for name, work in steps.items():
        if name == "add too early":
            baseline.add(0, samples[0])
        cost = microseconds(work, samples if name != "explain" else samples[:100])
        budget = f"   (budget {BUDGETS[name]:.0f} us)" if name in BUDGETS else ""
        print(f"{name:15}{cost:8.2f} us a reading of {len(USUAL)} measures{budget}", flush=True)
    print(f"{'baseline':15}{bytes_of_a_baseline(samples[:200]) / 1024:8.1f} KiB for {len(USUAL)} measures", flush=True)
