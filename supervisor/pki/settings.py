"""What is configured of certificates: `[http.tls]` and `[pki]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from supervisor.pki.errors import PkiError


class HttpTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The certificate of page and API; without one they speak plain HTTP. A file that is replaced is taken at once."""

    cert: str = ""
    """PEM with the certificate and those between it and its authority."""
    key: str = ""
    """PEM with its private key; empty where `cert` has that too."""
    ca: str = ""
    """PEM that programs on this machine trust for it; empty: the authorities of the system."""

    def __post_init__(self) -> None:
        if (self.key or self.ca) and not self.cert:
            raise ValueError("`key` and `ca` belong to a `cert`, which is missing")


class Pki(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The authority that gives devices certificates with which the broker knows them."""

    directory: str = ""
    """Of the authority, as `muster pki init` makes it; made where it is missing. Empty: devices get no certificates."""
    broker_url: str = ""
    """Where the broker asks for certificates: what devices that have one are told. Empty: they are told none."""
    ca: str = ""
    """PEM that devices are told to trust for broker and page; empty: this authority, which has signed for both."""
    passphrase_file: str = ""
    """File whose first line opens the authority's key, where that is sealed."""
    device_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 365
    """How long a device's certificate is good; it renews it in the last third."""


def read_passphrase(path: Path) -> bytes:
    """Return the first line of a file, which opens an authority's key. Raises PkiError without one."""
    try:
        line = path.read_bytes().partition(b"\n")[0].strip()
    except OSError as error:
        raise PkiError("unreadable", f"{path} cannot be read: {error.strerror}.") from None
    if not line:
        raise PkiError("unreadable", f"{path} holds no passphrase: its first line is empty.")
    return line
