"""`tocsin run`: one process that plays a source through the rules, without a broker.

The loop performs effects in the order ledger, outputs, acknowledgement:
1. what the engine says is chained and written to the ledger (on the disk before anything else);
2. it goes to `alerts.jsonl` and to the screen;
3. a snapshot notes up to where the source has been played.
After a stop or a crash the engine goes on from the newest snapshot. What it then says again is
compared with the ledger, record by record, and neither written nor shown twice. The ledger is the
same, byte for byte, at any speed and with any stops.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.files import RecordingError
from rules.load import load
from rules.model import Group, Pack, Rule
from rules.records import Message, Transition
from streams.ledger import meaning
from streams.render import Language, alert, catalogue
from streams.run.board import Board
from streams.run.journal import Journal, JournalError, opened
from streams.run.source import PACKS, Source, SourceError, demo, files
from streams.run.views import Frame, View, make_view
from streams.site import Site
from streams.store import StoreError

SPEED = 300.0         # times real time: the demo's 16 hours in 3 min 12 s
FRAME_S = 0.1         # a beat of the loop
BEAT_S = 0.5          # longest beat that counts: after a stall the plant's clock does not race
STEP_MS = 600_000     # of the plant's time a beat when played as fast as possible
SAVE_S = 2.0          # between snapshots
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


class UsageError(Exception):
    """An option, a rule or a file of the user is wrong."""


def run(settings: RunSettings) -> int:
    """Runs until the source ends or somebody stops it.

    Returns the exit status: 0 done or stopped, 1 the ledger cannot be used, 2 options, rules or
    data are wrong (said on stderr).
    """
    try:
        zone = _zone(settings)
        pack = _pack(settings.rules or PACKS)
        source = files(settings.data, pack) if settings.data else demo(pack)
        journal, aside = opened(settings.ledger, source.identity)
        try:
            view = make_view(settings.lang, zone, headless=settings.headless)
            _Run(settings, pack, source, journal, view).play(aside)
        finally:
            journal.close()
    except _Stopped:  # before anything was played: there is nothing to save
        return 0
    except BrokenPipeError:  # the reader of the pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UsageError, SourceError, RecordingError) as error:
        return _complain(error, 2)
    except (JournalError, StoreError, OSError) as error:
        return _complain(error, 1)
    return 0


def _complain(error: Exception, status: int) -> int:
    sys.stderr.write(f"tocsin run: {error}\n")
    return status


def _zone(settings: RunSettings) -> ZoneInfo:
    if not (math.isfinite(settings.speed) and settings.speed >= 0):
        raise UsageError(
            f"--speed {settings.speed:g}: expected how many times real time, or 0 for as fast as "
            "possible"
        )
    try:
        return ZoneInfo(settings.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"{settings.zone!r}: no such time zone; expected a name like Asia/Shanghai"
        ) from None


def _pack(paths: tuple[Path, ...]) -> Pack:
    loaded = load(paths)
    if loaded.pack is None:
        wrong = [str(problem) for problem in loaded.problems if problem.kind == "error"]
        raise UsageError("\n".join([f"{len(wrong)} error(s) in the rules:", *wrong]))
    return loaded.pack


class _Stopped(Exception):  # noqa: N818 not an error
    """Somebody asked for the end while the engine was being prepared."""


class _Run:
    """One run of a source through a site."""

    def __init__(
        self, settings: RunSettings, pack: Pack, source: Source, journal: Journal, view: View
    ) -> None:
        self.settings, self.pack, self.source = settings, pack, source
        self.journal, self.view, self.board = journal, view, Board()
        self.known = catalogue(pack)
        self.classes = {asset.id: asset.cls for asset in source.inventory}
        self.versions: dict[str, str] = {}
        self.playing = False
        self.stopped = False

    def play(self, aside: Path | None) -> None:
        """To the end, or until a signal says stop."""
        with self._signals():
            snapshot = self.journal.snapshot
            self.position = snapshot.position if snapshot else self.source.start - 1
            for content in self.journal.history():
                self.board.take(content)
            try:
                self.view.begin(self._frame(), self.source.title, self.settings.ledger, aside)
                self._warm_up()
                self.site = self._site()
                self._loop()
            finally:
                self.view.end()
            finished = self.position >= self.source.end
            self.journal.save(self.position, self.site.snapshot(), finished=finished)
        trips = {rule.id for rule in self.pack.rules if "trip" in rule.tags}
        broken = self.journal.verify()
        self.view.report(self._frame(), trips, self.journal, broken, finished=finished)

    def _site(self) -> Site:
        snapshot = self.journal.snapshot
        if snapshot is None:
            return Site(self.pack, self.settings.zone, self.source.inventory, self.source.start)
        try:
            return Site.restore(self.pack, snapshot.state, self.settings.zone)
        except ValueError as error:
            raise JournalError(
                f"{self.journal.folder}: its snapshot does not fit these rules ({error}); choose "
                "another folder with --ledger"
            ) from None

    def _warm_up(self) -> None:
        """Has the engine compiled by a site that is thrown away: the first time takes seconds."""
        site = Site(self.pack, self.settings.zone, self.source.inventory, self.source.start)
        first = list(islice(self.source.play(), WARM_UP))
        site.messages(first)
        site.run_until(max((message.t for message in first), default=self.source.start))
        self.playing = True
        if self.stopped:
            raise _Stopped

    def _loop(self) -> None:
        upcoming = _Upcoming(self.source.after(self.position))
        beat = saved = time.monotonic()
        clock = float(self.position)
        while not self.stopped and self.position < self.source.end:
            if self.settings.speed:
                time.sleep(FRAME_S)
                before, beat = beat, time.monotonic()
                clock += min(beat - before, BEAT_S) * 1000 * self.settings.speed
            else:
                clock += STEP_MS
            target = min(int(clock), self.source.end)
            self._to(target, upcoming.until(target))
            self.view.frame(self._frame())
            if time.monotonic() - saved > SAVE_S:
                self.journal.save(self.position, self.site.snapshot())
                saved = time.monotonic()

    def _to(self, target: int, messages: list[Message]) -> None:
        """Plays up to and with the instant `target`: ledger, outputs, position, in this order."""
        if target <= self.position:
            return
        self.classes.update((message.asset, message.cls) for message in messages)
        made = self.site.messages(messages) + self.site.run_until(target)
        made.sort(key=lambda x: (x.t, x.asset, x.rule))  # stable: the same at any pace
        for content in self.journal.write([self._content(transition) for transition in made]):
            self.board.take(content)
            self.view.alert(content)
        self.position = target

    def _content(self, transition: Transition) -> dict[str, object]:
        cls = "" if transition.group else self.classes[transition.asset]
        rule = self.known[transition.rule, cls]
        alarm, seq = self.journal.name(transition.rule, transition.asset, transition.raised)
        signals = self.pack.classes[cls].signals if cls else {}
        content = alert(rule, transition, alarm, seq, signals)
        return {**content, "version": self._version(rule, cls)}

    def _version(self, rule: Rule | Group, cls: str) -> str:
        key = f"{cls}/{rule.id}"
        if key not in self.versions:
            self.versions[key] = meaning(rule)
        return self.versions[key]

    def _frame(self) -> Frame:
        return Frame(
            self.board, max(self.position, self.source.start), self.source.start, self.source.end,
            self.settings.speed,
        )  # fmt: skip

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and a polite kill end the loop after the present beat."""

        def stop(_number: int, _frame: object) -> None:
            self.stopped = True
            if not self.playing:
                raise _Stopped

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Upcoming:
    """Messages, taken as far as the clock has come."""

    def __init__(self, messages: Iterator[Message]) -> None:
        self._messages = messages
        self._next = next(messages, None)

    def until(self, t: int) -> list[Message]:
        """The next messages up to and with `t`."""
        found = []
        while self._next is not None and self._next.t <= t:
            found.append(self._next)
            self._next = next(self._messages, None)
        return found
