"""The server's parts: configuration, child processes, boot."""
