"""State of some assets as bytes: what goes on, what is refused, what room is kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from rules import layout as k
from rules.load import load_texts
from rules.model import Asset, Pack
from rules.records import Command, Message, Transition
from streams.engine import Engine
from streams.parcels import adopt, parcel, release, restore, snapshot
from streams.snapshot import SnapshotError, seal, unseal

BASE = """
classes:
  tank:
    silent_after: 1 min
    signals: {x: {range: [0, 100]}, p: {type: bool}}
    attributes: {limit: {default: 5}, site: {type: text}}
  pump:
    signals: {x: {range: [0, 100]}}
rules:
- {rule: tank.high, class: tank, severity: red, when: x > limit, for: 4 s, evidence: [x]}
- {rule: tank.mean, class: tank, severity: yellow, when: mean(x over 10 s) > 5,
   unless: site == "away", evidence: ["max(x over 1 min)", "count(x over 30 s)"]}
- {rule: tank.unknown, class: tank, severity: blue, when: not known(p), for: 30 s}
- {rule: pump.high, class: pump, severity: red, when: x > 5}
"""
COARSE = """
classes:
  tank: {signals: {x: {}}}
rules:
- {rule: tank.std, class: tank, severity: red, when: std(x over 2 h) > 4, evidence: ["x"]}
- {rule: tank.mean, class: tank, severity: red, when: mean(x over 2 h) > 4.5,
   evidence: ["max(x over 2 h)", "increase(x over 1 h)", "median(x over 1 min)"]}
