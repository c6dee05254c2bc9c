"""The story of an alarm out of a store, and running it again. All functions block.

Raised: TraceError, StoreError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
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
    gather,
    members,
)
from streams.trace_story import LOOKBACK, Story, Window, in_group, stood_on, told, window

#: Runs a ledger again: (store, number of the last record wanted, since when in ms) -> its records.
Again = Callable[[Store, int | None, int | None], Iterator[Record]]


def story_of(store: Store, asked: str, zone: str | None = None) -> Story:
    """The story of the alarm that is asked for (see `trace.Search`), in the site's zone or another.

    What is no longer kept (texts of rules, messages) is missing from it; the records never are.
    """
    chronicle = gather(Search(asked).look(store.records()), store.records())
    activation = chronicle.activation
    files, inventory = _kept(store, activation or {})
    found = stood_on(chronicle, files, inventory)
    if chronicle.alarm.group:
        within = getattr(found.rule, "within", None) if found is not None else None
        belongs = in_group(found, chronicle.alarm.asset, inventory)
        members(chronicle, store.records(), belongs, within or HORIZON)
    around = window(chronicle, found)
    messages = _messages(store, chronicle.alarm, around)
    return told(chronicle, found, messages, around, zone or zone_named(activation))


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


def _kept(store: Store, activation: Content) -> tuple[list[tuple[str, bytes]], list[Asset]]:
    """Texts and inventory; none where they are not kept (`ledger verify` says so)."""
    files, inventory = list[tuple[str, bytes]](), list[Asset]()
    with suppress(StoreError):
        files = store.pack_files(activation.get("pack", ""))
    with suppress(StoreError):
        inventory = store.inventory(activation.get("inventory", ""))
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
    that differs: its number, whose it is, how it differs; or it broke off before that one.
    """

    compared: int
    differs: int | None = None
    how: str = ""
    whose: str = ""
    broke_off: bool = False

    @property
    def same(self) -> bool:
        """Whether every one came out byte for byte."""
        return self.differs is None


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
        how = _difference(found, made)
        if how:
            return Outcome(compared, made.n, how, _whose(found))
    rest = _left(store.records(after=reached), wanted, last)
    if rest is not None:
        return Outcome(compared, rest.n, "it did not come out again", _whose(rest))
    return Outcome(compared)


def _unbroken(made: Iterator[Record]) -> Iterator[Record | str]:
    """The records; and why it broke off, where what is kept is not what was written."""
    try:
        yield from made
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        yield f"running again broke off: {type(error).__name__}: {_short(str(error))}"


def _left(rest: Iterable[Record], wanted: set[int] | None, last: int | None) -> Record | None:
    """The first record wanted that is left, up to the last one wanted."""
    for record in rest:
        if last is not None and record.n > last:
            break
        if wanted is None or record.n in wanted:
            return record
    return None


def _whose(record: Record | None) -> str:
    if record is None:
        return ""
    try:
        content = content_of(record)
    except TraceError:
        return ""
    return str(content.get("alarm", "") or content.get("type", ""))


def _difference(found: Record | None, made: Record) -> str:
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
    before, after = _short(kept.get(first)), _short(again.get(first))
    return f"{first}: the ledger has {before}, again came {after}"


def _short(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 80 else said[:77] + "…"
