"""What is wrong with a deployment on Kafka, and what to do about it. Pure: what was seen
(`connectors.kafka_look`) comes in, findings go out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from connectors.kafka_look import Address, Clock, GroupState, TopicState, Unseen
from streams.topics import Planned, compare, missing, name_of

Level = Literal["ok", "warning", "fault"]
Check = Literal[
    "brokers", "versions", "topics", "rights", "workers", "rules", "clocks", "packages"
]  # fmt: skip

TESTED = (4, 1)             # the oldest Kafka that the tests run on
OLDEST = (2, 1)             # topics packed by zstd, idempotent producers that keep their order
LAG = 100_000               # records behind that are more than a worker's next second or two
CLOCK_WARNING_MS = 2_000    # as the rule tocsin.worker_clock
CLOCK_FAULT_MS = 30_000     # half of what a message may be ahead of its arrival
#: What else of a topic only makes it larger or smaller; these lose or double something.
GRAVE = frozenset((
    "topic", "partitions", "replication", "cleanup.policy", "message.timestamp.type",
    "max.message.bytes", "min.insync.replicas", "unclean.leader.election.enable",
))  # fmt: skip

#: As pyproject.toml pins them: a worker overrides private parts of the first three.
PACKAGES: Mapping[str, str] = {
    "faust-streaming": "0.15.3", "aiokafka": "0.14", "mode-streaming": "0.7", "kafka-python": "3",
}  # fmt: skip

#: Who must be allowed what, by topic. `operator`: `tocsin alarms`, `rules activate`, `refused`.
RIGHTS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "worker": {
        "readings": frozenset(("READ", "WRITE")),       # it says how it does
        "commands": frozenset(("READ",)),
        "alerts": frozenset(("READ", "WRITE")),
        "alarms": frozenset(("READ", "WRITE")),
        "snapshots": frozenset(("READ", "WRITE")),
        "group-feed": frozenset(("READ", "WRITE")),
        "rules": frozenset(("READ",)),
        "assets": frozenset(("READ",)),
        "refused": frozenset(("WRITE",)),
    },
    "operator": {
        "readings": frozenset(("WRITE",)),              # what was refused, once more
        "commands": frozenset(("WRITE",)),
        "alerts": frozenset(("READ",)),
        "alarms": frozenset(("READ",)),
        "rules": frozenset(("READ", "WRITE")),
        "assets": frozenset(("READ", "WRITE")),
        "refused": frozenset(("READ",)),
    },
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `expected` and `fix` are empty where all is well."""

    check: Check
    what: str
    level: Level
    found: str
    expected: str = ""
    fix: str = ""


def of_addresses(addresses: Sequence[Address]) -> Iterator[Finding]:
    """Whether brokers answer, there where the settings and where the brokers themselves say."""
    reached = any(not one.problem for one in addresses)
    for one in addresses:
        said = "advertised by the brokers" if one.advertised else "of the settings"
        what = f"{one.address} ({said})"
        if not one.problem:
            version = ".".join(map(str, one.version))
            yield Finding("brokers", what, "ok", f"answers, Kafka {version} or later")
        elif one.denied:
            yield Finding("brokers", what, "fault", one.problem, "to be let in",
                          "see kafka.security: protocol, ca_file, username, password_file")
        elif one.advertised:
            yield Finding("brokers", what, "fault", one.problem, "an answer",
                          "start it, or set its advertised.listeners to an address that this "
                          "machine reaches")
        elif reached:
            yield Finding("brokers", what, "warning", one.problem, "an answer",
                          "start it, or take it out of kafka.brokers: others are there")
        else:
            yield Finding("brokers", what, "fault", one.problem, "an answer",
                          "start the brokers; see kafka.brokers, kafka.security, firewalls")


def of_versions(addresses: Sequence[Address]) -> Iterator[Finding]:
    """Whether the brokers can do what is asked of them."""
    for version in sorted({one.version for one in addresses if one.version}):
        shown = f"Kafka {'.'.join(map(str, version))}"
        if version < OLDEST:
            yield Finding("versions", "brokers", "fault", shown, "2.1 or later", "a later Kafka")
        elif version < TESTED:
            yield Finding("versions", "brokers", "warning", shown, "4.1 or later, which is tested",
                          "try it out with `make chaos` before you rely on it, or a later Kafka")
        else:
            yield Finding("versions", "brokers", "ok", shown)


def of_size(brokers: int | Unseen, replication: int) -> Iterator[Finding]:
    """Whether there are as many brokers as replicas, and what may fail."""
    expected = f"at least {replication}, kafka.replication"
    if isinstance(brokers, Unseen):
        yield Finding("brokers", "number", "warning", brokers.why, expected)
    elif brokers < replication:
        yield Finding("brokers", "number", "fault", str(brokers), expected,
                      f"start more, or set kafka.replication to {brokers}")
    elif replication < 3:
        yield Finding("brokers", "replication", "warning", str(replication),
                      "3: then one may fail, and nothing is lost",
                      "kafka.replication: 3 with three brokers, unless this is a trial")
    else:
        yield Finding("brokers", "number", "ok", f"{brokers}, replication {replication}")


