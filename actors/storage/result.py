"""What a commit of the writer did: everything that follows it begins here."""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.messages import StoreDeadLetter, StoreReading, StoreScan, StoreTwinReport


@dataclass(slots=True)
class CommitResult:
    """What a commit did."""

    new: list[StoreReading] = field(default_factory=list)
    """Readings whose identity was new: only these have effects."""
    known: list[StoreReading] = field(default_factory=list)
    """Readings that were in the database already, or twice in the batch."""
    scans: list[StoreScan] = field(default_factory=list)
    """The same of scans: those that were new."""
    known_scans: list[StoreScan] = field(default_factory=list)
    twin_reports: list[StoreTwinReport] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    """Serials of devices that were deleted."""
    dead: list[StoreDeadLetter] = field(default_factory=list)
    """Every dead letter written, those that arrived as such included."""
    dropped: int = 0
    """Dead letters that the database refused as well; they are in the log."""
    settled: dict[str, list[int]] = field(default_factory=dict)
    """Link to the tokens of the deliveries that have ended."""

    @property
    def duplicates(self) -> int:
        """How many readings were known."""
        return len(self.known)

    def add(self, other: CommitResult) -> None:
        """Take over what a part of the batch did."""
        self.new += other.new
        self.known += other.known
        self.scans += other.scans
        self.known_scans += other.known_scans
        self.twin_reports += other.twin_reports
        self.deleted += other.deleted
        self.dead += other.dead
        self.dropped += other.dropped
