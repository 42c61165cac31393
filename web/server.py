"""`HttpActor`: the HTTP server as a supervised actor."""

from __future__ import annotations

import errno
import logging
import os
import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from actors.runtime import ThreadedActor
from web.app import make_app
from web.downloads import Downloads
from web.face import Face
from web.limits import Limits, Rates
from web.listener import STOP_WITHIN, Listener
from web.proxies import Dialect, Proxies
from web.pump import CHECK_EVERY, Pump
from web.site import Places, Site, Slots
from web.static import Assets
from web.tls import TlsAdapter, TlsBoard

logger = logging.getLogger(__name__)

STREAMS_OF_FILES = 4
"""One in so many files that the process may have open may be an event stream: others need theirs."""
WATCH_EVERY = 1.0
"""Seconds between two looks for slow requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Where and how large the server is."""

    host: str = "127.0.0.1"
    port: int = 5000
    """0 takes a free one; `on_bound` tells which."""
    threads: int = 16
    """Requests answered at a time, downloads not counted."""
    streams: int = 256
    """Event streams open at a time; one thread serves all of them."""
    downloads: int = 16
    """Downloads of releases at a time; each has a thread of its own beside those of the API."""
    download_rate: float | None = None
    """Bytes a second of all of them together; None for any."""
    rates: Rates = field(default_factory=Rates)
    proxies: tuple[str, ...] = ()
    """Addresses and networks of reverse proxies in front."""
    forwarded: Dialect = "x-forwarded"
    """The headers in which they tell who has called them."""
    cert: str = ""
    """PEM with the certificate for https; empty: plain HTTP."""
    key: str = ""
    """PEM with its key; empty where `cert` has that too."""
    tls_board: TlsBoard = field(default_factory=TlsBoard)
    """Where it is told what becomes of handshakes and certificates."""


class ServingEnded(NamedTuple):
    """A thread of the server has ended though nobody stopped it."""

    what: str
    error: BaseException | None


class HttpActor(ThreadedActor):
    """Serves the face. A port that cannot be bound is a failed start; a listener that dies is a crash."""

    def __init__(
        self,
        face: Face,
        settings: HttpSettings,
        on_bound: Callable[[str, int], None] | None = None,
    ) -> None:
        super().__init__()
        self._face = face
        self._settings = settings
        self._on_bound = on_bound
        self._listener: Listener | None = None
        self._pump: Pump | None = None
        self._stopping = threading.Event()

    def on_start(self) -> None:
        """Bind the port and serve. Raises OSError when the port cannot be had."""
        settings = self._settings
        site = Site(
            face=self._face,
            assets=Assets(),
            limits=Limits(settings.rates),
            streams=Places(_most_streams(settings.streams)),
            downloads=Downloads(Slots(settings.downloads), settings.download_rate),
            proxies=Proxies(settings.proxies, settings.forwarded),
            stop=self._stopping,
        )
        pump = Pump(self._face.ring, self._face.http)
        try:
            listener = self._listen(site, pump)
        except BaseException:
            pump.close()
            raise
        self._listener, self._pump = listener, pump
        self._keep_running("listener", listener.serve)
        self._keep_running("streams", pump.run)
        self._keep_running("checks", lambda: self._check(pump))
        self._keep_running("watch", lambda: self._watch(listener))
        host, port = listener.bind_addr[:2]
        logger.info("serving on %s://%s:%d", "https" if settings.cert else "http", host, port)
        if self._on_bound is not None:
            self._on_bound(host, port)

    def on_receive(self, message: Any) -> Any:
        """Turn the end of one of our threads into a crash of this actor, which the supervisor heals."""
        match message:
            case ServingEnded(what=what, error=error):
                raise RuntimeError(f"the thread {what} of the HTTP server ended by itself") from error
            case _:
                logger.warning("unexpected message: %r", type(message))

    def on_stop(self) -> None:
        """End streams, finish open requests, free the port; in bounded time."""
        self._close()

    def on_failure(self, *_: Any) -> None:
        """Free the port for the next incarnation."""
        self._close()

    def sever(self) -> None:
        """End streams and free the port from outside, without waiting for anything."""
        self._stopping.set()
        if self._pump is not None:
            self._pump.stop()
        listener = self._listener
        if listener is not None and listener.socket is not None:
            with suppress(OSError):
                listener.socket.close()

    def _close(self) -> None:
        self._stopping.set()
        if self._pump is not None:
            self._pump.stop()
        listener, self._listener = self._listener, None
        # A second more than the requests are given, for the listener itself.
        if listener is not None and not listener.stop_within(STOP_WITHIN + 1.0):
            logger.warning("requests were still running when the HTTP server stopped")

    def _listen(self, site: Site, pump: Pump) -> Listener:
        settings = self._settings
        threads = settings.threads + settings.downloads
        listener = Listener((settings.host, settings.port), make_app(site), threads, pump, self._face.http)
        if settings.cert:
            listener.ssl_adapter = TlsAdapter(settings.cert, settings.key, settings.tls_board)
        _bind(listener)
        return listener

    def _keep_running(self, what: str, work: Callable[[], None]) -> None:
        """Do work on a thread of its own, as long as this actor lives."""

        def run() -> None:
            error: BaseException | None = None
            try:
                work()
            except BaseException as caught:  # noqa: BLE001 - told to the actor, whatever it is
                error = caught
            if not self._stopping.is_set():
                self.actor_ref.tell(ServingEnded(what, error))

        threading.Thread(target=run, name=f"http-{what}", daemon=True).start()

    def _check(self, pump: Pump) -> None:
        while not self._stopping.wait(CHECK_EVERY):
            pump.check()

    def _watch(self, listener: Listener) -> None:
        while not self._stopping.wait(WATCH_EVERY):
            listener.cut_slow_requests()
            if isinstance(listener.ssl_adapter, TlsAdapter):
                listener.ssl_adapter.reload()


def _most_streams(wanted: int) -> int:
    """Return how many event streams are taken: those that are wanted, if this process may have files enough open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = min(wanted, files // STREAMS_OF_FILES)
    if most < wanted:
        logger.warning("this process may have %d files open: %d event streams are taken, not %d", files, most, wanted)
    return most


def _bind(listener: Listener) -> None:
    """Take the port. Raises OSError with a sentence for people, since most often another program has it."""
    host, port = listener.bind_addr[:2]
    try:
        listener.prepare()
    except OSError as error:
        # cheroot puts the reasons of all addresses that it tried into one text.
        taken = os.strerror(errno.EADDRINUSE) in str(error)
        reason = "it is taken by another program; choose another one with --http" if taken else str(error)
        raise OSError(f"{host}:{port} cannot be listened on: {reason}") from None
