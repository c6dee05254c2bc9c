"""The story of an alarm out of what is kept, and running it again. All functions block.

    story_of    out of the embedded store
    telling     out of any archive: `streams.run.ledgers` has those on Kafka

Raised: TraceError, StoreError, and what an archive raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from zoneinfo import ZoneInfo

from rules.model import Asset
from rules.records import Message
from streams.ledger import Record
from streams.store import Store, StoreError
from streams.trace import (
    HORIZON,
    Alarm,
    Chronicle,
    Content,
    Search,
    TraceError,
    alarms,
    content_of,
    counting,
    gather,
    members,
)
from streams.trace_story import LOOKBACK, Story, Window, in_group, stood_on, told, window

#: Runs a ledger again: (store, number of the last record wanted, since when in ms) -> its records.
Again = Callable[[Store, int | None, int | None], Iterator[Record]]


#: The messages of an alarm's asset, from LOOKBACK before a window to its end, in order.
Messages = Callable[[Chronicle, Window], Iterator[Message]]


class Archive(Protocol):
    """What a story is told from: a ledger, with what its activations name. `pack_files` and
    `inventory` raise StoreError, LookupError or ValueError where it is not kept."""

    def records(self, after: int = 0) -> Iterator[Record]:
        """The records after that number, in order."""

    def pack_files(self, name: str) -> list[tuple[str, bytes]]:
        """The (path, text) pairs of a pack."""

    def inventory(self, name: str) -> list[Asset]:
        """The assets of an inventory."""


def story_of(store: Store, asked: str, zone: str | None = None) -> Story:
    """The story of the alarm asked for (see `trace.Search`), in the site's zone or another."""
    alarm = Search(asked).look(store.records())
    return telling(store, alarm, zone, lambda _, around: _messages(store, alarm, around))


def telling(
    archive: Archive, alarm: Alarm, zone: str | None, messages: Messages,
    others: Sequence[Archive] = (),
) -> Story:
    """The story of an alarm. `others`: ledgers of other partitions, whose groups may count it, or
    whose alarms its group counts.

    What is no longer kept (texts of rules, messages) is missing from it; the records never are.
    """
    chronicle = gather(alarm, archive.records())
    activation = chronicle.activation
    files, inventory = _kept(archive, activation or {})
    found = stood_on(chronicle, files, inventory)
    if alarm.group:
        within = getattr(found.rule, "within", None) if found is not None else None
        belongs = in_group(found, alarm.asset, inventory)
        for one in (archive, *others):
            members(chronicle, one.records(), belongs, within or HORIZON)
    else:
        for one in others:
            counting(chronicle, one.records())
    if others:
        chronicle.others.sort(key=lambda content: int(content["t_ms"]))
    around = window(chronicle, found)
    came = messages(chronicle, around)
    return told(chronicle, found, came, around, zone or zone_named(activation))


def zone_named(activation: Content | None) -> str:
    """The site's time zone as an activation has it."""
    name = activation.get("zone") if activation is not None else None
    return name if isinstance(name, str) and known_zone(name) else "UTC"


def known_zone(name: str) -> bool:
    """Whether there is a time zone of that name."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _kept(archive: Archive, activation: Content) -> tuple[list[tuple[str, bytes]], list[Asset]]:
    """Texts and inventory; none where they are not kept (`ledger verify` says so)."""
    files, inventory = list[tuple[str, bytes]](), list[Asset]()
    with suppress(StoreError, LookupError, ValueError):
        files = archive.pack_files(activation.get("pack", ""))
    with suppress(StoreError, LookupError, ValueError):
        inventory = archive.inventory(activation.get("inventory", ""))
    return files, inventory


def _messages(store: Store, alarm: Alarm, around: Window) -> Iterator[Message]:
    if alarm.group:
        return
    for kept in store.readings(after=around.begin - LOOKBACK - 1):
        for message in kept.messages:
            if message.asset == alarm.asset:
                yield message
        if kept.position > around.end:
            return


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running again came to: how many records were held against the ledger's, and the first
    that differs: its number, whose it is, how it differs; or it broke off before that one. `gone`:
    it could not be run, as what it needs is not kept any more.
    """

    compared: int
    differs: int | None = None
    how: str = ""
    whose: str = ""
    broke_off: bool = False
    gone: str = ""

    @property
    def same(self) -> bool:
        """Whether every one came out byte for byte."""
        return self.differs is None and not self.gone


