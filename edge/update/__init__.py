"""Updates of the edge: two slots, a launcher that flips back, and an updater that asks, downloads and installs."""
