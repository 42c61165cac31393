"""The process `muster sensor-publisher`: settings, data directory, tree and report."""
