"""Device twins: what operators desire of a device, what it reports, and the difference between the two."""
