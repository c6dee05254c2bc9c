"""Whether a ledger is whole: the chain, the packs it names, the alerts file beside it. It blocks.

    chain    every record's number, body and hash, and the newest one's as noted beside the ledger
    packs    each pack and inventory that an activation names is kept, and hashes to its name
    alerts   `alerts.jsonl` has the same records, each exactly as in the ledger
    file     SQLite finds its own file sound

A hash chain finds what was changed after it was written, by hand or by a disk. Who rewrites every
hash, the note beside the ledger *and* the alerts file leaves no trace in the folder: a copy of the
newest hash kept elsewhere finds that, too (`expected`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from streams.duty import inventory_hash, pack_hash
from streams.ledger import Broken, Record, verify
from streams.run.alerts import line
from streams.run.journal import ALERTS, DATABASE
from streams.store import Store, StoreError
from streams.trace import TraceError, content_of

Kind = Literal["changed", "missing", "reordered", "unreadable", "pack", "alerts", "file", "head"]

#: Number and hash of the newest record, as noted.
Head = tuple[int, bytes] | None

#: SQLite tells of damage in bytes of the damage, which need not be UTF-8 (ValueError).
_UNREADABLE = (StoreError, sqlite3.Error, ValueError)

MOST_TOLD = 20
_LINE = 1 << 26       # bytes of a line of the alerts file that are read
_HASH = 32


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was written; `n` is the record that it concerns, if any."""

    kind: Kind
    n: int | None
    text: str