def of_topics(
    planned: Sequence[Planned], found: Mapping[str, TopicState | Unseen] | Unseen, broker: str
) -> Iterator[Finding]:
    """Whether the topics are there, as planned, and can be written now."""
    if isinstance(found, Unseen):
        yield Finding("topics", "all", "fault", found.why, "to see them", "see brokers")
        return
    well = 0
    for one in planned:
        told = list(_of_topic(one, found.get(one.name), broker))
        yield from told
        well += not told
    if well:
        yield Finding("topics", f"{well} of {len(planned)}", "ok", "as planned, all in sync")


def _of_topic(one: Planned, state: TopicState | Unseen | None, broker: str) -> Iterator[Finding]:
    if state is None:
        lacks = missing(one)
        yield Finding("topics", one.name, "fault", lacks.found, lacks.expected, lacks.fix)
        return
    if isinstance(state, Unseen):
        yield Finding("topics", one.name, "fault", state.why, "a topic that we may see",
                      _grant(one.name, "DESCRIBE", "READ"))
        return
    there = state.description
    if isinstance(there, Unseen):
        yield Finding("topics", one.name, "warning", there.why, "to compare them with the plan",
                      _grant(one.name, "DESCRIBE_CONFIGS"))
    else:
        for each in compare(one, there.partitions, there.replication, there.config, broker):
            yield Finding("topics", f"{one.name} {each.what}",
                          "fault" if each.what in GRAVE else "warning",
                          each.found, each.expected, each.fix)  # fmt: skip
    enough = int(one.config["min.insync.replicas"])
    if state.leaderless:
        yield Finding("topics", f"{one.name} leaders", "fault",
                      f"none of partition {_listed(state.leaderless)}", "one of each partition",
                      "start the brokers that have its replicas")
    elif state.in_sync < one.replication:
        yield Finding("topics", f"{one.name} replicas in sync",
                      "fault" if state.in_sync < enough else "warning",
                      str(state.in_sync), str(one.replication),
                      "start the brokers that are away" + (
                          "; until then nothing can be written" if state.in_sync < enough else ""))


def of_rights(
    prefix: str, topics: Mapping[str, TopicState | Unseen] | Unseen, group: GroupState | Unseen
) -> Iterator[Finding]:
    """Whether these credentials suffice for a worker, and for operators' commands."""
    if isinstance(topics, Unseen):
        return
    for role, needed in RIGHTS.items():
        lacking, unknown = [], []
        for topic, rights in needed.items():
            name = name_of(prefix, topic)
            state = topics.get(name)
            if not isinstance(state, TopicState) or state.rights is None:
                unknown.append(name)
            elif rights - state.rights:
                lacking.append((name, sorted(rights - state.rights)))
        level: Level = "fault" if role == "worker" else "warning"
        for name, words in lacking:
            yield Finding("rights", f"{role} on {name}", level, f"no {', '.join(words)}",
                          ", ".join(sorted(needed[name[len(prefix) + 1 :]])), _grant(name, *words))
        if not lacking and not unknown:
            yield Finding("rights", role, "ok", f"suffice on {len(needed)} topics")
    if isinstance(group, Unseen):
        denied = group.denied
    else:
        denied = group.rights is not None and "READ" not in group.rights
    if denied:
        yield Finding("rights", f"worker on group {prefix}-worker", "fault", "no READ", "READ",
                      f"kafka-acls.sh … --add --allow-principal User:NAME --operation READ "
                      f"--group {prefix}-worker")


def _grant(topic: str, *rights: str) -> str:
    words = " ".join(f"--operation {_OPERATIONS[one]}" for one in rights)
    return f"kafka-acls.sh … --add --allow-principal User:NAME {words} --topic {topic}"


_OPERATIONS = {"READ": "Read", "WRITE": "Write", "DESCRIBE": "Describe",
               "DESCRIBE_CONFIGS": "DescribeConfigs"}  # fmt: skip


