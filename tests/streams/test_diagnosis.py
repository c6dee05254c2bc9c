"""What `tocsin doctor` makes of what it sees: each fault with what was expected and what to do."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.kafka import Description
from connectors.kafka_look import Address, Clock, GroupState, TopicState, Unseen
from streams import diagnosis
from streams.diagnosis import PACKAGES, RIGHTS, Finding
from streams.duty import pack_hash
from streams.topics import TOPICS, plan

ROOT = Path(__file__).parents[2]
ALL = frozenset(("READ", "WRITE", "DESCRIBE"))
DENIED = Unseen("TopicAuthorizationFailedError", denied=True)


def told(findings: Iterable[Finding]) -> list[tuple[str, str, str]]:
    """(level, what, found), all that is not well with expectation and fix."""
    found = list(findings)
    assert all(bool(one.fix) == bool(one.expected) == (one.level != "ok") for one in found)
    return [(one.level, one.what, one.found) for one in found]


def address(problem: str = "", *, advertised: bool = False, denied: bool = False) -> Address:
    return Address("b:1", advertised, problem, denied, () if problem else (4, 1))


@pytest.mark.parametrize(("seen", "levels"), [
    ((address(),), ["ok"]),
    ((address(), address("refused")), ["ok", "warning"]),           # others are there
    ((address("refused"), address("refused")), ["fault", "fault"]),
    ((address(), address("wrong password", denied=True)), ["ok", "fault"]),
    ((address(), address("timed out", advertised=True)), ["ok", "fault"]),  # clients are sent there
])  # fmt: skip
def test_addresses(seen: tuple[Address, ...], levels: list[str]) -> None:
    assert [level for level, _, _ in told(diagnosis.of_addresses(seen))] == levels


@pytest.mark.parametrize(("version", "level"), [
    ((2, 0), "fault"), ((2, 1), "warning"), ((3, 9), "warning"), ((4, 1), "ok"), ((4, 4), "ok"),
])  # fmt: skip
def test_versions(version: tuple[int, ...], level: str) -> None:
    seen = [replace(address(), version=version), address("refused")]
    assert [one[0] for one in told(diagnosis.of_versions(seen))] == [level]


@pytest.mark.parametrize(("brokers", "replication", "level"), [
    (3, 3, "ok"), (2, 3, "fault"), (1, 1, "warning"), (5, 2, "warning"),
    (Unseen("x"), 3, "warning"),
])  # fmt: skip
def test_as_many_brokers_as_replicas(brokers: int | Unseen, replication: int, level: str) -> None:
    assert [one.level for one in diagnosis.of_size(brokers, replication)] == [level]


PLANNED = plan("p", 2, 3)


def topics(**other: TopicState | Unseen | None) -> dict[str, TopicState | Unseen]:
    """All as planned, but for some; None: not there."""
    found: dict[str, TopicState | Unseen] = {}
    for one in PLANNED:
        state = other.get(one.topic.name, TopicState(
            Description(one.partitions, one.replication, one.config), (), 3, ALL))
        if state is not None:
            found[one.name] = state
    return found


def readings(**other: object) -> TopicState:
    state = topics()["p.readings"]
    assert isinstance(state, TopicState)
    return replace(state, **other)  # type: ignore[arg-type]


def config(**other: str) -> TopicState:
    one = PLANNED[0]
    given = {**one.config, **{key.replace("_", "."): value for key, value in other.items()}}
    return readings(description=Description(2, 3, given))


@pytest.mark.parametrize(("state", "finding"), [
    (None, ("fault", "p.readings", "nothing")),
    (DENIED, ("fault", "p.readings", DENIED.why)),
    (readings(description=Unseen("no right")), ("warning", "p.readings", "no right")),
    (readings(description=Description(3, 3, PLANNED[0].config)),
     ("fault", "p.readings partitions", "3")),
    (config(retention_ms="1000"), ("warning", "p.readings retention.ms", "1000")),
    (config(cleanup_policy="compact"), ("fault", "p.readings cleanup.policy", "compact")),
    (readings(leaderless=(1,), in_sync=3), ("fault", "p.readings leaders", "none of partition 1")),
    (readings(in_sync=2), ("warning", "p.readings replicas in sync", "2")),
    (readings(in_sync=1), ("fault", "p.readings replicas in sync", "1")),
])  # fmt: skip
def test_topics(state: TopicState | Unseen | None, finding: tuple[str, str, str]) -> None:
    well = ("ok", f"8 of {len(TOPICS)}", "as planned, all in sync")
    found = told(diagnosis.of_topics(PLANNED, topics(readings=state), "b:1"))
    assert found == [finding, well]


def test_topics_that_cannot_be_seen_at_all() -> None:
    assert [one[0] for one in told(diagnosis.of_topics(PLANNED, DENIED, "b:1"))] == ["fault"]
    assert told(diagnosis.of_rights("p", DENIED, group())) == []


def group(**other: object) -> GroupState:
    seen = GroupState("Stable", ("h1", "h2"), 4, frozenset(range(4)), dict.fromkeys(range(4), 5),
                      frozenset(), ALL)
    return replace(seen, **other)  # type: ignore[arg-type]


def test_rights() -> None:
    both = [("ok", "worker", "suffice on 9 topics"), ("ok", "operator", "suffice on 7 topics")]
    assert told(diagnosis.of_rights("p", topics(), group())) == both
    poor = topics(readings=readings(rights=frozenset(("READ", "DESCRIBE"))))
    lacking = [("fault", "worker on p.readings", "no WRITE"),
               ("warning", "operator on p.readings", "no WRITE")]
    assert told(diagnosis.of_rights("p", poor, group(rights=None))) == lacking
    (first, *_) = diagnosis.of_rights("p", poor, group())
    assert first.fix.endswith("--operation Write --topic p.readings")
    for denied in (Unseen("x", denied=True), group(rights=frozenset(("DESCRIBE",)))):
        assert told(diagnosis.of_rights("p", topics(), denied)) == [
            *both, ("fault", "worker on group p-worker", "no READ")]
    silent = topics(readings=readings(rights=None))     # a broker that does not tell
    assert told(diagnosis.of_rights("p", silent, Unseen("x"))) == []
    assert all(topic in TOPICS for needed in RIGHTS.values() for topic in needed)


@pytest.mark.parametrize(("seen", "levels"), [
    (group(), ["ok", "ok"]),
    (Unseen("x"), ["warning"]),
    (group(state="Empty", members=(), owned=frozenset()), ["warning"]),
    (group(state="PreparingRebalance"), ["warning", "ok"]),
    (group(owned=frozenset((0, 2))), ["fault", "ok"]),
    (group(lag={0: 1_000_000}), ["ok", "warning"]),
    (group(lag={0: 3}, stuck=frozenset((0,))), ["ok", "fault"]),
])  # fmt: skip
def test_workers(seen: GroupState | Unseen, levels: list[str]) -> None:
    found = told(diagnosis.of_workers("p-worker", seen))
    assert [level for level, _, _ in found] == levels
    if seen == group(owned=frozenset((0, 2))):
        assert found[0][2] == "nobody has partition 1, 3"


@pytest.mark.parametrize("value", [
    None, b"", b"\xff", b"[]", b"1", b"{}", b'{"pack": 7}', b'{"pack": ""}',
    json.dumps({"pack": "x" * 65}).encode(), b"[" * 100_000,
])  # fmt: skip
def test_no_active_pack(value: bytes | None) -> None:
    key, finding = diagnosis.active_pack(value)
    assert key == ""
    assert finding is not None
    assert finding.level == "fault"


def pack(*texts: tuple[str, str]) -> tuple[str, bytes]:
    name = pack_hash([(path, text.encode()) for path, text in texts])
    return f"pack/{name}", json.dumps({"files": texts}).encode()


def test_the_active_pack() -> None:
    assert diagnosis.active_pack(b'{"pack": "ab12", "by": "ana"}') == ("pack/ab12", None)
    folder = ROOT / "rules" / "packs" / "tocsin"
    ours = pack(*((path.name, path.read_text()) for path in sorted(folder.iterdir())))
    assert [one[0] for one in told(diagnosis.of_pack(*ours))] == ["ok"]
    bare = pack(("a.yaml", "classes: {pump: {signals: {x: {}}}}"))
    assert told(diagnosis.of_pack(*bare)) == [
        ("ok", bare[0], "0 rules, 1 classes"),
        ("warning", bare[0], "nothing watches the workers themselves")]
    wrong = pack(("a.yaml", "classes: [\x1b[31m"))
    ((level, _, found),) = told(diagnosis.of_pack(*wrong))
    assert (level, "error(s) in the rules" in found) == ("fault", True)
    assert told(diagnosis.of_pack("pack/ab", bare[1])) == [
        ("fault", "pack/ab", f"texts of {bare[0]}")]


@pytest.mark.parametrize("value", [
    None, b"", b"[]", b'{"files": 1}', b'{"files": [1]}', b'{"files": [[1, "a"]]}',
    b'{"files": [["a", 1]]}', b'{"files": [["a", "\\ud800"]]}', b"[" * 100_000,
])  # fmt: skip
def test_a_pack_that_is_none(value: bytes | None) -> None:
    assert [one[0] for one in told(diagnosis.of_pack("pack/ab", value))] == ["fault"]


@pytest.mark.parametrize(("clock", "level"), [
    (Clock(3, 5), "ok"), (Clock(-2_500, 600), "ok"), (Clock(-2_500, 5), "warning"),
    (Clock(31_000, 5), "fault"), (Unseen("no right"), "warning"),
])  # fmt: skip
def test_clocks(clock: Clock | Unseen, level: str) -> None:
    assert [one[0] for one in told(diagnosis.of_clock(clock))] == [level]


@pytest.mark.parametrize(("installed", "levels"), [
    ({"faust-streaming": "0.15.3", "aiokafka": "0.14.1", "mode-streaming": "0.7.9",
      "kafka-python": "3.2"}, ["ok"] * 4),
    ({"faust-streaming": "0.15.30", "aiokafka": "0.140", "mode-streaming": None,
      "kafka-python": "2.9"}, ["fault"] * 4),
])  # fmt: skip
def test_packages(installed: Mapping[str, str | None], levels: list[str]) -> None:
    assert [one[0] for one in told(diagnosis.of_packages(installed))] == levels


def test_the_packages_are_those_of_the_project() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for name, pin in PACKAGES.items():
        assert any(one.startswith((f"{name}=={pin}", f"{name}>={pin},<")) for one in needed), name
