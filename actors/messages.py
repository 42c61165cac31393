"""Every message that crosses a border between actors: immutable values, each field documented.

The structs are `msgspec.Struct`: frozen like a dataclass, but made in a tenth of a dataclass's time, which the hot
path (one `Delivery` per MQTT message) needs. `gc=False` marks structs that can never be part of a reference cycle.
Times named `*_us` are microseconds since 1970 UTC; times named `*_at` are seconds on the monotonic clock.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Presence = Literal["online", "offline"]
Kind = Literal["raspberry_pi", "datalogger", "gateway", "sensor", "controller", "other"]
Reason = Literal["announce", "heartbeat", "data", "will", "goodbye", "timeout", "link_lost", "startup"]
Source = Literal["mqtt", "http"]


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One MQTT PUBLISH as a link received it."""

    link: str
    """Name of the link, for example `local.data`."""
    token: int
    """`connection epoch << 24 | lap << 16 | packet id`, see `actors.link.ledger`; 0 for QoS 0."""
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    live: bool
    """False for a retained message and for the backlog that precedes the data link's marker: no evidence of life."""
    rx_us: int
    """Server clock at receipt; strictly increasing on one link."""
    rx_at: float
    """Monotonic clock at receipt."""
    correlation: bytes = b""
    """Correlation data of MQTT 5, empty for none."""


class Deliveries(msgspec.Struct, frozen=True):
    """A batch from a link to a subscriber, in the order of receipt; empty batches carry only the watermark."""

    link: str
    items: list[Delivery]
    handled_until_at: float
    """Everything the link received before this moment is in this or an earlier batch."""
    number: int = 0
    """Counts the batches of one link to one subscriber, see `actors.sight.Sight.sent`; 0 for what is told again."""


class Settled(msgspec.Struct, frozen=True):
    """From the writer to a link: these have ended (committed, duplicate or dead-lettered); acknowledge them."""

    tokens: list[int]


class DeviceSnapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one device: the immutable state its actor publishes and the row the registry keeps."""

    serial: str
    kind: Kind
    family: str
    """The family of topics it spoke first, which fixes its kind: `pi`, `datalogger`, `gateway` or `sensor`."""
    type: str = ""
    device_id: str = ""
    """The id in its topics: `7` of `plant/gateway/7/heartbeat`."""
    site: str = ""
    label: str = ""
    group: str = ""
    presence: Presence = "offline"
    """As stored; `unknown` is derived from the link's sight (see `actors.presence`)."""
    reason: Reason = "startup"
    since_us: int = 0
    """When `presence` last changed."""
    ip_address: str = ""
    hostname: str = ""
    mac_address: str = ""
    first_seen_us: int = 0
    last_seen_us: int = 0
    offline_after: float | None = None
    """Seconds of silence, set for this device alone; None follows the policy of its kind."""
    quarantined: bool = False
    pinned: bool = False
    """The operator's choice for `muster resolve`."""
    services: bytes = b""
    """JSON object as announced, or empty."""
    system_info: bytes = b""
    metadata: bytes = b""
    device_token: str = ""
    session: str = ""
    """The sender's last CONNECT session, from announce, heartbeat or status."""
    broker: str = ""
    """Name of the broker it was last heard through."""
    labels: str = ""
    """What operators have noted on it, one `key=value` a line by key, see `actors.groups.labels`."""


class StoreDevice(msgspec.Struct, frozen=True):
    """Insert the device or update all its columns (`last_seen` excepted, which has a table of its own)."""

    snapshot: DeviceSnapshot


class StorePresence(msgspec.Struct, frozen=True, gc=False):
    """A transition: the device's presence columns, and one row in `event`."""

    serial: str
    presence: Presence
    reason: str
    since_us: int


class StoreLastSeen(msgspec.Struct, frozen=True):
    """Written-behind `last_seen` times."""

    items: list[tuple[str, int]]
    """(serial, last_seen_us)"""


class StoreSensors(msgspec.Struct, frozen=True):
    """Numbers that appeared for the first time in a device's readings."""

    serial: str
    names: list[str]
    first_seen_us: int


