"""The outbox: notices that are to be told, in the ledger's own SQLite file.

    queue       with the records, in their transaction: a notice is due exactly when its alert is
                durable. The outbox keeps the record's number, its text stays in the ledger
    Outbox      one channel's side: what is due, what came of it

    pending ─┬─► sent       taken by the peer
             ├─► refused    never taken as it is: the reason is kept
             ├─► expired    not taken within KEPT_MS, tried or not
             ├─► dropped    too many waited (see `MOST`), or its channel is configured no more
             └─► moot       an end, where nothing of the alarm had been taken

Order: the most urgent alarm first (an alarm counts as its most urgent notice that waits), then the
oldest; the notices of one alarm in their order, one at a time.

After a failure the channel waits: 1 s, doubled each time up to 5 min, with a jitter that comes from
the notice's number. The notice waits twice as long, so that one that never succeeds does not hold
up the rest; when a channel works again after an outage, all that it had put off is due at once. A
pause that the peer asks for holds for the channel. Tries are timed before they are made, so that a
limit on the rate holds over a crash, too.

A notice is told at least once: what was sent and not yet marked when the process was killed is sent
again, with the same id. Times are the wall clock's, ms since 1970.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from rules.model import SEVERITIES
from streams.ledger import Record
from streams.notices import Channel, for_channels

CREATE = """
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY, channel TEXT NOT NULL, n INTEGER NOT NULL, alarm TEXT NOT NULL,
    kind TEXT NOT NULL, priority INTEGER NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL,
    queued_ms INTEGER NOT NULL, next_ms INTEGER NOT NULL, tried_ms INTEGER NOT NULL,
    error TEXT NOT NULL, UNIQUE (channel, n));
CREATE INDEX outbox_order ON outbox (channel, priority DESC, id) WHERE state = 'pending';
CREATE INDEX outbox_alarm ON outbox (channel, alarm, id) WHERE state = 'pending';
CREATE INDEX outbox_ended ON outbox (channel, id) WHERE state != 'pending';
CREATE TABLE outbox_told (
    channel TEXT NOT NULL, alarm TEXT NOT NULL, taken TEXT NOT NULL,
    PRIMARY KEY (channel, alarm)) WITHOUT ROWID;
CREATE TABLE outbox_channels (
    name TEXT PRIMARY KEY, failures INTEGER NOT NULL, until_ms INTEGER NOT NULL,
    lost INTEGER NOT NULL);
"""

_WORKS = "UPDATE outbox_channels SET failures = 0, until_ms = 0 WHERE name = ?"

State = Literal["sent", "refused", "expired", "dropped", "moot"]

KEPT_MS = 24 * 3_600_000
#: Notices that wait on a channel. Beyond it the oldest blue ones are dropped, then the oldest
#: yellow ones, of alarms that the channel has not told of; orange and red are never dropped.
MOST = 10_000
ENDED = 10_000           # notices that are over and kept, to be looked at
_SWEEP = 64              # of so many that end, one sweeps
LONGEST_MS = 3_600_000   # no wait is longer; one that is, is a clock that was set back
FIRST_MS = 1_000
CAP_MS = 300_000
OUTAGE = 3               # failures in a row that are the channel's, not a notice's
_EARLIER = 16            # notices of an alarm that later ones refer to: the first, and the newest
_ERROR = 300             # characters of a reason


@dataclass(frozen=True, slots=True)
class Due:
    """A notice to send now. `content` is its record's, `earlier` see `Notice`."""

    id: int
    tries: int
    body: bytes
    content: dict[str, Any]
    earlier: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Health:
    """How a channel does: `oldest_s` is how long the oldest notice has waited, `lost` how many were
    refused, expired or dropped, or not taken for all, since the beginning.
    """

    failing: bool
    pending: int
    oldest_s: int
    lost: int


def queue(
    db: sqlite3.Connection, channels: Sequence[Channel], records: Iterable[Record], now_ms: int
) -> int:
    """Queues the notices of records, within the caller's transaction. Returns how many notices had
    to be dropped. Raises sqlite3.Error.
    """
    told_query = "SELECT 1 FROM outbox_told WHERE channel = ? AND alarm = ?"

    def told(channel: str, alarm: str) -> bool:
        return db.execute(told_query, (channel, alarm)).fetchone() is not None

    touched: set[str] = set()
    for record in records:
        content = json.loads(record.body)
        found = for_channels(content, channels, told)
        for channel in found:
            _put(db, channel.name, record.n, content, now_ms)
            touched.add(channel.name)
        if content.get("kind") == "cleared":
            names = [(channel.name, content["alarm"]) for channel in channels
                     if channel not in found]
            db.executemany("DELETE FROM outbox_told WHERE channel = ? AND alarm = ?", names)
    return sum(_bound(db, name) for name in sorted(touched))