def of_workers(name: str, group: GroupState | Unseen) -> Iterator[Finding]:
    """Whether every partition has a worker, and how far behind they are."""
    if isinstance(group, Unseen):
        yield Finding("workers", name, "warning", group.why, "to see the group", "see rights")
        return
    if not group.members:
        yield Finding("workers", name, "warning", f"no worker runs ({group.state})",
                      "at least two", "tocsin worker")
    elif group.state != "Stable":
        yield Finding("workers", name, "warning", group.state, "Stable",
                      "it is changing hands: ask again in half a minute; if it stays so, read the "
                      "workers' logs")
    else:
        unowned = sorted(set(range(group.partitions)) - group.owned)
        if unowned:
            yield Finding("workers", name, "fault", f"nobody has partition {_listed(unowned)}",
                          "an owner of each", "restart a worker; read their logs")
        else:
            yield Finding("workers", name, "ok",
                          f"{len(group.members)} have all {group.partitions} partitions")
    if not group.members:
        return
    if group.stuck:
        yield Finding("workers", f"{name} progress", "fault",
                      f"partition {_listed(sorted(group.stuck))} has records before it and did not "
                      f"move for {group.pause_s:g} s", "to move",
                      "see its alarms tocsin.partition_*; restart the worker that owns it")
    elif (most := max(group.lag.values(), default=0)) > LAG:
        yield Finding("workers", f"{name} lag", "warning", f"{most:,} records behind, and moving",
                      f"fewer than {LAG:,}", "start more workers, or let it catch up")
    else:
        yield Finding("workers", f"{name} lag", "ok", f"{most:,} records at most")


def active_pack(value: bytes | None) -> tuple[str, Finding | None]:
    """The key of the active pack, of the value of `active` on `rules`; else the finding."""
    expected, fix = "a pack that is active", "tocsin rules activate PATH…"
    if value is None:
        return "", Finding("rules", "active", "fault", "nothing", expected, fix)
    try:
        body: Any = json.loads(value)
        pack = body["pack"]
    except (ValueError, TypeError, KeyError, RecursionError):
        pack = None
    if not isinstance(pack, str) or not 1 <= len(pack) <= 64:
        return "", Finding("rules", "active", "fault", "not what Tocsin writes", expected, fix)
    return f"pack/{pack}", None


def of_pack(key: str, value: bytes | None) -> Iterator[Finding]:
    """Whether the active pack is there, whole and readable, and watches over Tocsin itself."""
    from streams.duty import Edition, EditionError, pack_hash  # noqa: PLC0415 - compiles rules
    from streams.health import PARTITION  # noqa: PLC0415 - as above

    again = "tocsin rules activate PATH…"
    if value is None:
        yield Finding("rules", key, "fault", "nothing", "the texts of the pack", again)
        return
    try:
        texts = [(path, text.encode()) for path, text in json.loads(value)["files"]]
        named = pack_hash(texts)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        yield Finding("rules", key, "fault", "not what Tocsin writes", "texts of a pack", again)
        return
    if key != f"pack/{named}":
        yield Finding("rules", key, "fault", f"texts of pack/{named}", "those of its name", again)
        return
    try:
        pack = Edition.of(texts).pack
    except EditionError as error:
        yield Finding("rules", key, "fault", str(error).replace("\n", "; ")[:500],
                      "rules that this version reads", f"correct them, then {again}")
        return
    yield Finding("rules", key, "ok", f"{len(pack.rules)} rules, {len(pack.classes)} classes")
    if PARTITION not in pack.classes:
        yield Finding("rules", key, "warning", "nothing watches the workers themselves",
                      "the classes of rules/packs/tocsin", "activate that pack together with yours")


def of_clock(clock: Clock | Unseen) -> Iterator[Finding]:
    """Whether this machine and the leading controller have the same time."""
    what = "this machine and the brokers"
    if isinstance(clock, Unseen):
        yield Finding("clocks", what, "warning", f"not known: {clock.why}", "less than 2 s apart",
                      "DESCRIBE on the cluster for this user, or compare by hand")
        return
    size = max(0, abs(clock.ahead_ms) - clock.within_ms)
    said = (f"{abs(clock.ahead_ms) / 1000:.3f} s {'ahead' if clock.ahead_ms > 0 else 'behind'}, "
            f"± {clock.within_ms / 1000:.3f} s")  # fmt: skip
    if size <= CLOCK_WARNING_MS:
        yield Finding("clocks", what, "ok", said)
    else:
        yield Finding("clocks", what, "fault" if size > CLOCK_FAULT_MS else "warning", said,
                      "less than 2 s apart", "a time service (NTP) on this machine and on each "
                      "broker")  # fmt: skip


def of_packages(installed: Mapping[str, str | None]) -> Iterator[Finding]:
    """Whether the libraries are those that Tocsin is made for."""
    for name, pin in PACKAGES.items():
        version = installed.get(name)
        if version == pin or (version or "").startswith(f"{pin}."):
            yield Finding("packages", name, "ok", str(version))
        else:
            yield Finding("packages", name, "fault", version or "not installed", pin,
                          f"pip install '{name}=={pin}{'' if pin.count('.') > 1 else '.*'}'")


def _listed(numbers: Sequence[int]) -> str:
    """Some numbers, the first ten of them."""
    more = ", …" if len(numbers) > 10 else ""
    return ", ".join(map(str, numbers[:10])) + more
