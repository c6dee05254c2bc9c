"""Whatever engine, operators and clocks do, in any order and at any pace: nothing is lost, nothing
is acknowledged by nobody, and the records say it all."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rules.model import Pack, Rule
from rules.records import Change, Command, CommandKind, Transition
from streams.alarms import Book, Occurrence, alarm_id, word
from streams.attend import Alarms
from streams.contents import Contents
from streams.listing import rows
from tests.streams.alarm_kit import class_of, pack_of, plain, rebuilt
from tests.streams.attend_reader import Reader
from tests.streams.attend_twin import Twin

#: Times are a few ms each, so that much falls on one instant.
RULES = """
classes:
  pump:
    signals: {x: {}, m: {type: bool, default: false}}
    silent_after: 60 s
    shelve_at_most: 12 ms
plans:
  quick:
    steps:
    - {step: acknowledge, role: officer, within: 3 ms}
    - {step: look, role: mechanic, within: 6 ms}
    overdue: {raise_to: orange, notify: [desk]}
  full:
    steps:
    - {step: acknowledge, role: officer, within: 4 ms}
    - {step: look, role: mechanic, within: 8 ms, needs: [note]}
    - {step: close, role: officer, within: 12 ms}
    overdue: {raise_to: red}
rules:
- {rule: p.plain, class: pump, severity: yellow, when: x > 1}
- {rule: p.shadow, class: pump, severity: yellow, when: x > 1, mode: shadow, latch: true,
   unless: m, plan: quick}
- {rule: p.watched, class: pump, severity: blue, when: x > 2, unless: m, plan: quick}
- rule: p.all
  class: pump
  latch: true
  unless: m
  levels:
    yellow: {when: x > 5, plan: quick}
    orange: {when: x > 6}
    red:    {when: x > 7, plan: full}
