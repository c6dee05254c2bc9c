"""The embedded store: one SQLite file with all that a run has to keep.

    ledger      the records (streams.ledger)
    readings    the messages taken, by the instant up to which they were played
    snapshots   all state; the newest two, and those to run again from, which are *bases*
    texts       rules, by the hash that activations name; likewise inventories
    outbox…     notices that are to be told (streams.outbox)

A commit has reached the disk (WAL, synchronous=FULL) when a method returns; only then may anything
be shown or sent. One process writes; readers may read at any time. All methods block.

    StoreError    the file cannot be used; its text says what was found and what to do
"""

from __future__ import annotations

import fcntl
import sqlite3
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from rules.model import Asset
from rules.records import Message
from streams import outbox
from streams.ledger import Record

APPLICATION = 0x546F_6373  # "Tocs", in the file's header
SCHEMA = 2
#: Bytes of messages kept, packed; beyond it the oldest go, with the bases before them.
KEPT_BYTES = 8 << 30
_FIRST = -(1 << 62)      # before every instant

_CREATE = """
CREATE TABLE ledger (n INTEGER PRIMARY KEY, hash BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE readings (position INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE snapshots (id INTEGER PRIMARY KEY, position INTEGER NOT NULL, n INTEGER NOT NULL,
                        state BLOB NOT NULL, base INTEGER NOT NULL);
CREATE TABLE texts (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class StoreError(Exception):
    """The file cannot be opened, read or written."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The engine's state after the source's `position` and the ledger's record `n`."""

    position: int
    n: int
    state: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """Messages that were played up to and with the instant `position`, after the one before."""

    position: int
    messages: list[Message]


