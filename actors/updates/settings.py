"""The section `[updates]` of the server's configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

from actors.updates.messages import Windows
from actors.updates.windows import Window

Site = Annotated[str, msgspec.Meta(pattern=r"^[^/+#\x00]{1,64}\Z")]


class UpdateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose releases are taken, how much room they have, and how much of the server their downloads."""

    keys: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=512)], ...], msgspec.Meta(max_length=32)] = ()
    """Public keys beside those in `release-keys/*.pub` of the data directory, each as the line of its file."""
    total_bytes: Annotated[int, msgspec.Meta(ge=2**20, le=2**50)] = 10 * 2**30
    """All releases and uploads together."""
    downloads: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 16
    """Downloads at a time; each has a thread of the server."""
    download_rate: Annotated[int, msgspec.Meta(ge=2**16, le=2**40)] | None = 32 * 2**20
    """Bytes a second of all downloads together."""
    windows: dict[Site, Window | Windows] = {}
    """When the devices of a site may be updated, by site; of any other at any time."""

    def windows_by_site(self) -> dict[str, Windows]:
        """Return the maintenance windows, of each site a tuple."""
        return {site: (given,) if isinstance(given, Window) else given for site, given in self.windows.items()}
