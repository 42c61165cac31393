"""What the tests stand on: real servers on free ports, processes that are always reaped, waits with a deadline."""
