"""The embedded store: the ledger and the engine's snapshots in one SQLite file.

A commit has reached the disk (WAL, synchronous=FULL) when a method returns; only then may anything
be shown or sent. One process writes; readers may read at any time. All methods block.

    StoreError    the file cannot be used; its text says what was found and what to do
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from streams.ledger import Record

APPLICATION = 0x546F_6373  # "Tocs", in the file's header
SCHEMA = 1

_CREATE = """
CREATE TABLE ledger (n INTEGER PRIMARY KEY, hash BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE snapshots (id INTEGER PRIMARY KEY, position INTEGER NOT NULL, n INTEGER NOT NULL,
                        state BLOB NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class StoreError(Exception):
    """The file cannot be opened, read or written."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The engine's state after the source's `position` and the ledger's record `n`."""

    position: int
    n: int
    state: bytes


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
                self._lock = _locked(path)
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
        if version > SCHEMA:
            raise StoreError(
                f"{self.path}: written by a newer Tocsin (format {version}, this one reads "
                f"{SCHEMA}); upgrade Tocsin, or choose another folder with --ledger"
            )
        if readonly:
            return
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        if not tables:
            with self._transaction():
                for statement in filter(str.strip, _CREATE.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id={APPLICATION}")
                self._db.execute(f"PRAGMA user_version={SCHEMA}")

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be written: {error}") from None

    def append(self, records: Iterable[Record], facts: Mapping[str, str] | None = None) -> None:
        """Writes records and facts, all or none. The newest record's hash is a fact, too."""
        rows = [(record.n, record.hash, record.body) for record in records]
        named = dict(facts or {})
        if rows:
            named["head"] = f"{rows[-1][0]}:{rows[-1][1].hex()}"
        with self._transaction():
            self._db.executemany("INSERT INTO ledger VALUES (?, ?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", named.items())

    def save(self, snapshot: Snapshot, facts: Mapping[str, str] | None = None) -> None:
        """Writes a snapshot (and facts) in place of the one before the last."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO snapshots (position, n, state) VALUES (?, ?, ?)",
                (snapshot.position, snapshot.n, snapshot.state),
            )
            self._db.execute("DELETE FROM snapshots WHERE id < (SELECT max(id) - 1 FROM snapshots)")
            named = (facts or {}).items()
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", named)

    def latest(self) -> Snapshot | None:
        """The newest snapshot."""
        row = self._one("SELECT position, n, state FROM snapshots ORDER BY id DESC LIMIT 1")
        return None if row is None else Snapshot(*row)

    def records(self, after: int = 0) -> Iterator[Record]:
        """The records after that number, in order."""
        try:
            found = self._db.execute(
                "SELECT n, hash, body FROM ledger WHERE n > ? ORDER BY n", (after,)
            )
            for n, digest, body in found:
                yield Record(n, digest, body)
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


def _locked(path: Path) -> IO[str]:
    """Holds the ledger for this process until the file returned is closed."""
    lock = path.with_suffix(".lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(
            f"{path}: another run is writing to this ledger; end it, or choose another folder "
            "with --ledger"
        ) from None
    return lock