@dataclass(slots=True)
class Outcome:
    """What a check found. `notes` are no faults. `head` is the newest record's hash, in hex."""

    records: int = 0
    head: str = ""
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Nothing was found."""
        return not self.faults


def check(folder: Path, expected: str = "") -> Outcome:
    """Checks the ledger of a folder. `expected`: a hash noted elsewhere that it must contain.

    Faults are in the outcome; StoreError only where there is no ledger at all.
    """
    path = folder / DATABASE
    outcome = Outcome()
    if not path.is_file():
        raise StoreError(f"{path}: no such ledger; `tocsin run` makes one")
    try:
        store = Store(path, readonly=True)
    except _UNREADABLE as error:
        outcome.faults.append(Fault("unreadable", None, f"{path} cannot be read: {error}"))
        return outcome
    with store:
        _chain(store, outcome, expected.strip().lower())
        if not any(fault.kind == "unreadable" for fault in outcome.faults):
            _packs(store, outcome)
            _alerts(store, folder / ALERTS, outcome)
    _sound(path, outcome)
    return outcome


class _Reading:
    """Reads records until the file cannot be read; rows of a wrong kind are records that differ."""

    def __init__(self, store: Store, head: Head = None, expected: str = "") -> None:
        self.store, self.head, self.expected = store, head, expected
        self.last, self.hash, self.error = 0, b"", ""
        self.met = self.found = False       # the record of the head, the hash expected

    def __iter__(self) -> Iterator[Record]:
        records = self.store.records()
        while True:
            try:
                record = next(records, None)
            except _UNREADABLE as error:
                self.error = str(error)
                return
            if record is None:
                return
            columns: tuple[object, object] = (record.hash, record.body)
            if not all(isinstance(one, bytes) for one in columns):
                record = Record(record.n, b"", b"")     # SQLite keeps what it is given
            self.last, self.hash = record.n, record.hash
            self.met |= self.head == (record.n, record.hash)
            self.found |= self.expected == record.hash.hex()
            yield record


def _chain(store: Store, outcome: Outcome, expected: str) -> None:
    noted = _noted(store, outcome)
    reading = _Reading(store, noted, expected)
    try:
        broken = verify(reading)
    except RecursionError:      # a body that nests without end is none of ours
        broken = Broken(reading.last, "changed")
    outcome.records, outcome.head = reading.last, reading.hash.hex()
    if reading.error:
        said = f"record {reading.last + 1} cannot be read: {reading.error}"
        outcome.faults.append(Fault("unreadable", reading.last + 1, said))
        return
    broken = broken or _against(reading, noted, _noted(store, outcome))
    if broken is not None:
        outcome.faults.append(Fault(broken.fault, broken.n, str(broken)))
    elif expected and not reading.found:
        said = f"no record has the hash {expected} that was expected: the ledger is another one"
        outcome.faults.append(Fault("missing", None, said))


def _noted(store: Store, outcome: Outcome) -> Head:
    """The newest record as noted beside the ledger."""
    try:
        head = store.head()
        if head is None or (len(head[1]) == _HASH and head[0] > 0):
            return head
    except _UNREADABLE:
        pass
    if not outcome.faults:
        said = "the note of the newest record beside the ledger is not what was written"
        outcome.faults.append(Fault("head", None, said))
    return None


def _against(reading: _Reading, before: Head, after: Head) -> Broken | None:
    """A sound chain against the note as it was before and after reading: a run may be writing."""
    last = reading.last
    if before is not None and before[0] > last:
        return Broken(last + 1, "missing")
    if before is not None and not reading.met:
        return Broken(before[0], "changed")
    if after is None or after[0] < last:
        return Broken(last, "changed") if last else None
    return None


def _packs(store: Store, outcome: Outcome) -> None:
    """Packs and inventories, each once, at the first activation that names it."""
    seen: set[str] = set()
    for record in _Reading(store):
        if b'"type":"activation"' not in record.body:
            continue
        try:
            content = content_of(record)
        except TraceError:
            continue     # the chain has said so
        for what in ("pack", "inventory"):
            name = str(content.get(what, ""))
            if name in seen:
                continue
            seen.add(name)
            why = _of_name(store, what, name)
            if why:
                said = f"record {record.n} names the {what} {name}: {why}"
                outcome.faults.append(Fault("pack", record.n, said))


def _of_name(store: Store, what: str, name: str) -> str:
    """What is wrong with texts that are kept under a name; "" if nothing is."""
    try:
        found = (
            pack_hash(store.pack_files(name)) if what == "pack"
            else inventory_hash(store.inventory(name))
        )
    except StoreError as error:
        return str(error)
    except (TypeError, ValueError, AttributeError, sqlite3.Error):
        return "what is kept under that name is damaged"
    return "" if found == name else "what is kept under that name is not what was written"


def _alerts(store: Store, path: Path, outcome: Outcome) -> None:
    """Each line of the file against its record. The ledger is written first: it has every line."""
    if not path.is_file():
        outcome.notes.append(f"{path.name} is not there; the next start writes it anew")
        return
    records = iter(_Reading(store))
    n = 0
    try:
        with path.open("rb") as file:
            while data := file.readline(_LINE):
                if not data.endswith(b"\n"):
                    outcome.notes.append(f"the last line of {path.name} is not complete yet")
                    break
                n += 1
                record = next(records, None) or next(store.records(after=n - 1), None)
                if record is None:
                    said = f"record {n} is missing: {path.name} has it"
                    outcome.faults.append(Fault("missing", n, said))
                    return
                if data != line(record):
                    said = f"line {n} of {path.name} is not record {n} of the ledger"
                    outcome.faults.append(Fault("alerts", n, said))
                    return
    except OSError as error:
        outcome.faults.append(Fault("alerts", None, f"{path.name} cannot be read: {error}"))
        return
    behind = next(records, None)
    if behind is None or behind.n <= n:
        return
    said = f"{path.name} ends before record {behind.n}"
    if not _finished(store):
        outcome.notes.append(f"{said}; the running process or the next start writes the rest")
    else:
        outcome.faults.append(Fault("alerts", behind.n, said))


def _finished(store: Store) -> bool:
    try:
        return store.fact("finished") is not None
    except _UNREADABLE:      # said already, by SQLite itself
        return False


def _sound(path: Path, outcome: Outcome) -> None:
    """SQLite's own check: pages that no record needs may be damaged, too."""
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            found = [str(row[0]) for row in db.execute("PRAGMA integrity_check(20)")]
        finally:
            db.close()
    except _UNREADABLE as error:
        found = [str(error)]
    if found != ["ok"]:
        said = f"{path.name} is damaged: {'; '.join(found[:MOST_TOLD])}"
        outcome.faults.append(Fault("file", None, said))
