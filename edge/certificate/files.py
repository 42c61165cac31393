"""The files of a device's certificate: key and certificate in one, which is replaced at once, and the authority."""

from __future__ import annotations

import importlib.util
import logging
import ssl
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

import msgspec

from edge.home import Places
from supervisor.process.private_file import write_private

logger = logging.getLogger(__name__)

CHILD_SECONDS = 60.0
"""For a key and a request, on the slowest of boards."""


class Request(NamedTuple):
    """A new key, and what the authority is to sign."""

    key: str
    csr: str

    def __repr__(self) -> str:
        return "Request(...)"


class Dates(NamedTuple):
    """How long a certificate is good, seconds since 1970 UTC."""

    begin: float
    end: float

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to renew it: in the last third of its life."""
        return now >= self.end - (self.end - self.begin) / 3


class CertificateFiles:
    """Where they are, and how they are made; every method blocks for a moment."""

    def __init__(self, home: Places, device_id: str) -> None:
        self.path, self.ca = home.certificate, home.ca
        self._device_id = device_id
        self._dates: tuple[int, Dates | None] = (0, None)

    def request(self) -> Request | None:
        """Return a new key with its request; None where the library for it is not installed (extra `ota`)."""
        if importlib.util.find_spec("cryptography") is None:
            return None
        told = _run("request", self._device_id)
        return Request(told["key"], told["request"]) if told else None

    def keep(self, key: str, certificate: str, ca: str) -> bool:
        """Keep a certificate, durably, from one moment to the next; False, with a warning, for one that is of no use.

        Raises:
            OSError: the disk is full, or gone.

        """
        combined = (key + certificate).encode()
        if not self._fits(combined):
            logger.warning("The certificate that the server has issued does not belong to our key; it is not used.")
            return False
        self.keep_authority(ca)
        write_private(self.path, combined, durable=True)
        return True

    def keep_authority(self, ca: str) -> None:
        """Keep the authority that server and broker are to be trusted by; nothing if there is none. Raises OSError."""
        if not ca:
            return
        try:
            ssl.create_default_context(cadata=ca)
        except (ssl.SSLError, ValueError):
            logger.warning("The authority that the server names cannot be read; it is not used.")
            return
        write_private(self.ca, ca.encode(), durable=True)

    def dates(self) -> Dates | None:
        """Return how long the certificate is good; None without one that can be read."""
        try:
            stamp = self.path.stat().st_mtime_ns
        except OSError:
            return None
        if stamp != self._dates[0]:
            told = _run("dates", str(self.path))
            self._dates = (stamp, Dates(told["begin"], told["end"]) if told else None)
        return self._dates[1]

    def _fits(self, combined: bytes) -> bool:
        with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=".try-") as trial:  # 0600
            trial.write(combined)
            trial.flush()
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(trial.name)
            except (ssl.SSLError, ValueError):
                return False
        return True


def _run(*arguments: str) -> dict[str, Any]:
    """Return what the child tells; nothing when it fails, which is logged."""
    command = [sys.executable, "-P", "-m", "edge.certificate.child", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=CHILD_SECONDS, check=True
        )
        return msgspec.json.decode(done.stdout, type=dict[str, Any])
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        said = getattr(error, "stderr", None) or b""
        logger.warning("certificate: %s failed: %s", arguments[0], said.decode(errors="replace")[-300:] or error)
        return {}
