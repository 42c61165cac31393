"""A process that writes the audit trail of a database until it is killed: `python -m tests.followers.child URL FOLDER`.

Small batches and small files, so that nearly every moment is in the middle of a write, a flush or a rotation.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from actors.followers.audit import AUDIT, is_of_sensor
from actors.followers.csv_sink import CsvSink
from actors.followers.follower import WAKE, FollowerActor
from actors.followers.progress import ProgressFile
from actors.followers.query import FindEnd
from actors.reader import ReaderActor, Readers
from actors.runtime import Directory, Runtime


def main(url: str, folder: Path) -> None:
    runtime = Runtime.system()
    runtime.start()
    directory = Directory()
    directory.publish("reader.0", runtime.launch(ReaderActor(url)))
    readers = Readers(directory, ["reader.0"])
    follower = FollowerActor(
        "audit",
        lambda: CsvSink(folder, AUDIT, runtime.clock, max_bytes=20_000, days=0),
        ask=readers.ask,
        find_end=lambda: readers.ask(FindEnd()),
        runtime=runtime,
        progress=ProgressFile(folder / "followers" / "audit.json"),
        is_ours=is_of_sensor,
        from_start=True,
        every=0.001,
        batch=23,
    )
    ref = runtime.launch(follower)
    while True:
        ref.tell(WAKE)
        if not follower.board.status.ok:
            print(follower.board.status, flush=True)
        time.sleep(0.002)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
