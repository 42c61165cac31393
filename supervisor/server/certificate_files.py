"""Which certificates a server goes by, and how long they are good: for the alarm and for `muster doctor`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from supervisor.server.config import Config


def certificate_files(config: Config) -> list[Path]:
    """Return the files: those that are configured, those of the authority, and those of a broker of our own."""
    given = [file for broker in config.brokers for file in (broker.tls.ca, broker.tls.cert)]
    given += [config.http.tls.cert, config.http.tls.ca, config.pki.ca]
    made = config.data_path / "broker"
    own = [*made.glob("*.crt"), *made.glob("*.pem")]
    directory = Path(config.pki.directory) if config.pki.directory else config.data_path / "pki"
    own += [*directory.glob("ca.pem"), *directory.glob("servers/*.pem")]
    return list(dict.fromkeys([*(Path(file) for file in given if file), *sorted(own)]))


def first_end(path: Path) -> dt.datetime:
    """Return when the first certificate of a file ends.

    Raises:
        OSError: it cannot be read.
        ValueError: there is none in it.

    """
    found = x509.load_pem_x509_certificates(path.read_bytes())
    return min(each.not_valid_after_utc for each in found)


def ends_of(files: list[Path]) -> Iterator[tuple[str, float]]:
    """Yield the files that can be read, with the seconds since 1970 UTC at which the first of each ends."""
    for path in files:
        try:
            yield str(path), first_end(path).timestamp()
        except (OSError, ValueError):
            continue