"""


@cache
def pack(text: str = BASE) -> Pack:
    found = load_texts([("pack.yaml", text.encode())])
    assert found.pack is not None, found.problems
    return found.pack


def say(asset: str, t: int, cls: str = "tank", **values: object) -> Message:
    return Message(asset, cls, t, values)


def running(*names: str, inventory: tuple[Asset, ...] = (), until: int = 20_000) -> Engine:
    """An engine whose assets have alarms, timers and full windows at `until`."""
    engine = Engine(pack(), inventory=inventory, start=0)
    for name in (*names, *(asset.id for asset in inventory)):
        cls, random = "pump" if name.startswith("P") else "tank", Random(name)
        engine.messages([say(name, t, cls, x=random.choice([4, 7, 9]))
                         for t in range(0, until, 1_000)])
    return engine


def on(engine: Engine, *names: str) -> list[Transition]:
    """What comes of the same further messages."""
    found = []
    for t in range(20_000, 60_000, 500):
        for name in names:
            cls = "pump" if name.startswith("P") else "tank"
            found += engine.messages([say(name, t, cls, x=t // 500 % 11)])
    return found + engine.run_until(200_000)


def same(a: list[Transition], b: list[Transition]) -> bool:
    """Equal, unknown values too."""
    return sorted(map(repr, a)) == sorted(map(repr, b))


def test_assets_go_on_in_another_engine_as_if_nothing_had_been() -> None:
    expected = on(running("A", "B", "P1"), "A", "B", "P1")
    first, second = running("A", "B", "P1"), Engine(pack())
    moved = [parcel(first, ["A", "P1"])]
    release(first, ["A", "P1"])
    adopt(second, moved)
    found = on(first, "B") + on(second, "A", "P1")
    assert len(expected) > 10
    assert same(found, expected)


def test_a_parcel_joins_assets_that_are_there() -> None:
    expected = on(running("A", "B", "C"), "A", "B", "C")
    whole, other = running("A", "B", "C"), running("A", "B", "C")
    release(whole, ["A"])
    release(other, ["B", "C"])
    adopt(other, [parcel(whole, ["C"]), parcel(whole, ["B"])])
    assert other.assets.ids == ["A", "C", "B"]
    assert same(on(other, "A", "B", "C"), expected)


def test_what_was_released_is_unknown_and_begins_anew() -> None:
    engine = running("A", "B")
    release(engine, ["A"])
    refusal, found = engine.command(Command("reset", "tank.high", "A"), 20_000)
    assert refusal is not None
    assert "unknown asset" in refusal.reason
    found = engine.messages([say("A", 21_000, x=1)])
    assert found == []
    assert engine.assets.ids == ["B", "A"]


def test_nothing_is_heard_of_assets_that_are_gone() -> None:
    engine, alone = running("A", "B"), running("B")
    release(engine, ["A"])
    edited = pack(BASE.replace("not known(p), for: 30 s", "not known(p), for: 20 s"))
    found, expected = (
        [*one.activate(edited, 30_000).transitions, *one.run_until(500_000)]
        for one in (engine, alone)
    )
    assert "tank.unknown" in {tr.rule for tr in expected}
    assert same(found, expected)
    assert engine.undecided(1_100_000) == alone.undecided(1_100_000) != {}
    engine.messages([say("A", 500_001, x=9)])
    assert {tr.asset for tr in engine.run_until(510_000)} == {"A"}


ODD = Asset("O", "tank", {"limit": 8.0, "site": "away"}, {
    "tank.high.for": "3 of 5 samples", "tank.unknown.mode": "shadow",
})  # fmt: skip
EVEN = Asset("E", "tank", {"limit": 2.0}, {"tank.high.clear_for": "9 s"})


@pytest.mark.parametrize("there", [(), (EVEN,), (EVEN, ODD)])
def test_attributes_and_overrides_come_along(there: tuple[Asset, ...]) -> None:
    names = [asset.id for asset in there if asset is not ODD]
    expected = on(running("A", inventory=(ODD, *there[:1])), "O", "A", *names)
    first = running("A", inventory=(ODD,))
    second = running(inventory=there)
    if ODD in there:
        release(second, ["O"])
    adopt(second, [parcel(first, ["A", "O"])])
    index = second.assets.index("O")
    assert index is not None
    assert second.assets.listed[index]
    assert second.assets.given(index) == ODD
    assert same(on(second, "O", "A", *names), expected)
    again = restore(pack(), snapshot(second))
    assert again.assets.ids == second.assets.ids


@pytest.mark.parametrize("wide", [True, False])
def test_rows_move_to_a_wider_or_narrower_layout(*, wide: bool) -> None:
    expected = on(running("A", "C"), "A", "C")
    first = running("A", inventory=(ODD,) if wide else ())
    second = running("C", inventory=() if wide else (ODD,))
    assert first.plants[0].widths != second.plants[0].widths
    adopt(second, [parcel(first, ["A"])])
    found = [tr for tr in on(second, "A", "C") if tr.asset != "O"]
    assert same(found, expected)


def test_an_inventory_that_has_not_begun_begins_with_the_engine() -> None:
    waiting = Engine(pack(), inventory=[Asset("A", "tank")])
    second = Engine(pack(), start=1_000)
    adopt(second, [parcel(waiting, ["A"])])
    assert [tr.t for tr in second.run_until(60_000)] == [31_000]
    begun = Engine(pack(), inventory=[Asset("B", "tank")])
    third = Engine(pack(), inventory=[Asset("A", "tank")], start=2_000)
    adopt(begun, [parcel(third, ["A"])])
    assert [tr.t for tr in begun.run_until(60_000)] == [32_000, 32_000]


def test_clocks_that_ticks_moved_stay_moved() -> None:
    first, second = running("A"), Engine(pack())
    first.tick(100_000)
    adopt(second, [parcel(first, ["A"])])
    late = [say("A", 50_000, x=100)]
    assert same(first.messages(late) + first.run_until(120_000),
                second.messages(late) + second.run_until(120_000))


def coarse() -> Engine:
    engine = Engine(pack(COARSE))
    random = Random(2)
    for name in ("A", "B"):
        engine.messages([say(name, t, x=random.randrange(9)) for t in range(0, 6_000_000, 1_000)])
    return engine


def test_windows_of_panes_come_along() -> None:
    def go(engine: Engine, *names: str) -> list[Transition]:
        random, found = Random(3), []
        for t in range(6_000_000, 9_000_000, 10_000):
            x = random.randrange(5, 20)
            for name in names:
                found += engine.messages([say(name, t, x=x)])
        return found + engine.run_until(20_000_000)

    whole, first, second = coarse(), coarse(), Engine(pack(COARSE))
    steps = whole.plants[0].memory.state[0, whole.plants[0].windows + k.R_STEP]
    assert (steps > 0).sum() >= 3
    adopt(second, [parcel(first, ["B"])])
    release(first, ["B"])
    expected = go(whole, "A", "B")
    assert len(expected) > 4
    assert same(go(first, "A") + go(second, "B"), expected)


# Room -----------------------------------------------------------------------------------------


def blocks(engine: Engine) -> int:
    """Floats of the pool that rings hold."""
    plant = engine.plants[0]
    held = plant.memory.state[: plant.count][:, plant.windows + k.R_CAP]
    return int(2 * held.sum())


def test_a_thousand_moves_need_no_more_room_than_the_most_assets_at_one_time() -> None:
    names = [f"A{i:02d}" for i in range(24)]
    engines = [running(*names, until=15_000), Engine(pack())]
    most = k.WINDOW_SAMPLES + 2 * blocks(engines[0])    # as they grew, and as small as can be
    random = Random(4)
    for _ in range(1_000):
        random.shuffle(engines)
        there = engines[0].assets.ids
        some = random.sample(there, random.randint(0, len(there)))
        adopt(engines[1], [parcel(engines[0], some)])
        release(engines[0], some)
    assert sorted(engines[0].assets.ids + engines[1].assets.ids) == names
    for engine in engines:
        plant = engine.plants[0]
        assert plant.count <= len(names)
        assert len(plant.spare) == plant.count - len(engine.assets)
        assert len(engine.rows) == len(engine.assets)
        assert int(plant.memory.heads[0]) <= most
    expected = on(running(*names, until=15_000), *names)
    found = [tr for engine in engines for tr in on(engine, *engine.assets.ids)]
    assert same(found, expected)


def test_a_parcel_holds_only_what_is_used() -> None:
    quiet = Engine(pack(), start=0)
    quiet.messages([say("A", 0, p=True)])
    one = len(parcel(quiet, ["A"]))
    assert one < 1_000
    busy = running("A")
    assert one < len(parcel(busy, ["A"])) < 3_000
    assert parcel(busy, ["A"]) == parcel(busy, ["A"])


# Touched --------------------------------------------------------------------------------------


def names(engine: Engine) -> list[str]:
    return [engine.assets.ids[number] for number in engine.touched().tolist()]


def test_assets_that_change_are_touched_and_no_others() -> None:
    engine = Engine(pack(), inventory=[Asset("A", "tank"), Asset("B", "tank")])
    assert names(engine) == ["A", "B"]
    assert names(engine) == []
    engine.messages([say("P1", 1_000, "pump", x=1)])
    assert names(engine) == ["A", "B", "P1"]        # the inventory's begin with the first time
    engine.messages([say("B", 2_000, p=True), say("P1", 2_000, "pump", x=1)])
    assert names(engine) == ["B", "P1"]
    engine.tick(10_000)
    engine.touched()
    engine.tick(10_001)
    assert names(engine) == []
    engine.tick(40_000)
    assert names(engine) == ["A"]                   # it has not known p for 30 s
    engine.command(Command("acknowledge", "tank.unknown", "A"), 41_000)
    assert names(engine) == ["A"]
    engine.activate(pack(BASE + "# edited\n"), 42_000)
    assert names(engine) == ["A", "B", "P1"]


def test_what_was_adopted_is_not_touched() -> None:
    first, second = running("A", "B"), running("C")
    second.touched()
    adopt(second, [parcel(first, ["A", "B"])])
    assert names(second) == []
    second.messages([say("B", 20_000, x=3)])
    release(second, ["C"])
    assert names(second) == ["B"]


# Refusals -------------------------------------------------------------------------------------


def refuses(engine: Engine, *parcels: bytes, because: str) -> None:
    """Raises, and changes nothing."""
    before = snapshot(engine)
    with pytest.raises(SnapshotError, match=because):
        adopt(engine, parcels)
    assert snapshot(engine) == before


def test_an_asset_that_is_there_is_refused() -> None:
    first, second = running("A", "B"), running("B")
    refuses(second, parcel(first, ["A"]), parcel(first, ["B"]), because="'B' is there already")
    twice = parcel(first, ["A"])
    refuses(second, twice, twice, because="'A' is there already")


def test_another_pack_or_zone_is_refused() -> None:
    made = parcel(running("A"), ["A"])
    refuses(Engine(pack(BASE.replace("> 5", "> 6"))), made, because="rules of class 'tank'")
    refuses(Engine(pack(COARSE)), made, because="rules of class 'tank'")
    refuses(Engine(pack(), "Asia/Shanghai"), made, because="time zone 'UTC'")


def test_an_unknown_asset_cannot_be_taken() -> None:
    engine = running("A")
    for work in (parcel, release):
        with pytest.raises(LookupError, match="no asset 'Z'"):
            work(engine, ["A", "Z"])
    assert engine.assets.ids == ["A"]


def test_damaged_bytes_are_refused() -> None:
    made = parcel(running("A", "P1", inventory=(ODD,)), ["A", "P1", "O"])
    random = Random(5)
    for _ in range(200):
        at = random.randrange(len(made))
        broken = bytearray(made)
        broken[at] ^= random.randrange(1, 256)
        refuses(Engine(pack()), bytes(broken), because="not whole")
        refuses(Engine(pack()), made[:at], because="not whole")


def wrong(random: Random, value: object) -> object:
    """Another value, of the same or of another kind."""
    if isinstance(value, bytes) and value:
        cut = random.randrange(len(value))
        odd = random.choice([np.nan, -1.0, 0.5, 1e300, 7.0])
        return random.choice([
            value[:cut], value[:cut] + b"\x00" * 8 + value[cut:], bytes(len(value)),
            np.full(len(value) // 8, odd).tobytes(), random.randbytes(len(value)),
        ])  # fmt: skip
    return random.choice([
        None, -1, 3, 1 << 40, "", "tank", "\x00", b"", [], {}, [[]], 0.5, {7: [{}, {}]},
        {0: [{}, {"tank.high.for": "soon"}]}, {0: [{"limit": "x"}, {}]},
    ])  # fmt: skip


def places(tree: dict[Any, Any] | list[Any]) -> list[tuple[Any, Any]]:
    """All that can be replaced in a tree: containers with keys."""
    items = list(tree.items() if isinstance(tree, dict) else enumerate(tree))
    found: list[tuple[Any, Any]] = [(tree, key) for key, _ in items]
    for _, inner in items:
        if isinstance(inner, dict | list):
            found += places(inner)
    return found


def test_made_up_bytes_are_refused_or_taken_and_never_crash() -> None:
    made = parcel(running("A", "P1", inventory=(ODD,)), ["A", "P1", "O"])
    random = Random(6)
    refused = 0
    for _ in range(400):
        tree = msgspec.msgpack.decode(unseal(made), strict=False)
        container, key = random.choice(places(tree))
        container[key] = wrong(random, container[key])
        engine = Engine(pack())
        try:
            adopt(engine, [seal(msgspec.msgpack.encode(tree))])
        except SnapshotError:
            refused += 1
            assert engine.assets.ids == []
    assert refused > 200


@pytest.mark.parametrize("change", [
    lambda tree: tree.update(more=1),
    lambda tree: tree.update(format=1),
    lambda tree: tree["of"].append(0),
    lambda tree: tree["of"].__setitem__(0, 9),
    lambda tree: tree["ids"].__setitem__(0, "\n"),
    lambda tree: tree["given"].update({9: [{}, {}]}),
    lambda tree: tree["given"].update({0: [{}, {"tank.high.for": "soon"}]}),
    lambda tree: tree["rows"][0]["widths"].append(0),
    lambda tree: tree["rows"][0]["widths"].__setitem__(1, 1 << 30),
    lambda tree: tree["rows"][0].update(entries=tree["rows"][0]["entries"][16:]),
    lambda tree: tree["rows"][0].update(entries=tree["rows"][0]["entries"][1:]),
    lambda tree: tree["rows"][0].update(words=tree["rows"][0]["words"][8:]),
    lambda tree: tree["rows"][0].update(there=tree["rows"][0]["there"][1:]),
])  # fmt: skip
def test_parts_that_do_not_fit_are_refused(change: Callable[[Any], None]) -> None:
    tree = msgspec.msgpack.decode(unseal(parcel(running("A"), ["A"])))
    change(tree)
    refuses(Engine(pack()), seal(msgspec.msgpack.encode(tree)), because=".")
