"""Groups over announced raises: what they count, when a raise leaves, delays, latch, snapshots."""

import json
import math
import random
from collections.abc import Iterable

import pytest

from rules.model import Asset, Group, Level, Message, Pack, Text
from rules.records import Command, Transition
from rules.tree import Const, Expr, Op, SignalRef
from streams.group_levels import LevelState, value
from streams.groups import Groups

RED, ORANGE, YELLOW = 4, 3, 2


def compare(name: str, op: str, limit: float) -> Op:
    return Op(op, (SignalRef(name), Const(limit)))


def level(when: Expr, clear_when: Expr | None = None, **more: object) -> Level:
    fields: dict[str, object] = {
        "severity": YELLOW, "delay": Const(0.0), "clear_delay": Const(0.0), "moved": None,
        "only_if": None, "plan": None, "message": Message(),
    } | more  # fmt: skip
    return Level(when=when, clear_when=clear_when, **fields)  # type: ignore[arg-type]


def group(*levels: Level, by: str = "site", **more: object) -> Group:
    fields: dict[str, object] = {"over": frozenset({"a.p", "a.q"}), "within": 60_000} | more
    return Group("g.x", Text(), by, levels=levels, **fields)  # type: ignore[arg-type]


SITES = {"A": "north", "B": "north", "C": "south"}


def groups(*of: Group, sites: dict[str, str] = SITES, inventory: str = "") -> Groups:
    assets = [Asset(name, "a") for name in inventory]
    return Groups(Pack({}, (), of, {}), assets, lambda asset, _: sites.get(asset))


def raised(t: int, asset: str, rule: str = "a.p", **more: object) -> Transition:
    fields: dict[str, object] = {"kind": "raised", "announced": True} | more
    return Transition(t, asset, rule, severity=YELLOW, **fields)  # type: ignore[arg-type]


def ended(t: int, asset: str, rule: str = "a.p", kind: str = "cleared") -> Transition:
    return raised(t, asset, rule, kind=kind)


def told(transitions: Iterable[Transition]) -> list[tuple[int, str, str]]:
    return [(x.t, x.asset, x.kind) for x in transitions]


def outcome(of: Group, *facts: Transition, until: int = 1_000_000) -> list[tuple[int, str, str]]:
    made = groups(of)
    made.feed(facts)
    return told(made.advance(until, inclusive=True))


TWO_ASSETS = group(level(compare("assets", "ge", 2)))


def test_a_raise_counts_an_asset_once_and_leaves_exactly_within_after_it() -> None:
    facts = [raised(0, "A"), ended(1, "A"), raised(5, "A"), raised(20_000, "B")]
    assert outcome(TWO_ASSETS, *facts) == [
        (20_000, "north", "raised"),
        (60_005, "north", "cleared"),
    ]


def test_assets_of_other_keys_and_without_the_attribute_do_not_count() -> None:
    assert outcome(TWO_ASSETS, raised(0, "A"), raised(1, "C"), raised(2, "D")) == []


def test_all_of_one_instant_counts_together_before_one_evaluation() -> None:
    one = group(level(compare("alarms", "eq", 1)))
    assert outcome(one, raised(7, "A"), raised(7, "B")) == []


def test_a_raise_that_leaves_as_another_comes_is_not_counted_with_it() -> None:
    assert outcome(TWO_ASSETS, raised(0, "A"), raised(60_000, "B")) == []
    assert outcome(TWO_ASSETS, raised(0, "A"), raised(59_999, "B"))[0][0] == 59_999


@pytest.mark.parametrize(
    "fact",
    [
        raised(1, "B", announced=False),
        raised(1, "B", kind="level"),
        raised(1, "B", kind="stale"),
        raised(1, "B", kind="unsuppressed"),
        raised(1, "B", "a.other"),
        raised(1, "B", group=True),
    ],
    ids=["unannounced", "level", "stale", "unsuppressed", "another rule", "of a group"],
)
def test_only_announced_raises_of_its_rules_count(fact: Transition) -> None:
    assert outcome(TWO_ASSETS, raised(0, "A"), fact) == []


def test_distinct_rules_are_counted_by_asset() -> None:
    kinds = group(level(compare("rules", "ge", 2)), by="asset")
    facts = [raised(0, "A"), raised(1, "A"), raised(2, "B", "a.q"), raised(3, "A", "a.q")]
    assert outcome(kinds, *facts, until=3) == [(3, "A", "raised")]


@pytest.mark.parametrize("end", ["cleared", "returned"])
def test_active_lasts_from_the_raise_to_the_announced_end(end: str) -> None:
    session = group(level(compare("active", "ge", 1)), by="asset", within=None)
    facts = [raised(0, "A"), raised(5, "A", "a.q"), ended(6, "A"), ended(9, "A", "a.q", end)]
    assert outcome(session, *facts, raised(20, "A", "a.q")) == [
        (0, "A", "raised"),
        (9, "A", "cleared"),
        (20, "A", "raised"),
    ]


