"""What a notifier keeps: which alerts of Kafka it has taken, and the notices that wait. One file.

    positions   of each partition of `alerts`: the next offset, the newest alert, the owner
    outbox…     the notices (`streams.outbox`)
    ledger      the records that the outbox tells of, and no others; numbered by `number`
    facts       which topic this is about

Position and notices move in one transaction, so each alert is put into the outbox once, whatever
happens. Records of a fenced owner (`streams.messages.Living`) and alerts that were taken before are
passed over. What is no record of the ledger is passed over, too, and counted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from connectors.kafka import Record
from streams import outbox
from streams.decode import BAD_BYTES
from streams.ledger import Record as Entry
from streams.messages import Living, NotOurs
from streams.notices import Channel
from streams.settings import PARTITIONS
from streams.store import StoreError, locked

DATABASE = "notify.db"
APPLICATION = 0x546F_634E   # "TocN", in the file's header
SCHEMA = 1
SWEEP = 1_000               # records taken between two looks for those that are told no more
MAX_BYTES = 1 << 20         # of a record
_SPAN = 1_024
assert _SPAN > PARTITIONS
_BUSY_S = 1.0               # longest wait for those who send

_CREATE = """
CREATE TABLE ledger (n INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE INDEX outbox_n ON outbox (n);
CREATE TABLE positions (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL, n INTEGER NOT NULL,
                        epoch INTEGER NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class _Texts(msgspec.Struct):
    zh: str
    en: str


class Alert(msgspec.Struct, tag_field="type", tag="alert"):
    """What a notice needs of an alert; so much is checked before it is believed."""

    n: Annotated[int, msgspec.Meta(ge=1, lt=1 << 50)]
    alarm: str
    seq: Annotated[int, msgspec.Meta(ge=0, lt=1 << 50)]
    kind: str
    t_ms: Annotated[int, msgspec.Meta(gt=-(10**13), lt=10**14)]
    since_ms: Annotated[int, msgspec.Meta(gt=-(10**13), lt=10**14)]
    asset: str
    rule: str
    severity: Literal["blue", "yellow", "orange", "red"]
    announced: bool
    title: _Texts
    text: _Texts
    evidence: list[_Texts] = []
    tags: list[str] = []
    notify: list[str] = []
    place: str = ""
    desk: str = ""
    plan: str = ""
    step: str = ""


_alert = msgspec.json.Decoder(Alert)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition has been taken: the next offset, the newest alert's `n`, the greatest
    epoch of an owner."""

    next: int
    n: int = 0
    epoch: int = 0


def number(partition: int, n: int) -> int:
    """One number for a record of all partitions; in each partition they go up."""
    return n * _SPAN + partition


def entry(record: Record, living: Living, newest: int) -> tuple[Entry | None, bool]:
    """The alert that a record of the topic is, if it is to be told; and whether it is odd: not one
    of the ledger's. `newest`: the greatest `n` of the partition's alerts that were taken. Pure.
    """
    try:
        said = living.envelope(record.partition, record.headers)
    except NotOurs:
        return None, True
    if said is None or not said.kind.startswith("alert."):
        return None, False
    if record.value is None or len(record.value) > MAX_BYTES:
        return None, True
    try:
        alert = _alert.decode(record.value)
    except BAD_BYTES:
        return None, True
    if alert.n <= newest:
        return None, False
    return Entry(alert.n, said.hash, record.value), False


class Box:
    """The file. One thread at a time uses it; those who send have connections of their own."""

    def __init__(self, folder: Path, topic: str) -> None:
        """Opens or makes it, for `alerts` of this whole name. Raises StoreError."""
        self.path = folder / DATABASE
        self._since_sweep = SWEEP
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = locked(self.path, "--folder")
            try:
                self._db = sqlite3.connect(
                    self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
                self._open(topic)
            except BaseException:
                self._lock.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: cannot be used for notices: {error}") from None

    def _open(self, topic: str) -> None:
        tables = self._one("SELECT count(*) FROM sqlite_master")
        known = self._one("PRAGMA application_id"), self._one("PRAGMA user_version")
        if tables and known != (APPLICATION, SCHEMA):
            raise StoreError(f"{self.path}: not a notifier's file of this version of Tocsin; "
                             "choose another folder with --folder")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes, Kafka has
        if not tables:
            with outbox.transaction(self._db):
                for statement in filter(str.strip, (outbox.CREATE + _CREATE).split(";")):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO facts VALUES ('topic', ?)", (topic,))
                self._db.execute(f"PRAGMA application_id={APPLICATION}")
                self._db.execute(f"PRAGMA user_version={SCHEMA}")
        found = self._one("SELECT value FROM facts WHERE name = 'topic'")
        if found != topic:
            raise StoreError(f"{self.path}: tells of {found}, not of {topic}; choose another "
                             "folder with --folder")
        rows = self._db.execute("SELECT partition, next, n, epoch FROM positions")
        self.positions = {row[0]: Position(*row[1:]) for row in rows}

    def _one(self, query: str) -> Any:  # noqa: ANN401 - a cell
        return self._db.execute(query).fetchone()[0]

    def begin(self, offsets: Mapping[int, int]) -> None:
        """Where partitions of which nothing has been taken are begun. Raises sqlite3.Error."""
        given = {partition: Position(offset) for partition, offset in offsets.items()}
        self._move({**given, **self.positions})

    def take(self, records: Sequence[Record], channels: Sequence[Channel], now_ms: int) -> int:
        """Puts into the outbox what the channels tell of these, and moves on: all or nothing.

        Returns how many were odd. A notice has waited since its record came to Kafka, so what is
        read a day late is not told any more. Raises sqlite3.Error.
        """
        positions, odd = dict(self.positions), 0
        living = Living({partition: at.epoch for partition, at in positions.items()})
        with outbox.transaction(self._db):
            for one in records:
                at = positions[one.partition]
                found, strange = entry(one, living, at.n)
                odd += strange
                positions[one.partition] = Position(
                    one.offset + 1, found.n if found else at.n,
                    living.greatest.get(one.partition, 0))
                if found is not None:
                    told = replace(found, n=number(one.partition, found.n))
                    outbox.queue(self._db, channels, [told], min(now_ms, one.t_ms))
                    self._db.execute(
                        "INSERT OR IGNORE INTO ledger SELECT ?1, ?2 "
                        "WHERE EXISTS (SELECT 1 FROM outbox WHERE n = ?1)", (told.n, told.body))
            self._sweep(len(records))
            self._write(positions)
        self.positions = positions
        return odd

    def _move(self, positions: dict[int, Position]) -> None:
        with outbox.transaction(self._db):
            self._write(positions)
        self.positions = positions

    def _write(self, positions: Mapping[int, Position]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)",
            [(partition, at.next, at.n, at.epoch) for partition, at in positions.items()
             if self.positions.get(partition) != at])

    def _sweep(self, taken: int) -> None:
        """Now and then, the records that the outbox has forgotten go."""
        self._since_sweep += taken
        if self._since_sweep >= SWEEP:
            self._since_sweep = 0
            self._db.execute("DELETE FROM ledger WHERE n NOT IN (SELECT n FROM outbox)")

    def close(self) -> None:
        """Closes the file. Nothing is lost by not calling it."""
        self._db.close()
        self._lock.close()
