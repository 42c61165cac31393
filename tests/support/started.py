"""What a test starts and closes again, whatever happens."""

from __future__ import annotations

from typing import Self


class Started:
    """A context manager: started on the way in, closed on the way out, and when the start fails half-way."""

    def start(self) -> object:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