def _put(
    db: sqlite3.Connection, channel: str, n: int, content: dict[str, Any], now_ms: int
) -> None:
    alarm, own = content["alarm"], SEVERITIES[content["severity"]]
    found = db.execute(  # those of an alarm that wait are all of one priority
        "SELECT priority FROM outbox WHERE channel = ? AND alarm = ? AND state = 'pending' LIMIT 1",
        (channel, alarm),
    ).fetchone()
    before = found[0] if found else 0
    if 0 < before < own:
        db.execute(
            "UPDATE outbox SET priority = ? WHERE channel = ? AND alarm = ? AND state = 'pending'",
            (own, channel, alarm),
        )
    db.execute(
        "INSERT OR IGNORE INTO outbox VALUES (NULL, ?, ?, ?, ?, ?, 'pending', 0, ?, 0, 0, '')",
        (channel, n, alarm, content["kind"], max(own, before), now_ms),
    )
    db.execute("INSERT OR IGNORE INTO outbox_told VALUES (?, ?, '[]')", (channel, alarm))


def _bound(db: sqlite3.Connection, channel: str) -> int:
    """Drops what is too much. Returns how many."""
    count = "SELECT count(*) FROM outbox WHERE channel = ? AND state = 'pending'"
    excess = db.execute(count, (channel,)).fetchone()[0] - MOST
    if excess <= 0:
        return 0
    dropped = db.execute(
        "UPDATE outbox SET state = 'dropped', error = 'too many notices waited' WHERE id IN ("
        "SELECT id FROM outbox JOIN outbox_told USING (channel, alarm) WHERE channel = ? "
        "AND state = 'pending' AND priority <= 2 AND taken = '[]' AND tries = 0 "
        "ORDER BY priority, id LIMIT ?)",
        (channel, excess),
    ).rowcount
    _count(db, channel, lost=dropped)
    return dropped


def _count(db: sqlite3.Connection, channel: str, lost: int) -> None:
    db.execute("INSERT OR IGNORE INTO outbox_channels VALUES (?, 0, 0, 0)", (channel,))
    db.execute("UPDATE outbox_channels SET lost = lost + ? WHERE name = ?", (lost, channel))


def configure(db: sqlite3.Connection, names: Sequence[str]) -> int:
    """From now on these are the channels; what waits for others is dropped. Returns how many
    notices. To be called before any is sent.
    """
    known = json.dumps(names)
    with transaction(db):
        for name in names:
            _count(db, name, lost=0)
        dropped = db.execute(
            "UPDATE outbox SET state = 'dropped', error = 'the channel is configured no more' "
            "WHERE state = 'pending' AND channel NOT IN (SELECT value FROM json_each(?))", (known,)
        ).rowcount
        for query in (
            "DELETE FROM outbox_told WHERE channel NOT IN (SELECT value FROM json_each(?))",
            "DELETE FROM outbox_channels WHERE name NOT IN (SELECT value FROM json_each(?))",
        ):
            db.execute(query, (known,))
    return dropped


def pause_ms(number: int, failures: int) -> int:
    """How long a channel waits after that many failures in a row, with the notice's jitter."""
    whole = min(FIRST_MS << min(failures - 1, 20), CAP_MS)
    digest = sha256(f"{number}:{failures}".encode()).digest()
    return whole * (750 + int.from_bytes(digest[:4]) % 500) // 1000


