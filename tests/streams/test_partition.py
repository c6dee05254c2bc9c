"""What a partition does at the seams: portions, places, parts; the rest is in random stories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest

from rules.model import Asset
from rules.records import Command
from streams.contents import Content
from streams.duty import Edition
from streams.feed import Mark, Said, bytes_of
from streams.group_cells import Raise
from streams.groups import Fact, Total
from streams.ledger import Record
from streams.partition import Arrived, Beat, Partition, Place
from streams.partition_again import DivergedError, GoneError, Tail, again, begun
from streams.partition_parts import BUCKETS, Cutter, Parts, bucket_of, head_of, joined
from streams.share import Share
from streams.snapshot import SnapshotError
from tests.streams.partition_kit import Arrival

T = 1_700_000_000_000
PACK = """
classes:
  pump:
    lateness: 2 s
    signals: {x: {}}
    attributes: {site: {type: text}}
  fan: {lateness: 1 s, signals: {x: {}}}
rules:
- {rule: pump.high, class: pump, severity: yellow, when: x > 1}
- {rule: pump.held, class: pump, severity: orange, when: x > 2, for: 3 s}
groups:
- {group: pump.many, by: site, over: [pump.high], when: share > 40 %, within: 5 s, severity: red}
- {group: pump.two, by: site, over: [pump.high], when: alarms >= 2, within: 5 s, severity: blue}
"""


def edition(text: str = PACK) -> Edition:
    return Edition.of([("pack.yaml", text.encode())])


def partition(
    number: int = 0, total: int = 1, assets: Sequence[str] = ("P1", "P2"), text: str = PACK
) -> Partition:
    inventory = [Asset(name, "pump", {"site": "s1"}) for name in assets]
    one = edition(text)
    site = Share(one.pack, "UTC", inventory, T)
    return Partition(one, Place(number, total, lambda _: 0), "UTC", T, site)


def reading(offset: int, asset: str, at: int, x: float, stamp: int | None = None) -> Arrival:
    said = {"asset": asset, "class": "pump", "t": T + at, "values": {"x": x}}
    return Arrival(offset, T + (at if stamp is None else stamp), json.dumps(said).encode())


def fed(first: int, *said: Said | Mark) -> list[Arrival]:
    return [Arrival(first + i, T, bytes_of(one)) for i, one in enumerate(said)]


def fact(n: int, at: int, asset: str = "P1", source: int = 0, group: str = "pump.two") -> Said:
    return Said(source, n, Fact(group, "s1", Raise(T + at, asset, "pump.high"), ended=False))


def kinds(beat: Beat) -> list[tuple[str, str, int]]:
    return [(c["rule"], c["kind"], c["t_ms"] - T) for c in beat.contents if c["type"] == "alert"]


class Ledger:
    """Writes what beats give."""

    def __init__(self, one: Partition) -> None:
        self.partition = one
        self.records: list[tuple[Record, Content]] = []

    def takes(self, beat: Beat) -> Beat:
        chain = self.partition.chain
        self.records += [(chain.append(content), content) for content in beat.contents]
        return beat


def played(
    ledger: Ledger, readings: Sequence[Arrived], keep: int | None = None
) -> tuple[Partition, list[Record]]:
    """Again from the beginning, in small portions; with the records that were lacking."""
    first = ledger.records[0][1]
    inventory = ledger.partition.inventory
    one = begun(first, edition(), Place(0, 1, lambda _: 0), None, inventory)
    lacking: list[Record] = []
    editions = {edition().name: edition(), edition(EDITED).name: edition(EDITED)}
    wants = again(one, Tail(ledger.records[:keep]), editions, lambda _: None, lacking.extend)
    try:
        want = next(wants)
        while True:
            want = wants.send(readings[want.first : want.end][:1])
    except StopIteration:
        return one, lacking


PLANNED = PACK.replace("severity: blue", "severity: blue, plan: watch") + """
plans:
  watch: {steps: [{step: acknowledge, role: desk, within: 3 s}], overdue: {raise_to: red}}
