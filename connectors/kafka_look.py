"""What a deployment on Kafka looks like from here, for `tocsin doctor`. Reads only.

Nothing raises: what could not be seen is an `Unseen` that says why. Every wait has a limit. The
brokers' clock is read off the quorum's description, in which the leader of the controllers stamps
itself: nothing has to be written for that.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from kafka import KafkaAdminClient, TopicPartition
from kafka import errors as library
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec

from connectors.kafka import Admin, DeniedError, Description, KafkaError, read_all

CONNECT_S = 3.0        # for the network alone
ANSWER_S = 5.0         # for TLS, password and the first answer
PAUSE_S = 5.0          # between two looks at partitions that are behind
CLOCK_LOOKS = 3
COORDINATOR_TRIES, COORDINATOR_WAIT_S = 20, 0.25  # the first use of groups makes their topic
_NO_TOPIC = 3
_EARLIEST, _LATEST = OffsetSpec.EARLIEST, OffsetSpec.LATEST

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be seen, and why; `denied`: for want of a right."""

    why: str
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """A way to a broker: of the settings, or (`advertised`) the one that brokers send clients to.

    `problem` is empty where it answers; `version` is then what it can do, as (4, 1).
    """

    address: str
    advertised: bool
    problem: str = ""
    denied: bool = False
    version: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic that is there. `rights` are ours on it, as READ; None: the broker does not tell."""

    description: Description | Unseen
    leaderless: tuple[int, ...]              # partitions without a leader
    in_sync: int                             # replicas, at least, of those that have a leader
    rights: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class GroupState:
    """A consumer group and the topic that it is measured by.

    owned: partitions that a member has. lag: partition -> records between what is committed and the
    end. stuck: those behind whose commit has not moved for `pause_s`.
    """

    state: str                               # as Kafka says: Stable, Empty, Dead, …
    members: tuple[str, ...]                 # hosts
    partitions: int
    owned: frozenset[int]
    lag: Mapping[int, int]
    stuck: frozenset[int]
    rights: frozenset[str] | None
    pause_s: float = PAUSE_S


@dataclass(frozen=True, slots=True)
class Clock:
    """Our clock less the leading controller's, ms, give or take `within_ms`."""

    ahead_ms: int
    within_ms: int


def addresses(settings: Mapping[str, Any]) -> tuple[Address, ...]:
    """Tries each address of the settings, and each that the brokers advertise."""
    given = list(settings["bootstrap_servers"])
    found, advertised = _tried(settings, given, advertised=False)
    more, _ = _tried(settings, sorted(advertised - set(given)), advertised=True)
    return (*found, *more)


