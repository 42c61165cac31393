"""Benchmarks: each compares in one run and prints ratios; figures of one run are in `docs/benchmarks.md`."""
