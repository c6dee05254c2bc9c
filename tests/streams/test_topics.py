"""The table of topics keeps what the architecture promises, and differences are told with fixes."""

from __future__ import annotations

import re

from streams.topics import DAY_MS, TOPICS, Planned, compare, missing, name_of, plan


def planned(name: str, partitions: int = 8, replication: int = 3) -> Planned:
    return next(one for one in plan("p", partitions, replication) if one.topic.name == name)


def test_names_have_the_prefix() -> None:
    assert [one.name for one in plan("north.tocsin", 8, 3)] == [
        f"north.tocsin.{name}" for name in TOPICS]
    assert name_of("t", "alerts") == "t.alerts"
    assert all(re.fullmatch(r"[a-z-]{1,40}", name) for name in TOPICS)


def test_one_worker_can_own_an_asset_on_all_topics_it_needs() -> None:
    spread = ("readings", "commands", "alerts", "snapshots")
    assert {planned(name, 12).partitions for name in spread} == {12}
    assert {planned(name, 12).partitions for name in ("rules", "assets", "refused")} == {1}


def test_the_ledger_is_kept_for_years_and_states_for_ever() -> None:
    for name in ("alerts", "commands"):
        config = planned(name).config
        assert int(config["retention.ms"]) >= 10 * 365 * DAY_MS
        assert config["cleanup.policy"] == "delete"
    for name in ("alarms", "snapshots", "rules", "assets"):
        config = planned(name).config
        assert (config["cleanup.policy"], config["retention.ms"]) == ("compact", "-1")
    for one in plan("t", 8, 3):
        assert one.config["retention.bytes"] == "-1"
        assert one.config["unclean.leader.election.enable"] == "false"
        assert one.config["message.timestamp.type"] == "LogAppendTime"


def test_a_broker_may_fail_when_there_are_three() -> None:
    for replication, enough in ((1, "1"), (2, "1"), (3, "2"), (5, "4")):
        assert planned("alerts", 8, replication).config["min.insync.replicas"] == enough


def test_a_topic_as_planned_does_not_differ() -> None:
    for one in plan("t", 8, 3):
        more = {**one.config, "segment.ms": "604800000"}
        assert compare(one, one.partitions, one.replication, more, "b:1") == []
        assert compare(one, one.partitions, 4, more, "b:1") == []


def test_each_difference_has_its_fix() -> None:
    one = planned("alerts")
    found = compare(one, 4, 1, {**one.config, "retention.ms": "604800000"}, "b:1")
    assert [(each.what, each.found, each.expected) for each in found] == [
        ("partitions", "4", "8"), ("replication", "1", "3"),
        ("retention.ms", "604800000", "315360000000")]
    assert "set kafka.partitions to 4" in found[0].fix
    assert "set kafka.replication to 1" in found[1].fix
    assert found[2].fix == ("kafka-configs.sh --bootstrap-server b:1 --alter --topic p.alerts "
                            "--add-config retention.ms=315360000000")
    assert [each.found for each in compare(one, 8, 3, {}, "b:1")] == ["nothing"] * len(one.config)
    assert "another kafka.prefix" in compare(planned("rules"), 2, 3, planned("rules").config,
                                             "b:1")[0].fix
    assert missing(one).fix == "tocsin topics create"