class Store:
    """A ledger on disk. Use it in a `with` statement, or close it."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Opens the file, or makes it. Raises StoreError."""
        if readonly and not path.is_file():
            raise StoreError(f"{path}: no such ledger; `tocsin run` makes one")
        self.path = path
        self._lock: IO[str] | None = None
        try:
            if readonly:
                self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = locked(path)
                self._db = sqlite3.connect(path)
            self._db.isolation_level = None
            self._open(readonly=readonly)
        except (sqlite3.Error, OSError) as error:
            self._unlock()
            raise StoreError(f"{path}: cannot be used as a ledger: {error}") from None
        except StoreError:
            self._unlock()
            raise

    def _open(self, *, readonly: bool) -> None:
        application = self._pragma("application_id")
        version = self._pragma("user_version")
        tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != APPLICATION and (tables or readonly):
            raise StoreError(
                f"{self.path}: a database of another program, not a ledger; "
                "choose another folder with --ledger"
            )
        if tables and version != SCHEMA:
            older = version < SCHEMA
            raise StoreError(
                f"{self.path}: written by {'an older' if older else 'a newer'} Tocsin (format "
                f"{version}, this one reads {SCHEMA}); "
                f"{'' if older else 'upgrade Tocsin, or '}choose another folder with --ledger"
            )
        if readonly:
            return
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        if not tables:
            with self._transaction():
                for statement in filter(str.strip, (_CREATE + outbox.CREATE).split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id={APPLICATION}")
                self._db.execute(f"PRAGMA user_version={SCHEMA}")

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with outbox.transaction(self._db):
                yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be written: {error}") from None

    def append(
        self,
        records: Iterable[Record],
        facts: Mapping[str, str] | None = None,
        kept: Kept | None = None,
        also: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        """Writes records, facts and messages, all or none. The newest record's hash is a fact, too.

        `also` writes into other tables, in the same transaction.
        """
        rows = [(record.n, record.hash, record.body) for record in records]
        named = dict(facts or {})
        if rows:
            named["head"] = f"{rows[-1][0]}:{rows[-1][1].hex()}"
        with self._transaction():
            self._db.executemany("INSERT INTO ledger VALUES (?, ?, ?)", rows)
            if kept is not None:
                packed = (kept.position, _packed([_plain(x) for x in kept.messages]))
                self._db.execute("INSERT INTO readings VALUES (?, ?)", packed)
            self._set(named)
            if also is not None:
                also(self._db)

    def _set(self, facts: Mapping[str, str]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())

    def save(
        self, snapshot: Snapshot, facts: Mapping[str, str] | None = None, *, base: bool = False
    ) -> None:
        """Writes a snapshot (and facts) in place of the one before the last; a base stays."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO snapshots (position, n, state, base) VALUES (?, ?, ?, ?)",
                (snapshot.position, snapshot.n, snapshot.state, base),
            )
            self._db.execute(
                "DELETE FROM snapshots WHERE base = 0 AND id < (SELECT max(id) - 1 FROM snapshots)"
            )
            self._set(facts or {})
            if base:
                self._trim()

    def _trim(self) -> None:
        """Beyond the limit, the oldest base goes and the messages up to the next one."""
        while self._one("SELECT sum(length(body)) > ? FROM readings", KEPT_BYTES) == (1,):
            bases = "SELECT position FROM snapshots WHERE base = 1 ORDER BY position LIMIT 2"
            found = [int(row[0]) for row in self._db.execute(bases)]
            if len(found) < 2:
                return
            self._db.execute("DELETE FROM readings WHERE position <= ?", (found[1],))
            self._db.execute("DELETE FROM snapshots WHERE base = 1 AND position < ?", (found[1],))
            self._set({"trimmed": str(found[1])})

    def base(self, before: int) -> Snapshot | None:
        """The newest base that stands before an instant (ms)."""
        row = self._one("SELECT position, n, state FROM snapshots WHERE base = 1 AND position < ? "
                        "ORDER BY position DESC LIMIT 1", before)
        return None if row is None else Snapshot(*row)

    def readings(self, after: int = _FIRST, upto: int | None = None) -> Iterator[Kept]:
        """The messages kept, by position: those after one instant, up to and with another."""
        last = -_FIRST if upto is None else upto
        query = "SELECT position, body FROM readings WHERE position > ? AND position <= ? "
        for position, body in self._each(query + "ORDER BY position", after, last):
            yield Kept(position, [Message(*row) for row in self._unpacked(body)])

    def keep(self, name: str, content: object) -> None:
        """Keeps the texts of a pack or the assets of an inventory under its hash."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (name, _packed(content)))

    def pack_files(self, name: str) -> list[tuple[str, bytes]]:
        """The (path, text) pairs of a pack, by its hash. Raises StoreError when it is not kept."""
        return [(path, text) for path, text in self._kept(name)]

    def inventory(self, name: str) -> list[Asset]:
        """The assets of an inventory, by its hash. Raises StoreError when it is not kept."""
        return [Asset(*row) for row in self._kept(name)]

    def _kept(self, name: str) -> Any:  # noqa: ANN401 what was packed
        row = self._one("SELECT body FROM texts WHERE name = ?", name)
        if row is None:
            raise StoreError(f"{self.path}: the texts named {name} are missing from it")
        return self._unpacked(row[0])

    def _unpacked(self, body: bytes) -> Any:  # noqa: ANN401 what was packed
        try:
            return msgspec.msgpack.decode(zlib.decompress(body))
        except (zlib.error, msgspec.DecodeError, TypeError) as error:
            raise StoreError(f"{self.path}: what it keeps is damaged: {error}") from None

    def latest(self) -> Snapshot | None:
        """The newest snapshot."""
        row = self._one("SELECT position, n, state FROM snapshots ORDER BY id DESC LIMIT 1")
        return None if row is None else Snapshot(*row)

    def records(self, after: int = 0) -> Generator[Record]:
        """The records after that number, in order."""
        query = "SELECT n, hash, body FROM ledger WHERE n > ? ORDER BY n"
        for n, digest, body in self._each(query, after):
            yield Record(n, digest, body)

    def _each(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from None

    def fact(self, name: str) -> str | None:
        """A fact about the run, if it is known."""
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        return None if row is None else str(row[0])

    def head(self) -> tuple[int, bytes] | None:
        """Number and hash of the newest record as noted beside the ledger (see `verify`)."""
        n, _, digest = (self.fact("head") or "").partition(":")
        return (int(n), bytes.fromhex(digest)) if digest else None

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        try:
            row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from None
        return row

    def close(self) -> None:
        """Closes the file. Nothing is lost by not calling it."""
        self._db.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _packed(content: object) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(content), 1)


def _plain(message: Message) -> list[object]:
    return [message.asset, message.cls, message.t, message.values, message.arrival,
            message.historical]


def locked(path: Path, option: str = "--ledger") -> IO[str]:
    """Holds a database for this process until the file returned is closed. `option` names its
    folder. Raises StoreError when another process has it, and OSError.
    """
    lock = path.with_suffix(".lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(
            f"{path}: another run is writing to this file; end it, or choose another folder "
            f"with {option}"
        ) from None
    return lock
