"""What a link sleeps in: a selector over the broker's socket and a wake-up that other threads may pull."""

from __future__ import annotations

import contextlib
import selectors
import socket


class Poller:
    """Waits for one socket and for `wake()`. Only `wake` may be called by other threads."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._selector.register(self._reader, selectors.EVENT_READ)
        self._signalled = False
        self._watched: socket.socket | None = None
        self._events = 0

    def wake(self) -> None:
        """End the current or the next wait. Costs a system call only if nobody has called since the last wait."""
        if not self._signalled:
            self._signalled = True
            with contextlib.suppress(OSError):  # closed: nobody waits any more
                self._writer.send(b"\0")

    def watch(self, sock: socket.socket | None, *, read: bool, write: bool) -> None:
        """Choose what the next waits look for."""
        events = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        if sock is None or not events:
            self.forget()
        elif self._watched is None:
            self._selector.register(sock, events)
            self._watched, self._events = sock, events
        elif sock is not self._watched:
            self.forget()
            self.watch(sock, read=read, write=write)
        elif events != self._events:
            self._selector.modify(sock, events)
            self._events = events

    def forget(self) -> None:
        """Stop watching the socket; has to happen before it is closed."""
        if self._watched is not None:
            self._selector.unregister(self._watched)
            self._watched, self._events = None, 0

    def wait(self, timeout: float) -> tuple[bool, bool]:
        """Sleep until something happens, at most `timeout` seconds; return (readable, writable)."""
        readable = writable = False
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._reader:
                with contextlib.suppress(BlockingIOError):
                    self._reader.recv(64)
                # Only after the byte is gone: a putter that still sees the flag has put before we look at the mailbox.
                self._signalled = False
            else:
                readable = bool(events & selectors.EVENT_READ)
                writable = bool(events & selectors.EVENT_WRITE)
        return readable, writable

    def close(self) -> None:
        """Release the descriptors."""
        self._watched = None
        self._selector.close()
        self._reader.close()
        self._writer.close()
