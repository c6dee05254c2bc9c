"""The loop of a run: plays a source through a site on duty, and performs what is decided.

In the order ledger, outputs, acknowledgement:
1. what is decided is chained and written to the ledger, together with the messages that brought it
   (on the disk before anything else);
2. it goes to `alerts.jsonl`, to the screen, to whoever ordered it;
3. a snapshot notes up to where all has been played.
After a stop or a crash the run goes on from the newest snapshot: kept messages and orders are
played again, and what is then said again is compared with the ledger, record by record, and neither
written nor shown twice. The ledger is the same, byte for byte, at any speed and with any stops.
Rules that were edited meanwhile are activated, which is a record, too.
"""


from __future__ import annotations

import queue
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rules.records import Command, Message
from streams.contents import Content
from streams.duty import Duty, Edition, EditionError, inventory_hash
from streams.render import Language
from streams.run.again import played_again, resumed
from streams.run.board import Board, worst_first
from streams.run.control import Control, Order
from streams.run.journal import Journal, JournalError
from streams.run.sender import Sender
from streams.run.source import Source
from streams.run.views import Frame, View
from streams.site import Site
from streams.store import Kept

SPEED = 300.0         # times real time: the demo's 16 hours in 3 min 12 s
FRAME_S = 0.1         # a beat of the loop
BEAT_S = 0.5          # longest beat that counts: after a stall the plant's clock does not race
STEP_MS = 600_000     # of the plant's time a beat when played as fast as possible
SAVE_S = 2.0          # between snapshots
BASE_MS = 6 * 3_600_000   # of the plant's time between those that are kept to run again from
WARM_UP = 50          # messages


@dataclass(frozen=True)
class RunSettings:
    """Options of `tocsin run`. `speed` is times real time, 0 as fast as possible.

    Without `data` the demo is played; without `rules` the demo's packs are used.
    """

    speed: float = SPEED
    lang: Language = "en"
    data: tuple[Path, ...] = ()
    rules: tuple[Path, ...] = ()
    headless: bool = False
    ledger: Path = Path("tocsin-data")
    zone: str = "UTC"
    orders: Path | None = None    # operators' orders to play
    notify: Path | None = None    # channels of notices
    port: int = 0                 # of the operators' access; 0: a free one


class Stopped(Exception):  # noqa: N818 not an error
    """Somebody asked for the end while the engine was being prepared."""