class Outbox:
    """The notices of one channel. Methods block; they raise sqlite3.Error.

    The connection is of this thread alone, in autocommit mode; `configure` knows the channel.
    """

    def __init__(self, db: sqlite3.Connection, channel: str) -> None:
        self._db = db
        self.channel = channel

    def paused_until(self, now_ms: int) -> int:
        """Until when the channel waits; `now_ms` when it does not."""
        until = self._value("SELECT until_ms FROM outbox_channels WHERE name = ?")
        return until if now_ms < until <= now_ms + LONGEST_MS else now_ms

    def tried_since(self, since_ms: int) -> list[int]:
        """When notices were last tried, after an instant, in order: for a limit on the rate."""
        query = "SELECT tried_ms FROM outbox WHERE channel = ? AND tried_ms > ? ORDER BY tried_ms"
        return [row[0] for row in self._db.execute(query, (self.channel, since_ms))]

    def due(self, now_ms: int, least: int = 1) -> Due | None:
        """The next notice to send, of this priority at least. Those that are too old, or say
        nothing, end on the way.
        """
        while True:
            row = self._db.execute(
                "SELECT o.id, o.tries, o.kind, o.queued_ms, l.body, coalesce(t.taken, '[]') "
                "FROM outbox o LEFT JOIN ledger l ON l.n = o.n "
                "LEFT JOIN outbox_told t ON t.channel = o.channel AND t.alarm = o.alarm "
                "WHERE o.channel = ?1 AND o.state = 'pending' AND o.priority >= ?4 "
                "AND (o.next_ms <= ?2 OR o.next_ms > ?2 + ?3) "
                "AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.channel = ?1 "
                "AND e.state = 'pending' AND e.alarm = o.alarm AND e.id < o.id) "
                "ORDER BY o.priority DESC, o.id LIMIT 1",
                (self.channel, now_ms, LONGEST_MS, least),
            ).fetchone()
            if row is None:
                return None
            number, tries, kind, queued_ms, body, taken = row
            earlier = tuple((seq, t_ms) for seq, t_ms in json.loads(taken))
            if body is None:
                self._end(number, "refused", "its record is missing from the ledger")
            elif kind in ("returned", "cleared") and not earlier:
                self._end(number, "moot", "nothing of this alarm had been taken")
            elif now_ms - queued_ms > KEPT_MS:
                self._end(number, "expired")
            else:
                return Due(number, tries, body, json.loads(body), earlier)

    def trying(self, due: Due, now_ms: int) -> None:
        """Notes a try before it is made."""
        with transaction(self._db):
            self._db.execute(
                "UPDATE outbox SET tries = tries + 1, tried_ms = ? WHERE id = ?", (now_ms, due.id)
            )

    def sent(self, due: Due, partly: str = "") -> None:
        """The peer has taken it; `partly` says for whom not."""
        earlier = [*due.earlier, (due.content["seq"], due.content["t_ms"])]
        kept = earlier[:1] + earlier[1:][-(_EARLIER - 1):]
        with transaction(self._db):
            self._db.execute(
                "UPDATE outbox_told SET taken = ? WHERE channel = ? AND alarm = ?",
                (json.dumps(kept), self.channel, due.content["alarm"]),
            )
            if self._value("SELECT failures FROM outbox_channels WHERE name = ?") >= OUTAGE:
                self._db.execute(
                    "UPDATE outbox SET next_ms = 0 WHERE channel = ? AND state = 'pending'",
                    (self.channel,),
                )
            self._db.execute(_WORKS, (self.channel,))
            self._ended(due.id, "sent", partly)
            if partly:
                _count(self._db, self.channel, lost=1)

    def refused(self, due: Due, why: str) -> None:
        """The peer will never take it: it answers, though, so the channel works."""
        self._end(due.id, "refused", why, works=True)

    def failed(self, due: Due, why: str, after_ms: int | None, now_ms: int) -> None:
        """Not taken now; the channel waits, `after_ms` where the peer asked for it."""
        failures = self._value("SELECT failures FROM outbox_channels WHERE name = ?") + 1
        own = 2 * pause_ms(due.id, due.tries + 1)
        wait = max(after_ms or 0, pause_ms(due.id, failures))  # "after 0 s" is no leave to hammer
        with transaction(self._db):
            self._db.execute(
                "UPDATE outbox_channels SET failures = ?, until_ms = ? WHERE name = ?",
                (failures, now_ms + min(wait, LONGEST_MS), self.channel),
            )
            self._db.execute(
                "UPDATE outbox SET next_ms = ?, error = ? WHERE id = ?",
                (now_ms + (own if after_ms is None else 0), why[:_ERROR], due.id),
            )

    def health(self, now_ms: int) -> Health:
        """How the channel does."""
        failures, lost = self._db.execute(
            "SELECT failures, lost FROM outbox_channels WHERE name = ?", (self.channel,)
        ).fetchone()
        pending, oldest = self._db.execute(
            "SELECT count(*), min(queued_ms) FROM outbox WHERE channel = ? AND state = 'pending'",
            (self.channel,),
        ).fetchone()
        waited = 0 if oldest is None else max(0, now_ms - oldest) // 1000
        return Health(failures > 0, pending, waited, lost)

    def _end(self, number: int, state: State, why: str = "", *, works: bool = False) -> None:
        with transaction(self._db):
            self._ended(number, state, why)
            if state in ("refused", "expired"):
                _count(self._db, self.channel, lost=1)
            if works:
                self._db.execute(_WORKS, (self.channel,))

    def _ended(self, number: int, state: State, why: str) -> None:
        """Marks it, forgets the alarm if this was its end, and forgets what ended long ago."""
        self._db.execute(
            "UPDATE outbox SET state = ?1, error = iif(?2 = '', error, ?2) WHERE id = ?3",
            (state, why[:_ERROR], number),
        )
        self._db.execute(
            "DELETE FROM outbox_told WHERE (channel, alarm) IN (SELECT channel, alarm FROM outbox "
            "WHERE id = ? AND kind = 'cleared')", (number,),
        )  # fmt: skip
        if number % _SWEEP:
            return
        self._db.execute(
            "DELETE FROM outbox WHERE channel = ?1 AND state != 'pending' AND id <= ("
            "SELECT id FROM outbox WHERE channel = ?1 AND state != 'pending' "
            "ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (self.channel, ENDED),
        )

    def _value(self, query: str, *values: object) -> Any:  # noqa: ANN401 - a cell
        return self._db.execute(query, (self.channel, *values)).fetchone()[0]


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that is written in it, or nothing. Raises sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
