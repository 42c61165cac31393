"""What every process of Muster needs, on the server and on a Pi: its end, its log, its lock, where a server is."""
