"""A worker from its start to its end, as those see it who read the topics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.refusals import parse as refusal
from tests.kafka.broker import Broker
from tests.kafka.fleet import PUMPS, Fleet, edition


@pytest.fixture
def fleet(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(broker, prefix, tmp_path) as one:
        yield one


def test_an_alarm_from_its_raise_to_its_end(fleet: Fleet) -> None:
    worker = fleet.start()
    fleet.until(lambda: "no rules are active" in fleet.log())
    fleet.activate(edition(PUMPS))
    fleet.until(lambda: len(fleet.ledger()) == 2)       # an activation a partition

    # Two pumps are high, and say so again before the delay is over; nobody repeats it after.
    fleet.read(("P-1", 9.0), ("P-2", 9.5), ("P-3", 5.0))
    fleet.until(lambda: len(fleet.alerts()) == 2)
    assert sorted(fleet.alerts()) == [("P-1", "raised"), ("P-2", "raised")]
    rows = fleet.until(lambda: len(found := fleet.alarms()) == 2 and found)
    assert {(row["asset"], row["word"]) for row in rows.values()} == {
        ("P-1", "unacknowledged"), ("P-2", "unacknowledged")}

    # An operator acknowledges one, twice by mistake; another order means nothing.
    request = fleet.order("acknowledge", "P-1")
    fleet.order("acknowledge", "P-1", request)
    wrong = fleet.order("acknowledge", "P-3")
    results = fleet.until(lambda: len(found := [
        one for one in fleet.ledger() if one["type"] == "command"]) == 2 and found)
    assert {(one["request"], one["result"]) for one in results} == {
        (request, "accepted"), (wrong, "refused")}
    assert fleet.alerts("P-1") == [("P-1", "raised"), ("P-1", "acknowledged")]

    # It ends in order, and another goes on as if nothing had been.
    assert fleet.stop(worker) < 10      # 2 s on a machine that has time; see its own test
    assert "all is durable" in fleet.log()
    fleet.start()
    fleet.read(("P-1", 5.0), ("P-2", 5.0))
    fleet.until(lambda: len(fleet.alerts()) == 5)
    assert fleet.alerts("P-1") == [
        ("P-1", "raised"), ("P-1", "acknowledged"), ("P-1", "cleared")]
    assert fleet.alerts("P-2") == [("P-2", "raised"), ("P-2", "cleared")]
    words = fleet.until(lambda: {row["word"] for row in fleet.alarms().values()} == {
        "normal", "returned_unacknowledged"})
    assert words


def test_whatever_comes_is_kept_or_counts(fleet: Fleet) -> None:
    fleet.activate(edition(PUMPS))
    fleet.start()
    good = json.dumps({"asset": "P-1", "t": 1, "values": {"pressure": 1.0}}).encode()
    bad = [b"", b"\xff\x00", b"[1, 2", b'{"asset": "P-1", "t": 1, "values": {"speed": 1}}', b"{}"]
    elsewhere = next(p for p in (0, 1) if p != fleet.place("P-1"))
    fleet.send("readings", *(("P-1", one, None) for one in [*bad, good]),
               ("P-1", good, elsewhere), ("P-1", None, None))
    fleet.send("commands", ("P-1", b"{", None), ("P-1", b'{"command": "dance"}', None))
    fleet.send("group-feed", ("P-1", b"nonsense", None))
    found = fleet.until(lambda: len(all_ := [
        refusal(one.key, one.value, one.headers) for one in fleet.records("refused")]) >= 10
        and all_)
    kept = {(one.topic.rpartition(".")[2], one.reason, one.value) for one in found}
    assert {(topic, reason) for topic, reason, _ in kept} == {
        ("readings", "not_json"), ("readings", "bad_utf8"), ("readings", "unknown_signal"),
        ("readings", "missing_key"), ("readings", "misplaced"), ("commands", "not_a_command"),
        ("group-feed", "not_a_fact"),
    }
    assert {value for topic, _, value in kept if topic == "readings"} == {*bad, good}
    fleet.read(("P-1", 9.0))        # and it goes on
    fleet.until(lambda: fleet.alerts("P-1") == [("P-1", "raised")])


def test_rules_take_over_in_every_partition_at_once(fleet: Fleet) -> None:
    fleet.activate(edition(PUMPS))
    fleet.start()
    fleet.read(("P-1", 7.5), ("P-2", 9.0))
    fleet.until(lambda: fleet.alerts() == [("P-2", "raised")])
    request = fleet.activate(edition(PUMPS.replace("> 8 bar", "> 7.2 bar")))
    fleet.until(lambda: fleet.alerts("P-1") == [("P-1", "raised")])
    anew = [one for one in fleet.ledger() if one["type"] == "activation"
            and one["request"] == request]
    assert {one["partition"] for one in anew} == {0, 1}
    assert fleet.alerts("P-2")[:2] == [("P-2", "raised"), ("P-2", "cleared")]

    # In shadow nothing is announced; what is no rules changes nothing.
    fleet.activate(edition(PUMPS.replace("> 8 bar", "> 7 bar")), shadow=True)
    fleet.until(lambda: len([1 for one in fleet.ledger() if one["type"] == "activation"]) == 6)
    fleet.send("rules", ("active", b'{"pack": "0123456789abcdef"}', 0), ("active", b"?", 0))
    fleet.read(("P-7", 9.0))
    fleet.until(lambda: fleet.alerts("P-7") == [("P-7", "raised")])
    assert not [one for one in fleet.ledger() if one.get("asset") == "P-7" and one["announced"]]


def test_killed_it_goes_on_where_it_was(fleet: Fleet) -> None:
    fleet.activate(edition(PUMPS))
    pumps = [f"P-{i}" for i in range(50)]
    for round_ in range(3):
        worker = fleet.start()
        fleet.read(*((pump, 9.0) for pump in pumps))
        fleet.until(lambda: len(fleet.alerts()) >= 100 * round_ + 50)  # noqa: B023 - asked at once
        worker.kill()
        worker.wait()
        fleet.read(*((pump, 5.0) for pump in pumps))
    fleet.start()
    fleet.until(lambda: len(fleet.alerts()) >= 300)
    counts = {pump: fleet.alerts(pump) for pump in pumps}
    assert set(map(len, counts.values())) == {6}, counts
    assert counts["P-0"] == 3 * [("P-0", "raised"), ("P-0", "cleared")]


def test_without_topics_it_says_what_to_do(broker: Broker, prefix: str, tmp_path: Path) -> None:
    with Fleet(broker, prefix, tmp_path, partitions=2) as fleet:
        fleet.kafka = broker.settings(prefix, partitions=3)
        worker = fleet.start()
        assert worker.wait(60) == 1
        assert "has 2 partitions, expected 3" in fleet.log()
        assert "Traceback" not in fleet.log()
