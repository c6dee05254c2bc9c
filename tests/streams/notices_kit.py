"""Records of alerts, and a ledger's file with an outbox to put them into."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from connectors.notify import webhook
from streams import outbox
from streams.ledger import Record, canonical
from streams.notices import Channel

T = 1_767_312_000_000


def alert(kind: str = "raised", alarm: str = "a", **changes: object) -> dict[str, Any]:
    """The content of a record, as the ledger has it."""
    content: dict[str, Any] = {
        "n": 0, "type": "alert", "alarm": alarm, "seq": 0, "t_ms": T, "time": "", "raised_ms": T,
        "since_ms": T, "asset": "L1", "class": "lift", "group": False, "rule": "lift.entrapment",
        "kind": kind, "severity": "orange", "level": 0, "announced": True,
        "title": {"zh": "困人", "en": "Passengers trapped"},
        "text": {"zh": "在 3 层", "en": "At floor 3"},
        "evidence": [
            {"name": "floor", "value": 3.0, "unit": "", "zh": "楼层 3", "en": "floor 3"},
            {"name": "p", "value": 1.0, "unit": "", "zh": "有人 是", "en": "passenger yes"},
        ],
        "version": "0" * 16, "position": 1,
    }  # fmt: skip
    return content | changes


def channel(name: str = "x", url: str = "http://127.0.0.1:1/", **changes: object) -> Channel:
    """A webhook."""
    settings = webhook.Settings(name=name, url=SecretStr(url), lang="en")
    return Channel(**{"name": name, "type": "webhook", "settings": settings, "per_minute": 600}
                   | changes)  # fmt: skip


class Ledger:
    """A file with records and an outbox; numbers records and the alerts of each alarm."""

    def __init__(self, path: Path, *channels: Channel) -> None:
        self.path, self.channels = path, channels
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        if not self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self.db.execute("CREATE TABLE ledger (n INTEGER PRIMARY KEY, hash BLOB NOT NULL, "
                            "body BLOB NOT NULL)")  # fmt: skip
            self.db.executescript(outbox.CREATE)
        self.seqs: dict[str, int] = {}
        outbox.configure(self.db, [channel.name for channel in channels])

    def write(self, *contents: dict[str, Any], now: int = T) -> int:
        """Records and their notices, as the run writes them. Returns how many were dropped."""
        n = self.db.execute("SELECT coalesce(max(n), 0) FROM ledger").fetchone()[0]
        records = []
        for content in contents:
            n += 1
            seq = self.seqs.get(content["alarm"], 0)
            self.seqs[content["alarm"]] = seq + 1
            records.append(Record(n, b"", canonical({**content, "n": n, "seq": seq})))
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany(
            "INSERT INTO ledger VALUES (?, ?, ?)", [(r.n, r.hash, r.body) for r in records]
        )
        dropped = outbox.queue(self.db, self.channels, records, now)
        self.db.execute("COMMIT")
        return dropped

    def states(self, name: str = "x") -> list[tuple[str, str, str]]:
        """(alarm, kind, state) of a channel's notices, in order."""
        query = "SELECT alarm, kind, state FROM outbox WHERE channel = ? ORDER BY id"
        return self.db.execute(query, (name,)).fetchall()

    def row(self, column: str, number: int = 1) -> Any:  # noqa: ANN401 - whatever is in the cell
        """A cell of a notice."""
        return self.db.execute(f"SELECT {column} FROM outbox WHERE id = ?", (number,)).fetchone()[0]

    def dump(self) -> str:
        """All that the file holds, as text."""
        return "\n".join(self.db.iterdump())


def told_of(body: bytes) -> tuple[str, str]:
    """(alarm, kind) of a notice that a webhook was sent."""
    content = json.loads(body)
    return content["alarm"], content["kind"]