groups:
- {group: p.flood, by: asset, when: active > 3, severity: orange, latch: true, plan: full}
"""
POINTS = [("p.plain", "P1"), ("p.shadow", "P1"), ("p.watched", "P1"), ("p.all", "P1"),
          ("p.all", "P2"), ("p.flood", "P1"), ("pump.silent", "P2")]  # fmt: skip
MAX_OPEN = 4
RARELY = [False] * 4 + [True]
KINDS = [*["acknowledge"] * 4, *["step"] * 6, *["shelve"] * 2, *["reset"] * 2, "unshelve",
         "unacknowledge", "out_of_service", "in_service", "in_service", "comment"]
STEPS = ["acknowledge", "look", "close"]
FIELDS = [{"note": "n"}, {"note": "n", "time_limit": "5 ms"}, {}]
AUTHORS = [*["ana"] * 8, *["ben"] * 8, ""]


@dataclass
class Player:
    """Alarms that are called at a pace: every `beat` ms of what is played, or all at once (0)."""

    pack: Pack
    beat: int
    alarms: Alarms = field(init=False)
    made: list[Change] = field(default_factory=list)
    clock: int = -1

    def __post_init__(self) -> None:
        self.alarms = Alarms(self.pack, class_of)

    def play(self, transitions: list[Transition], to: int) -> None:
        """As a duty does: what was said up to `to`, then the clocks."""
        found: list[Change] = []
        ends = [*range(self.clock + self.beat, to, self.beat), to] if self.beat else [to]
        for end in ends:
            due = [x for x in transitions if self.clock < x.t <= end]
            found += self.alarms.take(sorted(due, key=lambda x: (x.t, x.asset, x.rule)))
            found += self.alarms.advance(end)
            self.clock = end
        self.made += sorted(found, key=lambda x: (x.t, x.asset, x.rule))

    def restart(self) -> None:
        data = msgspec.msgpack.encode(self.alarms.state())
        self.alarms = Alarms(self.pack, class_of)
        self.alarms.restore(msgspec.msgpack.decode(data))


class Attention(RuleBasedStateMachine):
    """Engine (twins), operators and time by turns; three players at paces of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.few = patch("streams.attend.MAX_OPEN", MAX_OPEN)
        self.few.start()
        self.points = POINTS
        self.pack = pack_of(RULES)
        self.players = [Player(self.pack, beat) for beat in (1, 3, 0)]
        alarms = self.players[0].alarms
        found = {key: alarms.rule(key) for key in POINTS}
        self.twins = {key: Twin(one, key[1]) for key, one in found.items() if one is not None}
        self.contents = Contents(self.pack, class_of, lambda *_: None)
        self.records: list[dict[str, object]] = []
        self.reader = Reader()
        self.now, self.read, self.looked = 1, 0, -1
        self.pending: list[Transition] = []

    def teardown(self) -> None:
        self.tick(20)
        self.sync()
        self.few.stop()

    # What happens -----------------------------------------------------------------------------

    @initialize(points=st.lists(st.sampled_from(POINTS), min_size=1, max_size=3, unique=True))
    def of_all(self, points: list[tuple[str, str]]) -> None:
        """A few points, so that much happens to each."""
        self.points = points

    @rule(dt=st.integers(1, 4))
    def tick(self, dt: int) -> None:
        self.now += dt

    @rule(point=st.integers(0, 2), level=st.sampled_from([None, None, 0, 1, 2]),
          suppressed=st.sampled_from([False, False, True]), stale=st.sampled_from(RARELY),
          escalates=st.sampled_from([0, 0, 0, 3]), by_entry=st.sampled_from(RARELY))  # fmt: skip
    def condition(
        self, point: int, level: int | None, *, suppressed: bool, stale: bool, escalates: int,
        by_entry: bool,
    ) -> None:
        """A message, or an operator's entry, changes what the engine thinks."""
        key = self.points[point % len(self.points)]
        twin = self.twins[key]
        unless = isinstance(twin.rule, Rule) and twin.rule.unless is not None
        if level is not None:
            level = min(level, len(twin.rule.levels) - 1)
        if by_entry:
            self.before_a_command()
        if (twin.status, twin.raised) == ("returned", self.now):
            # Raised anew and told late look the same within one ms, and are taken for told late.
            suppressed = twin.suppressed
        made = twin.step(
            self.now, level, stale=stale and isinstance(twin.rule, Rule),
            suppressed=suppressed and unless, escalates=escalates,
        )  # fmt: skip
        if by_entry:
            self.at_once(made)
        else:
            self.pending += made

    @rule(
        n=st.integers(0, 2), kind=st.sampled_from(KINDS), which=st.sampled_from([0, 1, 2, 9, 9]),
        step=st.sampled_from(STEPS), duration=st.integers(1, 13),
        once=st.booleans(), against=st.sampled_from([None] * 8 + [0, 1]),
        fields=st.sampled_from(FIELDS), by=st.sampled_from(AUTHORS),
    )  # fmt: skip
    def command(
        self, n: int, kind: CommandKind, which: int, step: str, duration: int,
        fields: dict[str, str], by: str, against: int | None, *, once: bool,
    ) -> None:
        key = self.points[n % len(self.points)]
        self.before_a_command()
        point = self.players[0].alarms.book.points.get(key)
        open_ = list(point.open) if point else []
        alarm = alarm_id(*key, open_[which]) if which < len(open_) else ""
        if against is not None and point is not None and point.newest is not None:
            against += point.newest.moved - 1
        order = Command(kind, *key, step=step, by=by, reason="r", alarm=alarm, duration=duration,
                        once=once, fields=fields, against=against)
        results = []
        for player in self.players:
            before = player.alarms.state()
            refusal, changes = player.alarms.order(order, self.now)
            results.append(refusal)
            if refusal is not None:
                assert not changes
                assert plain(player.alarms.state()) == plain(before), "refused, nothing changes"
            player.made += changes
        assert results[0] == results[1] == results[2]
        if kind == "reset" and results[0] is None:
            twin = self.twins[key]
            assert twin.status == "returned", "what the guards let through the engine does, too"
            self.at_once(twin.step(self.now, None, suppressed=twin.suppressed, reset=True))

    @precondition(lambda self: self.now > 1)
    @rule(which=st.integers(0, 2))
    def restart(self, which: int) -> None:
        self.players[which].restart()

    # Helpers ----------------------------------------------------------------------------------

    def before_a_command(self) -> None:
        """It takes effect at the first instant that has not been played."""
        if any(x.t == self.now for x in self.pending):
            self.now += 1
        self.sync()

    def at_once(self, transitions: list[Transition]) -> None:
        for player in self.players:
            player.made += player.alarms.take(transitions)

    def sync(self) -> None:
        """Plays up to the instant before now, and holds the players to each other."""
        to = self.now - 1
        ready = [x for x in self.pending if x.t <= to]
        self.pending = [x for x in self.pending if x.t > to]
        for player in self.players:
            if player.clock < to:
                player.play(ready, to)

    @invariant()
    def all_is_well(self) -> None:
        if any(x.t < self.now for x in self.pending):
            self.sync()
        first, *others = self.players
        if first.clock < self.now - 1:
            return
        for other in others:
            assert other.made == first.made, "the same at any pace"
            assert plain(sorted(other.alarms.state())) == plain(sorted(first.alarms.state()))
        if self.read == len(first.made) and first.clock == self.looked:
            return
        self.looked = first.clock
        for change in first.made[self.read:]:
            self.reader.read(change)
            self.records.append(self.contents.alert(change, 0))
        self.read = len(first.made)
        self.nothing_is_lost(first)
        if not self.pending:
            self.the_engine_agrees(first)

    def nothing_is_lost(self, player: Player) -> None:
        open_ = {(rule, asset, raised): o for (rule, asset), point in
                 player.alarms.book.points.items() for raised, o in point.open.items()}  # fmt: skip
        for key, seen in self.reader.seen.items():
            o = open_.get(key)
            if o is None:
                assert seen.finished or not seen.told, "never lost"
                continue
            assert o.attended == bool(seen.holds)
            assert o.finished == seen.finished
            assert all(at > player.clock for at, _ in o.running()), "late at its instant"
        for point in player.alarms.book.points.values():
            assert point.shelf is None or point.shelf.until > player.clock
        listed = {row["alarm"] for row in rows(player.alarms, self.contents)}
        for key, seen in self.reader.seen.items():
            if seen.told and not seen.finished:
                assert alarm_id(*key) in listed
        book = Book()
        book.restore(player.alarms.state())
        book.tidy(player.clock)
        state = plain(sorted(book.state()))
        assert rebuilt(self.records, player.clock) == state, "the records alone make the state"

    def the_engine_agrees(self, player: Player) -> None:
        for key, twin in self.twins.items():
            point = player.alarms.book.points.get(key)
            open_ = point.open.values() if point else ()
            standing = [o for o in open_ if o.condition != "normal"]
            if twin.status == "inactive":
                assert not standing
                continue
            assert point is not None
            [o] = standing
            self._one_agrees(twin, o, covered=bool(point.covered))
            if not twin.shadow:
                assert (word(point, o) != "normal"), "what stands is seen"

    def _one_agrees(self, twin: Twin, o: Occurrence, *, covered: bool) -> None:
        assert o.raised == twin.raised
        assert o.condition == {"active": "active", "returned": "latched"}[twin.status]
        assert o.severity == max(twin.severity, o.floor)
        assert o.stale == (twin.stale and twin.status == "active")
        if twin.shadow:
            assert not o.announced
        else:
            assert o.suppressed == twin.suppressed
            assert o.announced or twin.suppressed or covered, "what stands is announced"


