"""The durable side of an embedded run: ledger, alerts file, snapshots, in one folder.

    tocsin.db      ledger and snapshots (streams.store)
    alerts.jsonl   the ledger's records as lines
    finished-001/  the files of a run that came to its end, moved aside when the next began

Raised: JournalError, when the folder's run is another one or the rules say something else.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from streams.ledger import Broken, Chain, Record, verify
from streams.run.alerts import AlertsFile
from streams.store import Snapshot, Store

DATABASE, ALERTS = "tocsin.db", "alerts.jsonl"


class JournalError(Exception):
    """The folder cannot take this run."""


class Journal:
    """Open it with `opened`, and close it. All methods block; they raise StoreError and OSError."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.store = Store(folder / DATABASE)
        try:
            self._own(identity)
            self.snapshot = self.store.latest()
            n = self.snapshot.n if self.snapshot else 0
            self._chain = Chain.after(_until(self.store.records(), n))
            # Said before, after the snapshot: the engine will say it once more.
            self._tail = deque(self.store.records(after=n))
            self._alerts = AlertsFile(folder / ALERTS)
            self._alerts.write(self.store.records(after=self._alerts.last))
        except BaseException:
            self.store.close()
            raise

    def _own(self, identity: str) -> None:
        owner = self.store.fact("source")
        if owner is None:
            self.store.append((), {"source": identity})
        elif owner != identity:
            raise JournalError(
                f"{self.folder}: holds a run of other data ({owner}); choose another folder "
                "with --ledger"
            )

    def history(self) -> Iterator[dict[str, Any]]:
        """The contents of all records so far."""
        for record in self.store.records():
            yield json.loads(record.body)

    def name(self, rule: str, asset: str, raised: int) -> tuple[str, int]:
        """Id and sequence number for the next transition of an alarm (see `Chain.name`)."""
        return self._chain.name(rule, asset, raised)

    def write(self, contents: Iterable[dict[str, object]]) -> list[dict[str, Any]]:
        """Makes contents durable, then appends them to the alerts. Returns those that are new."""
        records = [self._chain.append(content) for content in contents]
        new = [record for record in records if not self._said_before(record)]
        if new:
            self.store.append(new)
            self._alerts.write(new)
        return [json.loads(record.body) for record in new]

    def _said_before(self, record: Record) -> bool:
        if not self._tail:
            return False
        if self._tail.popleft() != record:
            raise JournalError(
                f"{self.folder}: from record {record.n} on the rules or the data say something "
                "else than before the last stop; choose another folder with --ledger"
            )
        return True

    def save(self, position: int, state: bytes, *, finished: bool = False) -> None:
        """Notes that the source has been played up to and with `position` (ms)."""
        facts = {"finished": "yes"} if finished else {}
        self.store.save(Snapshot(position, self._chain.n, state), facts)

    def verify(self) -> Broken | None:
        """The first fault of the ledger, or None."""
        return verify(self.store.records(), self.store.head())

    @property
    def length(self) -> int:
        """How many records the ledger has."""
        return self._chain.n

    def close(self) -> None:
        """Closes the files."""
        self._alerts.close()
        self.store.close()


def opened(folder: Path, identity: str) -> tuple[Journal, Path | None]:
    """The journal in a folder. One that had finished is moved aside first: where to, or None.

    Raises JournalError, StoreError, OSError.
    """
    with Store(folder / DATABASE) as store:
        finished = store.fact("finished") is not None
    aside = _moved(folder) if finished else None
    return Journal(folder, identity), aside


def _moved(folder: Path) -> Path:
    number = 1
    while (aside := folder / f"finished-{number:03d}").exists():
        number += 1
    aside.mkdir()
    for path in (*folder.glob(f"{DATABASE}*"), folder / ALERTS):
        if path.exists():
            path.rename(aside / path.name)
    return aside


def _until(records: Iterable[Record], n: int) -> Iterator[Record]:
    for record in records:
        if record.n > n:
            return
        yield record
