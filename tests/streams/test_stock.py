"""The inventory changes while all runs: what comes begins, what changes goes on, what goes ends."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest

from rules.load import load_texts
from rules.model import Asset, Pack
from rules.records import Message, Transition
from streams.assets import AssetError
from streams.engine import Engine
from streams.groups import Fact
from streams.parcels import adopt, parcel, release, restore, snapshot
from streams.plant import Programs
from streams.share import Share
from streams.site import Site

RULES = """
classes:
  tank:
    silent_after: 1 min
    signals: {x: {range: [0, 100]}, p: {type: bool}}
    attributes: {limit: {default: 5}, site: {type: text, default: here}}
  pump:
    signals: {x: {range: [0, 100]}}
rules:
- {rule: tank.high, class: tank, severity: red, when: x > limit, for: 4 s, evidence: [x]}
- {rule: tank.mean, class: tank, severity: yellow, when: mean(x over 10 s) > 5, clear_for: 3 s}
- {rule: tank.unknown, class: tank, severity: blue, when: not known(p), for: 30 s}
- {rule: pump.high, class: pump, severity: red, when: x > 5}
groups:
- {group: g.share, by: site, over: [tank.high], when: share >= 0.5, severity: red}
- {group: g.many, by: asset, over: [tank.high, tank.mean], when: active >= 2, severity: red}
"""
OVERRIDE: dict[str, object] = {"tank.high.for": "8 s"}


@cache
def pack() -> Pack:
    made = load_texts([("rules.yaml", RULES.encode())])
    assert made.pack is not None, made.problems
    return made.pack


def tank(name: str, overrides: dict[str, object] | None = None, **given: float | str) -> Asset:
    return Asset(name, "tank", dict(given), overrides or {})


def say(asset: str, t: int, cls: str = "tank", **values: object) -> Message:
    return Message(asset, cls, t, values)


def told(found: list[Transition]) -> list[tuple[int, str, str, str]]:
    return [(tr.t, tr.asset, tr.rule, tr.kind) for tr in found]


def same(a: list[Transition], b: list[Transition]) -> bool:
    """Equal, unknown values too."""
    return sorted(map(repr, a)) == sorted(map(repr, b))


def random_messages(seed: int, names: str, start: int, end: int) -> list[Message]:
    random = Random(seed)
    return [say(random.choice(names), t, x=random.choice([1, 4, 7, 9]))
            for t in range(start, end, 400)]


# Coming ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_what_comes_is_as_if_it_had_been_there_when_it_begins(seed: int) -> None:
    given = [tank("A", limit=3), tank("B", OVERRIDE), Asset("P", "pump"), tank("C")]
    whole = Engine(pack(), inventory=given, start=0)
    engine = Engine(pack(), inventory=given[:1], start=0)
    assert engine.enter(given[1:], 0) == []
    messages = random_messages(seed, "ABC", 0, 60_000)
    expected = whole.messages(messages) + whole.run_until(200_000)
    assert same(engine.messages(messages) + engine.run_until(200_000), expected)
    assert engine.assets.ids == whole.assets.ids
    assert {"tank.high", "tank.mean", "tank.unknown"} <= {tr.rule for tr in expected}


def test_what_comes_later_begins_then_and_leaves_the_others() -> None:
    messages = random_messages(1, "A", 0, 60_000)
    engine, alone = Engine(pack(), start=0), Engine(pack(), start=0)
    later = Engine(pack(), inventory=[tank("N", OVERRIDE)], start=20_000)
    first = [m for m in messages if m.t < 20_000]
    found = engine.messages(first) + engine.enter([tank("N", OVERRIDE)], 20_000)
    more = messages[len(first):] + random_messages(2, "N", 20_000, 60_000)
    found += engine.messages(more) + engine.run_until(99_000)
    expected = alone.messages(messages) + alone.run_until(99_000)
    assert same(found, expected + later.messages(more[-100:]) + later.run_until(99_000))
    assert engine.enter([tank("Z")], 100_000) == []
    assert (130_000, "Z", "tank.unknown", "raised") in told(engine.run_until(130_000))


def test_before_the_inventory_has_begun_what_comes_waits_with_it() -> None:
    engine = Engine(pack())
    engine.enter([tank("A")], 5_000)
    engine.messages([say("B", 7_000, x=1)])
    assert told(engine.run_until(50_000)) == [
        (37_000, name, "tank.unknown", "raised") for name in "AB"
    ]


# Changing -------------------------------------------------------------------------------------


def test_what_is_said_again_the_same_changes_nothing() -> None:
    given = [tank("A", limit=3), tank("B", OVERRIDE)]
    whole, engine = (Engine(pack(), inventory=given, start=0) for _ in range(2))
    expected, found = [], []
    for n, message in enumerate(random_messages(3, "AB", 0, 80_000)):
        found += engine.enter([given[n % 2]], message.t) + engine.messages([message])
        expected += whole.messages([message])
    assert len(expected) > 20
    assert same(found + engine.run_until(200_000), expected + whole.run_until(200_000))


def test_an_attribute_counts_from_its_instant_and_alarms_and_timers_go_on() -> None:
    engine = Engine(pack(), start=0)
    engine.messages([say("A", 0, x=4.5, p=True), say("B", 1_000, x=7, p=True)])
    assert told(engine.run_until(5_500)) == [(5_000, "B", "tank.high", "raised")]
    assert engine.enter([tank("A", limit=4), tank("B", limit=6)], 6_000) == []
    assert told(engine.run_until(10_900)) == [(10_000, "A", "tank.high", "raised")]
    found = engine.enter([tank("A", limit=9)], 21_000)
    assert told(found + engine.run_until(21_000)) == [(21_000, "A", "tank.high", "cleared")]
    number = engine.assets.index("A")
    assert number is not None
    assert engine.assets.given(number) == tank("A", limit=9)


@pytest.mark.parametrize("there", [(), (tank("O", {"tank.high.for": "3 of 5 samples"}),)])
def test_an_override_starts_its_rule_anew_and_no_other(there: tuple[Asset, ...]) -> None:
    engine = Engine(pack(), inventory=there, start=0)
    engine.messages([say(name, 0, x=7, p=True) for name in "AB"])
    engine.run_until(5_000)
    assert told(engine.enter([tank("A", OVERRIDE)], 6_000)) == [
        (6_000, "A", "tank.high", "cleared")
    ]
    assert told(engine.run_until(20_000)) == [(14_000, "A", "tank.high", "raised")]
    assert told(engine.enter([tank("A")], 21_000)) == [(21_000, "A", "tank.high", "cleared")]
    assert told(engine.run_until(29_000)) == [(25_000, "A", "tank.high", "raised")]
    assert engine.enter([tank("A", {"tank.high.mode": "shadow"})], 30_000) == []


def test_windows_are_given_back_when_their_rule_starts_anew() -> None:
    engine = Engine(pack(), inventory=[tank("A")], start=0)
    used = []
    for n in range(9):
        t = n * 10_000
        engine.messages([say("A", t + s, x=7) for s in range(0, 10_000, 250)])
        engine.enter([tank("A", {"tank.mean.clear_for": f"{n % 2 + 1} s"})], t + 9_950)
        used.append(int(engine.plants[0].memory.heads[0]))
    assert used[-1] == used[2]
    assert len(engine.plants[0].variants) == 2


# Going ----------------------------------------------------------------------------------------


def test_what_goes_ends_and_is_forgotten_and_the_others_go_on() -> None:
    messages = random_messages(4, "AB", 0, 30_000)
    messages += [say("A", t, x=9) for t in range(30_000, 36_000, 1_000)]
    alone, engine = Engine(pack(), start=0), Engine(pack(), start=0)
    alone.messages([m for m in messages if m.asset == "B"])
    engine.messages(messages)
    engine.run_until(35_000)
    alone.run_until(36_000)
    assert [one for one in told(engine.leave(["A", "nobody"], 36_001)) if one[0] > 36_000] == [
        (36_001, "A", f"tank.{rule}", "cleared") for rule in ("high", "mean", "unknown")
    ]
    assert engine.assets.ids == ["B"]
    more = [say("B", t, x=t // 1_000 % 11) for t in range(40_000, 80_000, 1_000)]
    found = engine.messages(more) + engine.run_until(200_000)
    assert len(found) > 4
    assert same(found, alone.messages(more) + alone.run_until(200_000))
    assert engine.leave(["A"], 200_001) == []
    engine.messages([say("A", 200_002, x=9)])
    assert (204_002, "A", "tank.high", "raised") in told(engine.run_until(210_000))


@pytest.mark.parametrize("seed", range(2))
def test_changes_at_any_pace_with_snapshots_and_parcels_give_the_same(seed: int) -> None:
    programs = Programs(pack())

    def run(every: int) -> tuple[list[Transition], list[str]]:
        random, found = Random(seed), []
        engine = Engine(pack(), inventory=[tank("A")], start=0, programs=programs)
        for n, message in enumerate(random_messages(seed, "ABCD", 0, 40_000)):
            if n % 9 == 0:
                name, limit = random.choice("ABCD"), random.choice([3, 6])
                own = random.choice([{}, OVERRIDE, {"tank.mean.clear_for": "1 s"}])
                found += engine.enter([tank(name, own, limit=limit)], message.t)
            if n % 31 == 30:
                found += engine.leave([random.choice("ABCD")], message.t)
            if every and n % every == 0:
                engine = restore(pack(), snapshot(engine), programs=programs)
                found += engine.run_until(message.t - 1)
            if every and n % every == 1 and "B" in engine.assets.ids:
                other, moved = Engine(pack(), programs=programs), parcel(engine, ["B"])
                release(engine, ["B"])
                adopt(other, [moved])
                adopt(engine, [parcel(other, ["B"])])
            found += engine.messages([message])
        return found + engine.run_until(200_000), sorted(engine.assets.ids)

    expected, ids = run(0)
    assert {tr.rule for tr in expected} >= {"tank.high", "tank.mean", "tank.unknown"}
    found, others = run(5)
    assert others == ids
    assert same(found, expected)


# Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asset", "why"),
    [
        (Asset("A", "pump"), "is of class 'tank'"),
        (Asset("N", "crane"), "no class 'crane'"),
        (Asset("\n", "tank"), "no asset id"),
        (tank("N", {"tank.high.for": "soon"}), "override that means nothing"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(asset: Asset, why: str) -> None:
    site = Site(pack(), inventory=[tank("A", OVERRIDE)], start=0)
    site.messages([say("A", 0, x=7), say("B", 0, x=7)])
    before = site.snapshot()
    with pytest.raises(AssetError, match=why):
        site.enter([tank("M", {"tank.mean.for": "2 s"}), asset], 1_000)
    assert site.snapshot() == before
    assert site.enter([tank("M", {"tank.mean.for": "9 s"})], 1_000) == []
    found = site.messages([say("M", 2_000, x=9, p=True)]) + site.run_until(12_000)
    assert (11_000, "M", "tank.mean", "raised") in told(found)


# Groups ---------------------------------------------------------------------------------------


def groups_of(found: list[Transition]) -> list[tuple[int, str, str, str]]:
    return [one for one in told(found) if one[2].startswith("g.")]


def sited() -> Site:
    """Three tanks of here and one of there; A of here is in alarm."""
    given = [tank("A"), tank("B"), tank("C"), tank("D", site="there")]
    site = Site(pack(), inventory=given, start=0)
    site.messages([say(name, 0, x=1, p=True) for name in "ABCD"])
    found = site.messages([say("A", 1_000, x=5.5)]) + site.run_until(6_000)
    assert ("A", "tank.high") in {(tr.asset, tr.rule) for tr in found}
    assert groups_of(found) == []
    return site


def test_a_share_is_looked_at_when_the_number_of_assets_changes() -> None:
    site = sited()
    found = site.leave(["B"], 7_000) + site.run_until(7_000)
    assert groups_of(found) == [(7_000, "here", "g.share", "raised")]
    found = site.enter([tank("E")], 8_000) + site.run_until(8_000)
    assert groups_of(found) == [(8_000, "here", "g.share", "cleared")]
    assert [x.id for x in site.inventory] == ["A", "C", "D", "E"]


def test_an_asset_that_moves_takes_its_alarms_along() -> None:
    site = sited()
    site.enter([tank("A", site="there")], 7_000)
    site = Site.restore(pack(), site.snapshot())
    assert groups_of(site.run_until(7_000)) == [(7_000, "there", "g.share", "raised")]
    found = site.messages([say("A", 9_000, x=1)]) + site.run_until(9_000)
    assert groups_of(found) == [(9_000, "there", "g.share", "cleared")]


def test_an_asset_that_goes_counts_no_more_in_any_group() -> None:
    site = sited()
    site.messages([say("A", 8_000, x=30)])
    assert groups_of(site.run_until(20_000))[0][1:] == ("A", "g.many", "raised")
    site.leave(["B"], 21_000)
    assert groups_of(site.run_until(21_000)) == [(21_000, "here", "g.share", "raised")]
    found = site.leave(["A"], 22_000) + site.run_until(22_000)
    assert groups_of(found) == [
        (22_000, "A", "g.many", "cleared"), (22_000, "here", "g.share", "cleared"),
    ]  # fmt: skip
    assert not site.groups._cells


def facts(share: Share) -> list[Fact]:
    """What `g.share` is told of alarms, not of totals."""
    return [x for x in share.take() if isinstance(x, Fact) and x.group == "g.share"]


def test_a_partition_tells_of_it_by_facts() -> None:
    share = Share(pack(), inventory=[tank("A"), tank("B")], start=0)
    share.messages([say("A", 0, x=5.5, p=True), say("B", 90_000, x=9)])     # B is ahead
    share.tick(95_000)
    share.messages([say("B", 99_000, x=9)])
    assert {x.what.asset for x in facts(share)} == {"A", "B"}
    share.enter([tank("A", site="there")], 96_000)
    share.leave(["B"], 96_001)
    found = facts(share)
    assert [(x.key, x.what.t, x.what.asset, x.ended) for x in found] == [
        ("here", 96_000, "A", True), ("there", 96_000, "A", False), ("here", 96_001, "B", True),
    ]  # fmt: skip


def test_what_ends_ahead_of_the_change_ends_when_it_was_raised() -> None:
    site = Site(pack(), inventory=[Asset("P", "pump")], start=0)
    site.messages([say("P", 9_000, "pump", x=9)])
    assert told(site.leave(["P"], 5_000)) == [(9_000, "P", "pump.high", "cleared")]


def test_totals_are_those_of_a_site_that_had_the_inventory_from_the_start() -> None:
    site, random = sited(), Random(7)
    for t in range(10_000, 60_000, 500):
        name = random.choice("ABCDEF")
        if random.random() < 0.3:
            site.leave([name], t)
        else:
            site.enter([tank(name, site=random.choice(["here", "there", ""]))], t)
        again = Site(pack(), inventory=site.inventory, start=0)
        for group, kind in again.groups._kinds.items():
            assert +site.groups._kinds[group].totals == +kind.totals
