"""The runtime on a Pi."""