def _tried(settings: Mapping[str, Any], given: Sequence[str], *,
           advertised: bool) -> tuple[list[Address], set[str]]:
    """What became of each, and the addresses that brokers advertise."""
    found, told = [], set[str]()
    with ThreadPoolExecutor(16) as pool:
        problems = list(pool.map(_problem, given))
    for address, problem in zip(given, problems, strict=True):
        seen = Address(address, advertised, problem)
        if not problem:
            try:
                with Admin({**settings, "bootstrap_servers": [address]}, ANSWER_S) as admin:
                    brokers = admin.ask(KafkaAdminClient.describe_cluster)["brokers"]
                    version = admin.ask(lambda one: one._manager.broker_version_data.broker_version)  # noqa: SLF001 - told nowhere else
                    told |= {_joined(one["host"], one["port"]) for one in brokers}
                    seen = replace(seen, version=tuple(version))
            except KafkaError as error:
                seen = replace(seen, problem=str(error), denied=isinstance(error, DeniedError))
        found.append(seen)
    return found, told


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _problem(address: str) -> str:
    """Why the network does not lead there; empty if it does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, ValueError) as error:      # ValueError: a name that cannot be one
        return getattr(error, "strerror", "") or str(error) or type(error).__name__
    return ""


def seen(look: Callable[[], T]) -> T | Unseen:
    """What a look finds, or why it finds nothing."""
    try:
        return look()
    except KafkaError as error:
        return Unseen(str(error), denied=isinstance(error, DeniedError))


def topics(admin: Admin, names: Iterable[str]) -> dict[str, TopicState | Unseen]:
    """The topics of these names that are there. Of those that we may not even see, it is unknown
    whether they are. Raises KafkaError."""
    found: dict[str, TopicState | Unseen] = {}
    for one in admin.ask(lambda client: client.describe_topics(list(names))):
        name, code = one["name"], one["error_code"]
        if code and code != _NO_TOPIC:
            error = library.for_code(code)
            found[name] = Unseen(error.__name__, issubclass(error, library.AuthorizationError))
        if code:
            continue
        rights = one.get("authorized_operations")
        partitions = one["partitions"]
        with_leader = [len(p["isr_nodes"]) for p in partitions if p["leader_id"] >= 0]
        found[name] = TopicState(
            _described(admin, name, partitions),
            tuple(sorted(p["partition_index"] for p in partitions if p["leader_id"] < 0)),
            min(with_leader, default=0), None if rights is None else frozenset(rights))
    return found


def _described(admin: Admin, name: str, partitions: Sequence[Any]) -> Description | Unseen:
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    given = seen(lambda: admin.ask(
        lambda client: client.describe_configs([resource], config_filter="all")))
    if isinstance(given, Unseen):
        return given
    config = given["topic"].get(name)
    if not config:
        return Unseen("no right to see its properties", denied=True)
    replication = min(len(one["replica_nodes"]) for one in partitions)
    return Description(len(partitions), replication,
                       {key: str(one["value"]) for key, one in config.items()})


def group(admin: Admin, name: str, topic: str, pause_s: float = PAUSE_S) -> GroupState:
    """A group and how far it is on a topic. Blocks for `pause_s` where it is behind. Raises
    KafkaError."""
    described = _with_coordinator(admin, lambda client: client.describe_groups([name]))[name]
    rights = described.get("authorized_operations")
    owned, hosts = set[int](), []
    for member in described["members"]:
        hosts.append(str(member.get("client_host", "")).lstrip("/"))
        assignment = member.get("member_assignment")    # bytes, if it is none of Kafka's own
        held = assignment.get("assigned_partitions", ()) if isinstance(assignment, dict) else ()
        owned |= {number for one in held if one["topic"] == topic for number in one["partitions"]}
    before, lag = _progress(admin, name, topic)
    stuck = frozenset[int]()
    if any(lag.values()):
        time.sleep(pause_s)
        after, now = _progress(admin, name, topic)
        stuck = frozenset(one for one in lag if lag[one] and now.get(one)
                          and before.get(one) == after.get(one))
        lag = now
    return GroupState(described["group_state"], tuple(sorted(hosts)), len(lag), frozenset(owned),
                      lag, stuck, None if rights is None else frozenset(rights), pause_s)


def _with_coordinator(admin: Admin, question: Callable[[KafkaAdminClient], T]) -> T:
    """An answer of a group's coordinator, which a fresh cluster takes a moment to have."""
    def asked(client: KafkaAdminClient) -> T:
        for _ in range(COORDINATOR_TRIES):
            try:
                return question(client)
            except (library.CoordinatorNotAvailableError, library.CoordinatorLoadInProgressError):
                time.sleep(COORDINATOR_WAIT_S)
        return question(client)

    return admin.ask(asked)


def _progress(admin: Admin, name: str, topic: str) -> tuple[dict[int, int], dict[int, int]]:
    """What is committed of each partition, and how many records are behind it."""
    committed = {
        tp.partition: one.offset
        for tp, one in _with_coordinator(
            admin, lambda client: client.list_group_offsets({name: None}))[name].items()
        if tp.topic == topic and one.offset >= 0
    }
    described = admin.ask(lambda client: client.describe_topics([topic]))[0]["partitions"]
    wanted = [TopicPartition(topic, one["partition_index"]) for one in described]
    begins, ends = (_offsets(admin, wanted, spec) for spec in (_EARLIEST, _LATEST))
    lag = {one: max(0, end - max(committed.get(one, 0), begins[one])) for one, end in ends.items()}
    return committed, lag


def _offsets(admin: Admin, wanted: Sequence[TopicPartition], spec: object) -> dict[int, int]:
    if not wanted:
        return {}
    found = admin.ask(lambda client: client.list_partition_offsets(dict.fromkeys(wanted, spec)))
    return {one.partition: at.offset for one, at in found.items()}


def newest(settings: Mapping[str, Any], topic: str, key: bytes) -> bytes | None:
    """The newest value of a key; None without one, or with a tombstone. Raises KafkaError."""
    value = None
    for record in read_all(settings, topic, timeout_s=ANSWER_S):
        if record.key == key:
            value = record.value
    return value


def clock(admin: Admin) -> Clock:
    """How this machine's clock stands to the leading controller's. Raises KafkaError."""
    looks = []
    for _ in range(CLOCK_LOOKS):
        before = time.time_ns()
        quorum = admin.ask(KafkaAdminClient.describe_metadata_quorum)
        after = time.time_ns()
        one = quorum["topics"][0]["partitions"][0]
        stamps = [voter["last_caught_up_timestamp"] for voter in one["current_voters"]
                  if voter["replica_id"] == one["leader_id"]]  # fmt: skip
        if stamps and stamps[0] > 0:
            ahead = (before + after) // 2_000_000 - stamps[0]
            looks.append(Clock(ahead, (after - before) // 2_000_000 + 1))
    if not looks:
        raise KafkaError("the controllers do not tell their time (Kafka before 3.3)")
    return min(looks, key=lambda one: one.within_ms)
