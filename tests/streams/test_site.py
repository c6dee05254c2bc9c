"""A site: engine and groups together; ticks, snapshots, commands, attributes as keys of groups."""

from __future__ import annotations

import pytest

from rules.load import load_texts
from rules.model import Asset, Pack
from rules.records import Command, Message, Refusal
from streams.site import Site

RULES = """
classes:
  c:
    lateness: 500 ms
    signals: {p: {type: bool}}
    attributes:
      site:  {type: text, default: here}
      kind:  {states: [old, new], default: old}
      wet:   {type: bool}
      floor: {default: 2}
  d: {lateness: 3 s, signals: {z: {type: bool}}}
rules:
- {rule: c.p, class: c, severity: yellow, when: p, for: 1 s, clear_for: 2 s}
groups:
- {group: g.site, by: site, when: active_assets >= 2, severity: red, for: 500 ms, latch: true}
- {group: g.kind, by: kind, when: alarms >= 3, within: 5 s, severity: blue}
"""


@pytest.fixture(scope="module")
def pack() -> Pack:
    made = load_texts([("rules.yaml", RULES.encode())]).pack
    assert made is not None
    return made


def message(t: int, asset: str, p: bool) -> Message:
    return Message(asset, "c", t, {"p": p})


MESSAGES = [
    message(t, asset, p=(t // 1_500 + ord(asset)) % 3 != 0)
    for t in range(0, 30_000, 500)
    for asset in "ABCD"
]


def test_groups_come_in_order_with_the_assets(pack: Pack) -> None:
    site = Site(pack)
    site.messages([message(0, "A", p=True), message(0, "B", p=True)])
    seen = [(x.t, x.asset, x.rule, x.kind) for x in site.run_until(1_500)]
    assert seen == [
        (1_000, "A", "c.p", "raised"),
        (1_000, "B", "c.p", "raised"),
        (1_500, "here", "g.site", "raised"),
    ]


def test_groups_are_behind_by_the_largest_lateness(pack: Pack) -> None:
    site = Site(pack)
    site.messages([message(0, "A", p=True), message(0, "B", p=True)])
    assert [x.rule for x in site.tick(4_500)] == ["c.p", "c.p"]
    assert [(x.t, x.rule) for x in site.tick(4_501)] == [(1_500, "g.site")]


@pytest.mark.parametrize("every", [1, 7, 60])
def test_a_snapshot_anywhere_changes_nothing(pack: Pack, every: int) -> None:
    inventory = [Asset("A", "c", {"site": "x"}), Asset("D", "c", {"site": "x", "kind": 1.0})]
    whole = Site(pack, inventory=inventory, start=0)
    expected = whole.messages(MESSAGES) + whole.run_until(60_000)
    site, seen = Site(pack, inventory=inventory, start=0), []
    for i, one in enumerate(MESSAGES):
        seen += site.messages([one])
        if i % every == 0:
            site = Site.restore(pack, site.snapshot())
        if i % 10 == 0:
            seen += site.tick(one.t)
    seen += site.run_until(60_000)

    def told(found: list) -> list[tuple[int, str, str, str]]:  # type: ignore[type-arg]
        return sorted((x.t, x.asset, x.rule, x.kind) for x in found)

    assert told(seen) == told(expected)
    assert {x.rule for x in expected} == {"c.p", "g.site", "g.kind"}


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03"])
def test_other_bytes_are_no_snapshot(pack: Pack, data: bytes) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        Site.restore(pack, data)


def test_a_reset_goes_to_the_group(pack: Pack) -> None:
    site = Site(pack)
    site.messages([message(0, "A", p=True), message(0, "B", p=True)])
    site.messages([message(3_000, "A", p=False)])
    site.run_until(6_000)
    refusal, seen = site.command(Command("reset", "g.site", "here", group=True), 7_000)
    assert refusal is None
    assert [(x.t, x.asset, x.kind) for x in seen] == [(7_000, "here", "cleared")]


def test_a_scheduled_command_is_told_of_at_its_time(pack: Pack) -> None:
    site, told = Site(pack), []
    site.schedule(Command("reset", "g.site", "here", group=True), 5_000, told.append)
    site.run_until(4_999)
    assert told == []
    site.run_until(5_000)
    assert [isinstance(one, Refusal) for one in told] == [True]


def test_attributes_are_texts_with_their_defaults(pack: Pack) -> None:
    given = Asset("A", "c", {"site": "x", "kind": 1.0, "wet": 0.0, "floor": 3.0})
    site = Site(pack, inventory=[given, Asset("B", "c")], start=0)
    site.messages([message(0, "C", p=True)])
    names = ["site", "kind", "wet", "floor", "none"]
    assert [site.attribute("A", name) for name in names] == ["x", "new", "false", "3", None]
    for asset in "BC":
        defaults = [site.attribute(asset, name) for name in names]
        assert defaults == ["here", "old", None, "2", None]
    assert site.attribute("Z", "site") is None
