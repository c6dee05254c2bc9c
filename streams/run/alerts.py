"""`alerts.jsonl`: each record of the ledger as one line, with its hash.

The ledger is first. A line that was cut off by a crash, and lines that never came to be written,
are made good from it at the next start, so the file holds every alert exactly once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from streams.ledger import Record

_TAIL = 1 << 20  # bytes read from the end to find the last whole line; far above a line's length


class AlertsFile:
    """Appends to the file. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        try:
            self.last = self._mend()
        except BaseException:
            self._file.close()
            raise

    def _mend(self) -> int:
        """Cuts off what follows the last whole line. Returns the number of its record, or 0."""
        size = self._file.seek(0, 2)
        self._file.seek(max(0, size - _TAIL))
        tail = self._file.read()
        whole = tail.rfind(b"\n") + 1
        self._file.truncate(size - (len(tail) - whole))
        line = tail[:whole].rstrip(b"\n").rpartition(b"\n")[2]
        try:
            return int(json.loads(line)["n"]) if line else 0
        except (ValueError, KeyError, TypeError):
            raise OSError(
                f"{self._file.name}: its last line is no alert of Tocsin; move the file away, "
                "it is written anew from the ledger"
            ) from None

    def write(self, records: Iterable[Record]) -> None:
        """Appends records; those that the file has already are left out."""
        for record in records:
            if record.n > self.last:
                self._file.write(line(record))
                self.last = record.n
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def line(record: Record) -> bytes:
    """A record as a line: its body with `hash` put in at the end."""
    return record.body[:-1] + f',"hash":"{record.hash.hex()}"}}\n'.encode()