"""
EDITED = PACK.replace("x > 2", "x > 3").replace("lateness: 2 s", "lateness: 9 s")


# Time ---------------------------------------------------------------------------------------------


def test_a_tick_that_makes_a_reading_late_is_noted_before_it() -> None:
    ledger = Ledger(partition())
    one = ledger.partition
    log = [reading(0, "P1", 10_000, 0), reading(1, "P1", 10_500, 3), reading(2, "P1", 12_000, 0)]
    ledger.takes(one.opened("ana"))
    ledger.takes(one.read(log[:1]))
    assert not one.tick(T + 20_000).contents
    beat = ledger.takes(one.read(log[1:2]))
    assert [c["type"] for c in beat.contents] == ["tick", "alert"]
    assert beat.contents[1]["t_ms"] == T + 18_000           # behind its clock: it counts there
    ledger.takes(one.read(log[2:]))
    assert played(ledger, log)[1] == []
    ledger.records = [x for x in ledger.records if x[1]["type"] != "tick"]
    with pytest.raises(DivergedError, match="played again"):
        played(ledger, log)


def test_readings_from_the_future_are_passed_over_in_any_portions_though_stamps_leap_back() -> None:
    log = [reading(0, "P1", 0, 1, stamp=900_000), reading(1, "P1", 600_000, 5, stamp=0),
           reading(2, "P2", 600_000, 5, stamp=900_000)]
    whole, split = partition(), partition()
    beats = [[whole.read(log)], [split.read([one]) for one in log]]
    found = [[x for beat in each for x in beat.unused] for each in beats]
    assert found[0] == found[1]
    assert [(x.offset, x.reason) for x in found[0]] == [(1, "future")]
    assert whole.counts == split.counts == {"future": 1}


def test_no_edited_lateness_moves_the_clock_back() -> None:
    one = partition()
    one.tick(T + 60_000)
    before = one.mark
    one.rules(edition(EDITED), "ana", "", one.clock + 1)
    one.tick(T + 61_000)
    assert one.mark == before
    one.tick(T + 70_000)
    assert one.mark == T + 61_000


# Groups -------------------------------------------------------------------------------------------


def test_a_fact_behind_a_mark_counts_at_the_mark_in_any_portions() -> None:
    log = fed(0, fact(1, 0), Mark(0, T + 10_000), fact(2, 1_000, "P2"), Mark(0, T + 20_000))
    whole, split = partition(), partition()
    once = kinds(whole.feed(log))
    assert [x for record in log for x in kinds(split.feed([record]))] == once == []
    more = fed(4, fact(3, 11_000), fact(4, 19_000, "P2"), fact(5, 21_000), Mark(0, T + 40_000))
    once = kinds(whole.feed(more))
    assert [x for record in more for x in kinds(split.feed([record]))] == once
    assert once == [("pump.two", "raised", 20_000), ("pump.two", "cleared", 25_000)]


def test_facts_told_again_after_a_crash_count_once() -> None:
    one = partition()
    log = fed(0, fact(1, 0), fact(1, 0), fact(1, 500, "P2"), Mark(0, T + 4_000))
    assert kinds(one.feed(log)) == []


def test_groups_wait_for_all_partitions() -> None:
    one = partition(total=2)
    told = fed(0, fact(1, 0), fact(1, 500, "P2", source=1), Mark(0, T + 9_000))
    assert kinds(one.feed(told)) == []
    assert kinds(one.feed(fed(3, Mark(1, T + 400)))) == []
    assert kinds(one.feed(fed(4, Mark(1, T + 600)))) == [("pump.two", "raised", 500)]


def test_a_share_is_of_the_assets_of_all_partitions() -> None:
    fleet = [partition(0, 2, ["P1"]), partition(1, 2, ["P2", "P3"])]
    told = [x for one in fleet for x in one.opened("ana").facts]
    assert told == [(0, Said(0, 1, Total("pump.many", "s1", 1))),
                    (0, Said(1, 1, Total("pump.many", "s1", 2)))]
    one = fleet[0]
    one.feed(fed(0, *(said for _, said in told)))
    marks = [Mark(0, T + 9_000), Mark(1, T + 9_000)]
    first = fact(2, 1_000, group="pump.many")
    assert kinds(one.feed(fed(2, first, *marks))) == []             # one of three
    second = fact(2, 9_000, "P2", source=1, group="pump.many")
    later = [Mark(0, T + 10_000), Mark(1, T + 10_000)]
    assert kinds(one.feed(fed(5, second, *later))) == [("pump.many", "raised", 9_000)]
    grown = Said(0, 3, Total("pump.many", "s1", 4))
    last = [Mark(0, T + 11_000), Mark(1, T + 11_000)]
    assert kinds(one.feed(fed(8, grown, *last))) == [("pump.many", "cleared", 10_000)]


def test_other_rules_tell_of_the_assets_what_changed() -> None:
    one = partition()
    one.opened("ana")
    fewer = edition(PACK.replace("share > 40 %", "alarms > 9"))
    assert [x.fact for _, x in one.rules(fewer, "ana", "1", T).facts] == [
        Total("pump.many", "s1", 0)]
    assert [x.fact for _, x in one.rules(edition(), "ana", "2", T).facts] == [
        Total("pump.many", "s1", 2)]


@pytest.mark.parametrize("data", [b"", b"{", b'{"source": 7, "to": 1}', b"\xff"])
def test_what_is_no_fact_is_noted_and_changes_nothing(data: bytes) -> None:
    one = partition()
    beat = one.feed([Arrival(4, T, data)])
    assert [(x.offset, x.reason) for x in beat.unused] == [(4, "not_a_fact")]
    assert (beat.contents, one.marks, one.at.feed) == ([], {}, 5)


# Again --------------------------------------------------------------------------------------------


def test_two_activations_at_one_place_are_two_beats() -> None:
    ledger = Ledger(partition())
    one = ledger.partition
    ledger.takes(one.opened("ana"))
    for n, text in enumerate((EDITED, PACK, EDITED)):
        ledger.takes(one.rules(edition(text), "ana", str(n), T))
    assert len(list(Tail(ledger.records))) == 4
    again_, lacking = played(ledger, [])
    assert lacking == []
    assert again_.chain.head == one.chain.head


def test_what_of_the_last_beat_was_not_written_is_written_then() -> None:
    ledger = Ledger(partition())
    one = ledger.partition
    ledger.takes(one.opened("ana"))
    log = [reading(0, "P1", 0, 3), reading(1, "P2", 10, 3), reading(2, "P1", 5_000, 0)]
    ledger.takes(one.read(log))
    whole = [record for record, _ in ledger.records]
    for keep in range(2, len(whole) + 1):
        assert played(ledger, log, keep=keep)[1] == whole[keep:]


def test_what_is_not_kept_any_more_is_said() -> None:
    ledger = Ledger(partition())
    ledger.takes(ledger.partition.opened("ana"))
    ledger.takes(ledger.partition.read([reading(0, "P1", 0, 3)]))
    with pytest.raises(GoneError, match="readings: offsets 0 to 0 are not kept"):
        played(ledger, [])


def test_facts_and_ticks_do_not_mind_their_order() -> None:
    """A clock of a plan of a group is due at a tick that came before the group did."""
    made = []
    for tick_first in (True, False):
        one = partition(text=PLANNED)
        told = fed(0, fact(1, 0), fact(2, 500, "P2"), Mark(0, T + 600))
        assert kinds(one.feed(told)) == [("pump.two", "raised", 500)]
        found = kinds(one.tick(T + 60_000)) if tick_first else []
        found += kinds(one.feed(fed(3, Mark(0, T + 4_000))))
        made.append(found if tick_first else found + kinds(one.tick(T + 60_000)))
    assert made == [[("pump.two", "overdue", 3_500)]] * 2


def test_a_changed_inventory_is_recorded_alike_before_and_after_a_takeover() -> None:
    one = partition(assets=["P9", "P1", "P5"])
    head, parts = Cutter(one).cut()
    two = taken_over(head, parts)
    for n, (put, gone) in enumerate([(["P4", "P0"], ["P1"]), (["P1"], []), ([], ["P9"])]):
        new = [Asset(name, "pump", {"site": "s2"}) for name in put]
        made = [each.assets(new, gone, "ana", str(n), T + n) for each in (one, two)]
        assert made[0].contents == made[1].contents
        assert made[0].facts == made[1].facts


# Parts --------------------------------------------------------------------------------------------


def taken_over(head: bytes, parts: Parts) -> Partition:
    return joined(head_of(head), parts, edition(), Place(0, 1, lambda _: 0))


def test_only_what_changed_is_cut() -> None:
    assets = [f"P{i}" for i in range(300)]
    one = partition(assets=assets)
    one.tick(T + 5_000)      # all of them begin
    cutter = Cutter(one)
    head, parts = cutter.cut()
    assert len(parts) == BUCKETS + 2
    assert cutter.cut() == (head, {})
    one.read([reading(0, "P7", 9_000, 0), reading(1, "P8", 9_000, 5)])
    assert set(cutter.cut()[1]) == {f"b/{bucket_of(name):02}" for name in ("P7", "P8")}
    one.tick(T + 18_000)     # P8 holds for 3 s
    assert set(cutter.cut()[1]) == {f"b/{bucket_of('P8'):02}"}
    one.order(Command("shelve", "pump.high", "P9", by="ana", reason="so", duration=9_000,
                      request="q"), T + 19_000, 1)
    assert set(cutter.cut()[1]) == {f"b/{bucket_of('P9'):02}", "orders"}
    one.feed(fed(0, fact(1, 0)))
    assert set(cutter.cut()[1]) == {"groups"}
    one.rules(edition(EDITED), "ana", "", T + 19_000)
    assert len(cutter.cut()[1]) >= BUCKETS


def test_a_partition_taken_over_lists_its_assets_as_before() -> None:
    one = partition(assets=["P9", "P1", "P5", "P3"])
    head, parts = Cutter(one).cut()
    two = taken_over(head, parts)
    assert two.inventory == one.inventory
    assert two.opened("ana").contents == one.opened("ana").contents


def test_an_alarm_that_was_forgotten_since_its_part_was_cut_is_not_found_after_a_takeover() -> None:
    one = partition()
    cutter = Cutter(one)
    alarm = one.read([reading(0, "P1", 0, 2)]).contents[0]["alarm"]
    one.order(Command("acknowledge", "", "", by="ana", alarm=alarm), T + 2_000, 1)
    one.read([reading(1, "P1", 4_000, 0)])
    parts = cutter.cut()[1]
    one.feed(fed(0, Mark(0, T + 60_000)))
    one.tick(T + 60_000)
    head, more = cutter.cut()
    assert alarm not in one.alarms.book.ids
    two = taken_over(head, parts | {name: more[name] for name in more if name[:2] != "b/"})
    comment = Command("comment", "", "", by="ana", reason="so", alarm=alarm)
    asked = [each.order(comment, T + 61_000, 2)[0].contents for each in (one, two)]
    assert asked[0] == asked[1]
    assert asked[0][0]["result"] == "refused"


def test_an_edited_lateness_does_not_move_what_is_late_after_a_takeover() -> None:
    one = partition()
    one.tick(T + 60_000)
    one.rules(edition(EDITED), "ana", "", one.clock + 1)
    head, parts = Cutter(one).cut()
    two = joined(head_of(head), parts, edition(EDITED), Place(0, 1, lambda _: 0))
    late = [reading(0, "P77", 52_000, 3)]      # first heard: only the floor knows that it is late
    assert kinds(two.read(late)) == kinds(one.read(late)) == [("pump.high", "raised", 58_000)]


def test_an_asset_of_which_nothing_could_be_used_yet_is_cut_too() -> None:
    one = partition()
    cutter = Cutter(one)
    parts = cutter.cut()[1]
    ahead = {"asset": "N1", "class": "fan", "t": T + 900_000, "values": {"x": 1}}
    assert one.read([Arrival(0, T, json.dumps(ahead).encode())]).unused[0].reason == "future"
    head, more = cutter.cut()
    two = taken_over(head, parts | more)
    other = [reading(1, "N1", 1_000, 3)]
    assert one.read(other).unused[0].reason == two.read(other).unused[0].reason == "class_changed"


def test_assets_of_a_class_that_is_gone_leave_the_parts() -> None:
    one = partition(assets=[])
    ahead = {"asset": "F1", "class": "fan", "t": T, "values": {"x": 1}}
    one.read([Arrival(0, T, json.dumps(ahead).encode())])
    parts = Cutter(one).cut()[1]
    cutter = Cutter(one)                                        # a new owner cuts what changes
    text = PACK.replace("  fan: {lateness: 1 s, signals: {x: {}}}\n", "")
    one.rules(edition(text), "ana", "", T)
    head, more = cutter.cut()
    two = joined(head_of(head), parts | more, edition(text), Place(0, 1, lambda _: 0))
    assert list(two.site.assets) == list(one.site.assets) == []


def test_what_alarms_said_is_forgotten_with_them() -> None:
    one = partition()
    cutter = Cutter(one)
    for n, (x, y) in enumerate(pairwise([0, 3, 0, 3, 0, 3, 0])):
        at = 10_000 * n
        one.read([reading(2 * n, "P1", at, x), reading(2 * n + 1, "P1", at + 5_000, y)])
        for alarm in list(one.alarms.book.ids):
            one.order(Command("acknowledge", "", "", by="ana", alarm=alarm), T + at + 5_000, n)
    one.tick(T + 900_000)
    cutter.cut()
    assert one.contents.said.keys() == one.alarms.book.ids.keys()


def test_parts_that_are_none_are_refused() -> None:
    head, parts = Cutter(partition()).cut()
    with pytest.raises(SnapshotError, match="head"):
        head_of(head[:-1])
    for wrong in ({**parts, "groups": b"\xc1"}, {**parts, "orders": b"\x01"},
                  {**parts, "b/00": b"\x93\x01\x02\x03"},
                  {name: data for name, data in parts.items() if name != "groups"}):
        with pytest.raises(SnapshotError):
            taken_over(head, wrong)