@pytest.mark.parametrize("seed", range(20))
def test_long_lives(seed: int) -> None:
    """The same at random, by seed: less is drawn that is refused, so that more happens."""
    draw = Random(seed)
    machine = Attention()
    machine.of_all(draw.sample(POINTS, draw.randint(1, 3)))
    for _ in range(80):
        match draw.choices(["tick", "condition", "command", "restart"], [5, 6, 8, 1])[0]:
            case "tick":
                machine.tick(dt=draw.choice([1, 1, 2, 5]))
            case "condition":
                machine.condition(
                    point=draw.randrange(3), level=draw.choice([None, 0, 0, 1, 2]),
                    suppressed=draw.random() < 0.25, stale=draw.random() < 0.2,
                    escalates=draw.choice([0, 0, 0, 0, 3]), by_entry=draw.random() < 0.2,
                )  # fmt: skip
            case "command":
                machine.command(
                    n=draw.randrange(3), kind=draw.choice(KINDS), which=draw.choice([0, 1, 9, 9]),
                    step=draw.choice(STEPS), duration=draw.randint(1, 13), by=draw.choice(AUTHORS),
                    against=draw.choice([None] * 9 + [0]), once=draw.random() < 0.4,
                    fields=draw.choice(FIELDS),
                )  # fmt: skip
            case _:
                machine.restart(which=draw.randrange(3))
        machine.all_is_well()
    machine.teardown()
    machine.all_is_well()


TestAttention = Attention.TestCase
TestAttention.settings = settings(max_examples=40, stateful_step_count=40, deadline=None,
                                  report_multiple_bugs=False)
