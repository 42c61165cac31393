"""Where broker and server are: as configured, else where the running server of this user says they are.

A server that was started anew may have other ports and another token, so both are looked up whenever a connection is
made. What a server left in the runtime directory is used only for that server: a publisher that was given a broker of
its own does not post to the server next door, and the other way round.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from actors.link.options import BrokerOptions, BrokerURLError, parse_broker_url
from actors.uplink.mode import Configured
from actors.uplink.poster import ServerAddress
from supervisor.process.rundir import RuntimeDirectoryError, ServerFiles, find_server
from supervisor.server.settings import DEFAULT_BROKER_URL, Broker


class Places:
    """Answers on any thread; reads at most five small files."""

    def __init__(self, *, broker: Broker | None, server: str, token: str, rundir: Path, mode: Configured) -> None:
        """Assign.

        Args:
            broker: as configured, None when nobody named one.
            server: base URL as configured, empty when nobody named one.
            token: for that server; empty takes the one that the server of this user has left.
            rundir: where a server of this user leaves its files.
            mode: as configured; `api` needs no broker.

        """
        self._broker, self._server, self._token, self._rundir, self._mode = broker, server, token, rundir, mode

    def __repr__(self) -> str:
        return f"Places(broker={self.broker_name()}, server={self._server or 'of this user'})"

    def broker(self) -> BrokerOptions | None:
        """Return how to connect to the broker now; None when there is none for us."""
        if self._mode == "api":
            return None
        if self._broker is not None:
            return _options(self._broker)
        running = self._running()
        if running is not None and (not self._server or running.url.rstrip("/") == self._server):
            try:
                return replace(parse_broker_url(running.broker_url), keepalive=Broker().keepalive)
            except BrokerURLError:
                return None
        return None if self._server else parse_broker_url(DEFAULT_BROKER_URL)

    def broker_name(self) -> str:
        """Return `host:port` of the broker, for people."""
        options = self.broker()
        return options.address if options is not None else ""

    def server(self) -> ServerAddress | None:
        """Return where to post now; None while nobody knows, and where posting is not wanted."""
        if self._mode == "mqtt":
            return None
        running = self._running()
        if self._server:
            ours = running is not None and running.url.rstrip("/") == self._server
            return ServerAddress(self._server, self._token or (running.token if running is not None and ours else ""))
        if running is None or (self._broker is not None and not self._is_broker_of(running)):
            return None
        return ServerAddress(running.url, self._token or running.token)

    def _is_broker_of(self, running: ServerFiles) -> bool:
        assert self._broker is not None
        try:
            theirs = parse_broker_url(running.broker_url)
        except BrokerURLError:
            return False
        return (theirs.host, theirs.port) == (self._broker.host, self._broker.port)

    def _running(self) -> ServerFiles | None:
        try:
            return find_server(self._rundir)
        except (RuntimeDirectoryError, OSError):
            return None


def _options(broker: Broker) -> BrokerOptions:
    return replace(
        parse_broker_url(broker.url),
        keepalive=broker.keepalive,
        ca_file=broker.tls.ca,
        cert_file=broker.tls.cert,
        key_file=broker.tls.key,
    )