def test_an_alarm_of_one_instant_counts_and_is_not_active() -> None:
    facts = [raised(5, "A"), ended(5, "A", kind="returned")]
    assert outcome(group(level(compare("active", "ge", 1)), within=None), *facts) == []
    assert outcome(group(level(compare("alarms", "ge", 1))), *facts)[0] == (5, "north", "raised")


def test_a_share_is_of_the_assets_of_the_inventory() -> None:
    half = group(level(compare("share", "ge", 0.5)), within=None)
    with_inventory = groups(half, inventory="ABC")
    with_inventory.feed([raised(0, "A")])
    assert told(with_inventory.advance(9, inclusive=True)) == [(0, "north", "raised")]


def test_a_share_without_an_inventory_is_unknown() -> None:
    share, alarms = compare("share", "ge", 0.5), compare("alarms", "ge", 1)
    assert outcome(group(level(share)), raised(0, "A")) == []
    assert outcome(group(level(Op("not", (share,)))), raised(0, "A")) == []
    assert outcome(group(level(Op("and", (share, alarms)))), raised(0, "A")) == []
    assert outcome(group(level(Op("or", (share, alarms)))), raised(0, "A")) != []


def test_an_on_delay_starts_anew_and_an_off_delay_too() -> None:
    delayed = group(
        level(compare("active", "ge", 2), delay=Const(10), clear_delay=Const(20)), within=None
    )
    facts = [
        raised(0, "A"), raised(0, "B"), ended(9, "B"), raised(11, "B"), ended(30, "B"),
        raised(40, "B"), ended(50, "A"),
    ]  # fmt: skip
    assert outcome(delayed, *facts) == [(21, "north", "raised"), (70, "north", "cleared")]


def test_a_raise_that_ends_at_the_instant_of_the_delay_stops_it() -> None:
    delayed = group(level(compare("active", "ge", 1), delay=Const(10)), within=None)
    assert outcome(delayed, raised(0, "A"), ended(10, "A")) == []
    made = groups(delayed)
    made.feed([raised(0, "A")])
    assert [(x.t, x.since) for x in made.advance(10, inclusive=True)] == [(10, 0)]


def test_a_delay_pauses_while_its_condition_is_unknown() -> None:
    state, of = LevelState(), level(SignalRef("x"), delay=Const(10))
    steps = [(0, 1.0), (4, math.nan), (100, 1.0), (105, 1.0), (106, 1.0)]
    seen = []
    for now, x in steps:
        state.step(of, {"x": x}, now)
        seen.append(state.active)
    assert seen == [False, False, False, False, True]


def test_levels_of_a_group_go_up_and_down() -> None:
    flood = group(
        level(compare("alarms", "ge", 4), compare("alarms", "lt", 3), severity=RED),
        level(compare("alarms", "ge", 2)),
    )
    made = groups(flood)
    made.feed(raised(t, "A") for t in (0, 1_000, 2_000, 3_000))
    seen = [(x.t, x.kind, x.severity, x.level) for x in made.advance(100_000, inclusive=True)]
    assert seen == [
        (1_000, "raised", YELLOW, 1),
        (3_000, "level", RED, 0),
        (61_000, "level", YELLOW, 1),
        (62_000, "cleared", YELLOW, 1),
    ]


def reset(key: str = "north", target: str = "g.x") -> Command:
    return Command("reset", target, key, group=True, by="ana")


def latched() -> Groups:
    made = groups(group(level(compare("active", "ge", 1)), within=None, latch=True))
    made.feed([raised(0, "A"), ended(10, "A")])
    return made


def test_a_latched_group_waits_for_its_reset() -> None:
    made = latched()
    assert told(made.advance(15, inclusive=True)) == [
        (0, "north", "raised"),
        (10, "north", "returned"),
    ]
    refusal, transitions = made.command(reset(), 20)
    assert (refusal, told(transitions)) == (None, [(20, "north", "cleared")])
    again, nothing = made.command(reset(), 21)
    assert again is not None
    assert nothing == []


def test_a_reset_while_active_is_refused_and_changes_nothing() -> None:
    made = latched()
    refusal, transitions = made.command(reset(), 5)
    assert refusal is not None
    assert "active" in refusal.reason
    assert told(transitions) == [(0, "north", "raised")]
    assert told(made.advance(15, inclusive=True)) == [(10, "north", "returned")]


def test_a_latched_group_true_again_is_a_new_raise() -> None:
    made = latched()
    made.feed([raised(30, "A")])
    seen = [(x.t, x.kind, x.raised) for x in made.advance(40, inclusive=True)]
    assert seen == [(0, "raised", 0), (10, "returned", 0), (30, "raised", 30)]


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (reset(target="g.none"), "no group g.none"),
        (reset("east"), "no alarm"),
        (Command("set", "g.x", "north", group=True), "signals"),
    ],
)
def test_a_command_to_nothing_is_refused_with_the_reason(command: Command, word: str) -> None:
    refusal, transitions = latched().command(command, 20)
    assert refusal is not None
    assert word in refusal.reason
    assert transitions == []