class Loop:
    """One run of a source through a site on duty."""

    def __init__(
        self, settings: RunSettings, edition: Edition, source: Source, journal: Journal,
        view: View, sender: Sender | None,
    ) -> None:
        self.settings, self.edition, self.source = settings, edition, source
        self.journal, self.view, self.board = journal, view, Board()
        self.sender = sender
        if sender is not None:
            journal.also = sender.queue
        self.rows: list[dict[str, Any]] | None = []     # None: to be made anew
        self.playing = False
        self.stopped = False

    def play(self, aside: Path | None) -> None:
        """To the end, or until a signal says stop."""
        with self._signals():
            for content in self.journal.history():
                self.board.take(content)
            snapshot = self.journal.snapshot
            self.position = snapshot.position if snapshot else self.source.start - 1
            try:
                self.view.begin(self._frame(), self.source.title, self.settings.ledger, aside)
                self._warm_up()
                self.duty = self._duty()
                with Control(self.settings.ledger, self.settings.port) as self.control:
                    self._loop()
            finally:
                self.view.end()
            self.rows = worst_first(self.duty.alarms_list())
            finished = self.position >= self.source.end
            self.journal.save(self.position, self.duty.snapshot(), finished=finished)
        trips = {rule.id for rule in self.duty.edition.pack.rules if "trip" in rule.tags}
        broken = self.journal.verify()
        self.view.report(self._frame(), trips, self.journal, broken, finished=finished)

    def _duty(self) -> Duty:
        """The site where the last run has left it, under the rules of now."""
        store = self.journal.store
        store.keep(self.edition.name, list(self.edition.texts))
        if not self.journal.begun:
            return self._begun()
        try:
            duty, n, said = resumed(store, self.journal.snapshot)
            for contents in (said, *played_again(store, duty, n)):
                self._tell(self.journal.write(contents))
            self.journal.caught_up()
        except ValueError as error:
            raise JournalError(
                f"{self.journal.folder}: its state cannot be read ({error}); choose another folder "
                "with --ledger"
            ) from None
        self.position = duty.clock
        if duty.edition.name != self.edition.name:
            self._tell(self.journal.write(duty.activate(self.edition, by="start")))
        return duty

    def _begun(self) -> Duty:
        inventory = tuple(self.source.inventory)
        duty = Duty(self.edition, self.settings.zone, inventory, self.source.start)
        plain = [[x.id, x.cls, x.attributes, x.overrides] for x in inventory]
        self.journal.store.keep(inventory_hash(inventory), plain)
        self._tell(self.journal.write(duty.begin(by="start")))
        return duty

    def _warm_up(self) -> None:
        """Has the engine compiled by a site that is thrown away: the first time takes seconds."""
        site = Site(
            self.edition.pack, self.settings.zone, self.source.inventory, self.source.start
        )
        first = list(islice(self.source.play(), WARM_UP))
        site.messages(first)
        site.run_until(max((message.t for message in first), default=self.source.start))
        self.playing = True
        if self.stopped:
            raise Stopped

    def _loop(self) -> None:
        upcoming = _Upcoming(self.source, self.position)
        beat = saved = time.monotonic()
        clock = float(self.position)
        while not self.stopped and self.position < self.source.end:
            if self.settings.speed:
                time.sleep(FRAME_S)
                before, beat = beat, time.monotonic()
                clock += min(beat - before, BEAT_S) * 1000 * self.settings.speed
            else:
                clock += STEP_MS
            for order in self.control.orders():
                self._order(order)
            self._advance(min(int(clock), self.source.end), upcoming)
            self._publish()
            if time.monotonic() - saved > SAVE_S:
                self._save()
                saved = time.monotonic()

    def _publish(self) -> None:
        """Shows where the run stands."""
        if self.rows is None:
            self.rows = worst_first(self.duty.alarms_list())
        self.view.frame(self._frame())
        health = {"zone": self.settings.zone, "records": self.journal.length}
        self.control.publish(self.rows, self.position, health)

    def _save(self) -> None:
        last = self.journal.store.base(1 << 62)
        since = self.position - (last.position if last else self.source.start)
        self.journal.save(self.position, self.duty.snapshot(), base=since >= BASE_MS)

    def _advance(self, target: int, upcoming: _Upcoming) -> None:
        """Plays up to and with `target`, and the orders that fall into it."""
        for t, command in upcoming.orders(target):
            self._to(t - 1, upcoming.until(t - 1))
            self._tell(self.journal.write(self.duty.command(command)[1]))
        self._to(target, upcoming.until(target))

    def _to(self, target: int, messages: list[Message]) -> None:
        """Plays up to and with the instant `target`: ledger, outputs, position, in this order."""
        if target <= self.position:
            return
        messages = [*self._own_health(), *messages]
        contents = self.duty.play(messages, target)
        self._tell(self.journal.write(contents, Kept(target, messages)))
        self.position = target

    def _own_health(self) -> Iterator[Message]:
        """How the channels of notices do, as messages at the first instant not yet played."""
        while self.sender is not None and "tocsin_channel" in self.duty.edition.pack.classes:
            try:
                yield replace(self.sender.health.get_nowait(), t=self.position + 1)
            except queue.Empty:
                return

    def _order(self, order: Order) -> None:
        """What somebody ordered, at the first instant that has not been played."""
        if order.command is not None:
            answer, contents = self.duty.command(order.command)
        else:
            answer, contents = self._activate(order)
        self._tell(self.journal.write(contents))
        order.answer(answer)

    def _activate(self, order: Order) -> tuple[Content, list[Content]]:
        answer: Content = {"result": "accepted", "why": "", "t_ms": self.position + 1}
        try:
            edition = Edition.of(order.pack)
        except EditionError as error:
            return answer | {"result": "refused", "why": str(error)}, []
        self.journal.store.keep(edition.name, list(edition.texts))
        contents = self.duty.activate(edition, order.by, order.request)
        self.edition = edition
        first = contents[0]
        return answer | {name: first[name] for name in ("pack", "anew", "gone")}, contents

    def _tell(self, contents: list[Content]) -> None:
        """Shows what is new and durable."""
        if contents:
            self.rows = None
            if self.sender is not None:
                self.sender.wake()
        for content in contents:
            self.board.take(content)
            if content["type"] == "alert":
                self.view.alert(content)

    def _frame(self) -> Frame:
        return Frame(
            self.board, self.rows or [], max(self.position, self.source.start),
            self.source.start, self.source.end, self.settings.speed,
        )  # fmt: skip

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and a polite kill end the loop after the present beat."""

        def stop(_number: int, _frame: object) -> None:
            self.stopped = True
            if not self.playing:
                raise Stopped

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Upcoming:
    """What the source has after an instant: messages and orders, taken as far as the clock came."""

    def __init__(self, source: Source, position: int) -> None:
        self._messages = source.after(position)
        self._next = next(self._messages, None)
        self._orders = deque((t, order) for t, order in source.orders if t > position)

    def until(self, t: int) -> list[Message]:
        """The next messages up to and with `t`."""
        found = []
        while self._next is not None and self._next.t <= t:
            found.append(self._next)
            self._next = next(self._messages, None)
        return found

    def orders(self, t: int) -> Iterator[tuple[int, Command]]:
        """The next orders up to and with `t`, each with its instant."""
        while self._orders and self._orders[0][0] <= t:
            yield self._orders.popleft()
