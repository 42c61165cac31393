"""What runs out while everything works: the disk, and certificates."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography import x509
from prometheus_client.core import GaugeMetricFamily, Metric

from supervisor.server.parts import Parts

logger = logging.getLogger(__name__)


def supply_metrics(parts: Parts) -> Iterator[Metric]:
    """Yield the room on the disk of the data directory, and when each certificate of the configuration ends.

    Both are read when they are asked for: files are changed by others.
    """
    try:
        usage = shutil.disk_usage(parts.config.data_path)
    except OSError as error:
        logger.warning("the disk of the data directory cannot be looked at: %s", error)
    else:
        yield GaugeMetricFamily("muster_disk_free_bytes", "Room on the disk of the data directory.", value=usage.free)
        yield GaugeMetricFamily("muster_disk_size_bytes", "Size of that disk.", value=usage.total)
    ends = GaugeMetricFamily(
        "muster_certificate_expiry_timestamp_seconds", "When a certificate ends.", labels=["certificate"]
    )
    for name, path in _certificates(parts).items():
        if (end := _end_of(path)) is not None:
            ends.add_metric([name], end)
    yield ends


def _certificates(parts: Parts) -> Mapping[str, Path]:
    """Return the files of the certificates that this server shows to others, and of its authority."""
    config = parts.config
    files = {"http": config.http.tls.cert} | {f"broker.{broker.name}": broker.tls.cert for broker in config.brokers}
    found = {name: Path(file) for name, file in files.items() if file}
    return found if parts.pki is None else {**found, "authority": parts.pki.authority.ca_file}


def _end_of(path: Path) -> float | None:
    """Return when the first certificate of a file ends, seconds since 1970; None where it cannot be read."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc.timestamp()
    except (OSError, ValueError) as error:
        logger.warning("the certificate %s cannot be read: %s", path, error)
        return None
