"""The durable side of an embedded run: ledger, kept messages, alerts file, in one folder.

    tocsin.db      ledger, messages and snapshots (streams.store)
    alerts.jsonl   the ledger's records as lines
    finished-001/  the files of a run that came to its end, moved aside when the next began

Raised: JournalError, when the folder's run is another one, or running it again says something else.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from streams.contents import Content
from streams.ledger import Broken, Chain, Record, verify
from streams.run.alerts import AlertsFile
from streams.store import Kept, Snapshot, Store

DATABASE, ALERTS = "tocsin.db", "alerts.jsonl"

#: Writes more of what is new into the same transaction (the notices' outbox).
Also = Callable[[sqlite3.Connection, Sequence[Record]], object]


class JournalError(Exception):
    """The folder cannot take this run."""


class Journal:
    """Open it with `opened`, and close it. All methods block; they raise StoreError and OSError."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.also: Also | None = None
        self.store = Store(folder / DATABASE)
        try:
            self._own(identity)
            self.snapshot = self.store.latest()
            n = self.snapshot.n if self.snapshot else 0
            # Said before, after the snapshot: the engine will say it once more.
            self._tail = deque(self.store.records(after=max(0, n - 1)))
            self._chain = Chain()
            if n:
                self._chain = self._after(n)
            self._alerts = AlertsFile(folder / ALERTS)
            self._alerts.write(self.store.records(after=self._alerts.last))
        except BaseException:
            self.store.close()
            raise

    def _after(self, n: int) -> Chain:
        """A chain that goes on after the snapshot's last record."""
        if not self._tail or self._tail[0].n != n:
            raise JournalError(
                f"{self.folder}: record {n} is missing from the ledger, which its snapshot is of; "
                "`tocsin ledger verify` says more. Choose another folder with --ledger"
            )
        last = self._tail.popleft()
        return Chain(last.n, last.hash)

    def _own(self, identity: str) -> None:
        owner = self.store.fact("source")
        if owner is None:
            self.store.append((), {"source": identity})
        elif owner != identity:
            raise JournalError(
                f"{self.folder}: holds a run of other data ({owner}); choose another folder "
                "with --ledger"
            )

    def caught_up(self) -> None:
        """All that was said after the snapshot has been said again. Raises JournalError if not."""
        if self._tail:
            self._say_broken(self._tail[0].n)

    @property
    def begun(self) -> bool:
        """Whether there are records already."""
        return next(self.store.records(), None) is not None

    def history(self) -> Iterator[Content]:
        """The contents of all records so far."""
        for record in self.store.records():
            yield json.loads(record.body)

    def write(self, contents: Iterable[Content], kept: Kept | None = None) -> list[Content]:
        """Makes contents durable, then appends them to the alerts. Returns those that are new.

        `kept`: what was played, with the messages; where neither they nor contents say anything, it
        need not be known.
        """
        records = [self._chain.append(content) for content in contents]
        new = [record for record in records if not self._said_before(record)]
        said: list[dict[str, Any]] = [json.loads(record.body) for record in new]
        if new or (kept is not None and kept.messages):
            self.store.append(new, kept=kept, also=partial(self._also, new))
            self._alerts.write(new)
        return said

    def _also(self, new: Sequence[Record], db: sqlite3.Connection) -> None:
        if self.also is not None and new:
            self.also(db, new)

    def _said_before(self, record: Record) -> bool:
        if not self._tail:
            return False
        if self._tail.popleft() != record:
            self._say_broken(record.n)
        return True

    def _say_broken(self, n: int) -> NoReturn:
        raise JournalError(
            f"{self.folder}: from record {n} on the kept messages say something else than before "
            "the last stop; was it written by another version of Tocsin? Choose another folder "
            "with --ledger"
        )

    def save(
        self, position: int, state: bytes, *, finished: bool = False, base: bool = False
    ) -> None:
        """Notes the state after all was played up to and with `position` (ms). A base is kept."""
        facts = {"finished": "yes"} if finished else {}
        self.store.save(Snapshot(position, self._chain.n, state), facts, base=base)

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