def verify_alarm(store: Store, chronicle: Chronicle, again: Again) -> Outcome:
    """Runs an alarm again, from the newest base before its condition began, and compares all its
    records.
    """
    since = chronicle.since_ms     # what was in force at its point before is of an earlier time
    wanted = {content["n"] for part in (chronicle.own, chronicle.point, chronicle.commands)
              for content in part if content["t_ms"] >= since}  # fmt: skip
    outcome = _compared(store, again, wanted, max(wanted), since)
    if outcome.broke_off and store.base(since) is not None:
        # Perhaps the base alone is damaged, or of another version: the beginning needs none.
        outcome = _compared(store, again, wanted, max(wanted), None)
    return outcome


def verify_all(store: Store, again: Again) -> tuple[Outcome, int]:
    """Runs the whole ledger again. Returns what came of it, and how many alarms it holds."""
    head = store.head()
    last = head[0] if head is not None else None     # a run may be writing more
    count = sum(1 for one in alarms(store.records()) if last is None or one.n <= last)
    return _compared(store, again, None, last, None), count


def _compared(
    store: Store, again: Again, wanted: set[int] | None, last: int | None, since: int | None
) -> Outcome:
    compared = reached = 0
    written: Iterator[Record] | None = None
    for made in _unbroken(again(store, last, since)):
        if isinstance(made, str):
            return Outcome(compared, reached + 1, made, broke_off=True)
        if written is None:
            written = store.records(after=made.n - 1)
        found = next(written, None)
        reached = made.n
        if wanted is not None and made.n not in wanted:
            continue
        compared += 1
        how = difference(found, made)
        if how:
            return Outcome(compared, made.n, how, whose(found))
    rest = _left(store.records(after=reached), wanted, last)
    if rest is not None:
        return Outcome(compared, rest.n, "it did not come out again", whose(rest))
    return Outcome(compared)


def _unbroken(made: Iterator[Record]) -> Iterator[Record | str]:
    """The records; and why it broke off, where what is kept is not what was written."""
    try:
        yield from made
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        yield f"running again broke off: {type(error).__name__}: {short(str(error))}"


def _left(rest: Iterable[Record], wanted: set[int] | None, last: int | None) -> Record | None:
    """The first record wanted that is left, up to the last one wanted."""
    for record in rest:
        if last is not None and record.n > last:
            break
        if wanted is None or record.n in wanted:
            return record
    return None


def whose(record: Record | None) -> str:
    """The alarm that a record is of, or its type; "" if it says nothing."""
    if record is None:
        return ""
    try:
        content = content_of(record)
    except TraceError:
        return ""
    return str(content.get("alarm", "") or content.get("type", ""))


def difference(found: Record | None, made: Record) -> str:
    """How a record of the ledger differs from the one that came out again; "" if it does not."""
    if found is None or found.n != made.n:
        return "it is missing from the ledger"
    if found.body == made.body:
        same = found.hash == made.hash
        return "" if same else "its hash does not fit: it or a record before it was changed"
    try:
        kept, again = content_of(found), content_of(made)
    except TraceError:
        return "it cannot be read"
    keys = sorted({*kept, *again})
    first = next((key for key in keys if kept.get(key) != again.get(key)), None)
    if first is None:
        return "it is written in another way than Tocsin writes"
    before, after = short(kept.get(first)), short(again.get(first))
    return f"{first}: the ledger has {before}, again came {after}"


def short(value: object) -> str:
    """A value as a message shows it."""
    said = repr(value)
    return said if len(said) <= 80 else said[:77] + "…"
