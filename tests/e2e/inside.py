"""A whole server inside the test's own process, for faults that nobody can cause from outside."""

from __future__ import annotations

import gc
import os
import sys
import threading
from pathlib import Path
from typing import Any, Self

from actors.runtime import Exit
from supervisor.server.boot import Server
from supervisor.server.config import load_config
from supervisor.server.instance import Instance
from tests.support.muster import TOKEN, Api
from tests.support.ports import free_port
from tests.support.wait import eventually


class Inside(Api):
    """A server with real threads, sockets and a SQLite file; a context manager."""

    def __init__(self, directory: Path, broker_url: str, **environ: str) -> None:
        super().__init__(f"127.0.0.1:{free_port()}")
        self.database_url = f"sqlite:///{directory}/data/muster.db"
        environ |= {
            "MUSTER_BROKER_URL": broker_url,
            "MUSTER_DATA_DIR": str(directory / "data"),
            "MUSTER_HTTP": self.address,
            "MUSTER_API_TOKEN": TOKEN,
        }
        os.environ["MUSTER_RUNTIME_DIR"] = str(directory / "run")  # conftest puts the old value back
        config = load_config({}, environ, cwd=directory)
        self._switch_interval = sys.getswitchinterval()
        self._instance = Instance(config.data_path)
        self.server = Server(config, self._instance)

    def __enter__(self) -> Self:
        self.server.start()
        eventually(lambda: self.health()["broker"]["connected"], 10, "it is connected")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.server.stop()
        self._instance.close()
        sys.setswitchinterval(self._switch_interval)
        gc.unfreeze()
        ended: Exit | None = self.server.health.root.exit
        assert ended is not None
        assert ended.error is None, ended.error

    def thread(self, name: str) -> threading.Thread:
        """The thread of a service that has one of its own."""
        return next(thread for thread in threading.enumerate() if thread.name == name)

    def actor(self, name: str) -> Any:
        """The ref of a service as of now."""
        return self.server.parts.services.get(name)