def test_what_comes_behind_the_clock_takes_effect_at_the_clock() -> None:
    made = groups(TWO_ASSETS)
    made.feed([raised(1_000, "A")])
    assert made.advance(5_000, inclusive=False) == []
    made.feed([raised(2_000, "B")])
    assert told(made.advance(64_999, inclusive=False)) == [
        (5_000, "north", "raised"),
        (61_000, "north", "cleared"),
    ]


def test_an_exclusive_advance_leaves_the_instant_itself_open() -> None:
    made = groups(TWO_ASSETS)
    made.feed([raised(5_000, "A")])
    assert made.advance(5_000, inclusive=False) == []
    made.feed([raised(5_000, "B")])
    assert told(made.advance(5_000, inclusive=True)) == [(5_000, "north", "raised")]


def test_the_first_and_the_counted_are_told() -> None:
    parent = group(level(compare("assets", "ge", 2)), parent=True, first_out=True)
    made = groups(parent, sites=dict.fromkeys("ABC", "north"))
    made.feed([raised(0, "B"), raised(0, "A", "a.q"), raised(1, "C"), ended(2, "C")])
    first, *_, last = made.advance(100_000, inclusive=True)
    assert (first.kind, first.first_out) == ("raised", ("A", "a.q"))
    assert set(first.counted) == {("A", "a.q"), ("B", "a.p")}
    assert (last.kind, set(last.counted)) == ("cleared", {*first.counted, ("C", "a.p")})


def some_facts(seed: int) -> list[Transition]:
    pick = random.Random(seed)
    facts = []
    for asset in "ABC":
        t = 0
        for _ in range(30):
            t += pick.randint(0, 9_000)
            facts.append(raised(t, asset))
            t += pick.randint(0, 9_000)
            facts.append(ended(t, asset))
    return facts


RICH = group(
    level(compare("alarms", "ge", 5), delay=Const(700), severity=RED),
    level(compare("active", "ge", 2), compare("assets", "lt", 2), clear_delay=Const(900)),
    within=20_000,
)


@pytest.mark.parametrize("seed", range(20))
def test_batches_ticks_and_snapshots_change_nothing(seed: int) -> None:
    facts = some_facts(seed)
    expected = outcome(RICH, *facts)
    pick = random.Random(seed)
    made, seen, now = groups(RICH), [], 0
    while now < 1_000_000:
        until = now + pick.choice([1, 500, 7_000, 200_000])
        batch = [fact for fact in facts if now <= fact.t < until]
        batch.sort(key=lambda fact: fact.asset)
        made.feed(batch)
        seen += made.advance(until, inclusive=False)
        if pick.random() < 0.3:
            data = json.loads(json.dumps(made.state()))
            made = groups(RICH)
            made.restore(data)
        now = until
    assert told(seen) == expected
    assert len(expected) > 4


def test_a_group_that_means_something_else_starts_anew() -> None:
    made = groups(TWO_ASSETS)
    made.feed([raised(0, "A")])
    other = groups(group(level(compare("assets", "ge", 1))))
    other.restore(made.state())
    assert other.advance(9, inclusive=True) == []


@pytest.mark.parametrize("data", [None, [], {"clock": 1}, [0, 0, {"g.x": ""}, 7]])
def test_other_data_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="state"):
        groups(TWO_ASSETS).restore(data)


def test_nothing_is_kept_for_a_key_at_rest() -> None:
    made = groups(TWO_ASSETS)
    made.feed([raised(0, "A"), ended(1, "A")])
    made.advance(60_000, inclusive=True)
    assert made.state()[3] == []  # type: ignore[index]


@pytest.mark.parametrize(
    ("e", "expected"),
    [
        (Op("div", (Const(1.0), Const(0.0))), math.nan),
        (Op("or", (Const(math.nan), Const(1.0))), 1.0),
        (Op("and", (Const(math.nan), Const(0.0))), 0.0),
        (Op("known", (Const(math.nan),)), 0.0),
        (Op("if", (Const(0.0), Const(math.nan), Const(2.0))), 2.0),
        (Op("at_least", (Const(2.0), Const(1.0), Const(math.nan), Const(0.0))), math.nan),
        (Op("at_least", (Const(2.0), Const(0.0), Const(math.nan), Const(0.0))), 0.0),
        (Op("where", (Const(3.0), Const(math.nan))), math.nan),
        (Op("min", (Const(3.0), Const(2.0), Const(4.0))), 2.0),
        (Op("ge", (Const(math.nan), Const(2.0))), math.nan),
    ],
)
def test_values_are_those_of_three_valued_logic(e: Expr, expected: float) -> None:
    assert value(e, {}) == pytest.approx(expected, nan_ok=True)