class StoreReading(msgspec.Struct, frozen=True, gc=False):
    """One reading; identity is (serial, ts_us, digest)."""

    serial: str
    channel: str
    """`input`, `output`, `reading` or, for what sensors publish, `data`."""
    ts_us: int
    digest: bytes
    """16 bytes, see `actors.identity`."""
    rx_us: int
    clock: str
    """The device's clock quality where told: `ntp`, `rtc`, `unsynced`, else empty."""
    source: Source
    measures: str
    """JSON object, measure to finite number."""
    stamped: bool = False
    """True when the payload had no timestamp and `ts_us` is the time of receipt."""
    link: str = ""
    token: int = 0
    dup: bool = False
    topic: str = ""
    payload: bytes = b""
    """As received, for the dead letter should the database refuse the row; shared with the delivery, not copied."""
    sender_id: str = ""
    """The sender's own `id` of the message: it is told on `devices/{serial}/receipts` that this is stored."""
    idempotency_key: str = ""
    """HTTP only: a second request with this key is the same reading, whatever the time of its receipt."""
    health_index: float | None = None
    """0 to 100, None where no analyser took the reading."""
    status: str = ""
    """The index in a word: `Excellent`, `Good`, `Fair`, `Poor`, `Critical`; empty without one."""
    anomalies: str = ""
    """JSON array of what is anomalous in it, see `actors.analysis`; empty when nothing is."""
    reply_to: Any = None
    """HTTP only: a future that gets True once the row is committed, False if it was known already."""


class StoreScan(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One code that a scanner has read; identity is (serial, scan_id)."""

    serial: str
    scan_id: str
    """The sender's own, or one that `actors.scan_payloads` has derived; printable ASCII."""
    code: str
    """1 to 4096 characters, any but NUL."""
    ts_us: int
    rx_us: int
    source: Source
    clock: str = ""
    """As in `StoreReading`."""
    symbology: str = ""
    """`EAN-13`, `GS1`, ..., see `actors.barcodes`; empty for an unknown one."""
    valid: bool | None = None
    """Whether the check digit is right; None where no check digit tells."""
    scanner: str = ""
    """The name of the device that has read it, where told."""
    named: bool = False
    """True when `scan_id` is the sender's own: it is told on `devices/{serial}/receipts` that this is stored."""
    digest: bytes = b""
    """16 bytes over the code; with the packet id it recognises a redelivery of what has neither id nor timestamp."""
    stamped: bool = False
    """True when the payload had neither id nor timestamp: then both were made at its receipt."""
    link: str = ""
    token: int = 0
    dup: bool = False
    topic: str = ""
    payload: bytes = b""
    """As received, for the dead letter should the database refuse the row."""
    reply_to: Any = None
    """HTTP only: a future that gets `actors.effects.StoredScan` once the row is committed."""


class StoreTwinReport(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a device reports of itself, in place of what it had reported before."""

    serial: str
    version: int
    """The version of what is desired that the device has applied."""
    reported: str
    """JSON object."""
    rx_us: int
    sender_id: str = ""
    """As in `StoreReading`."""
    link: str = ""
    token: int = 0
    topic: str = ""
    payload: bytes = b""
    """As received, for the dead letter should the database refuse the row."""


class StoreDeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A message that could not be processed, with all that is needed to replay it."""

    reason: str
    """A short stable word, the metric's label: `not_json`, `not_utf8`, `missing_field`, `crashed`, `stuck`, ..."""
    detail: str
    """A sentence that names the field."""
    link: str
    topic: str
    payload: bytes
    rx_us: int
    serial: str = ""
    token: int = 0
    qos: int = 0
    reply_to: Any = None
    """HTTP only: a future that gets the refusal."""


class StoreEvent(msgspec.Struct, frozen=True, gc=False):
    """Something that happened, for the device's timeline and the fleet's: one row in `event`."""

    kind: str
    """`presence`, `blind`, `sight`, `restart`, `quarantine`, `resume`, `dead_letter`, ..."""
    serial: str
    ts_us: int
    data: str
    """JSON object."""


class StoreAudit(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody has done over HTTP, or was refused: one row in `audit_entry`."""

    ts_us: int
    who: str
    address: str
    action: str
    subject: str
    outcome: str
    """`done` or `refused`."""
    status: int
    repeated: int
    details: str
    """JSON object."""


class DeleteDevice(msgspec.Struct, frozen=True):
    """Remove the device with its readings, sensors and events."""

    serial: str


Write = (
    StoreDevice
    | StorePresence
    | StoreLastSeen
    | StoreSensors
    | StoreReading
    | StoreScan
    | StoreTwinReport
    | StoreDeadLetter
    | StoreEvent
    | StoreAudit
    | DeleteDevice
)


class WriteBatch(msgspec.Struct, frozen=True):
    """From the dispatcher to the registry: writes in order."""

    items: list[Write]
