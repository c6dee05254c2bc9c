"""Kafka for administration, tools and the console: small, blocking, with a limit on every wait.

    KafkaError
    ├── LinkError      no broker answers, or not in time: try again
    ├── DeniedError    who we are, or what we may do: see the settings and the rights
    └── RefusedError   a broker will not do what was asked, and says why

`settings` are what a client of kafka-python is made with (addresses, security). No exception of the
library comes through, and its log shows no secret. What must be fast reads by another way.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as library
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.net.compat import KafkaNetClient
from kafka.partitioner import murmur2

TIMEOUT_S = 10.0   # without an answer, without progress
PENDING = 10_000   # records sent and not yet acknowledged
_POLL_MS = 200
_AGAIN_MS = 20     # between two questions for topics; the library's 100 each client would wait once
_RECORD_BYTES = 8 << 20
_NO_TOPIC, _EXISTS = 3, 36  # error codes

_DENIED = (
    library.AuthorizationError, library.SaslAuthenticationFailedError,
    library.UnsupportedSaslMechanismError, library.IllegalSaslStateError,
)  # fmt: skip
_DENIED_WORDS = re.compile("CERTIFICATE|" + "|".join(error.__name__ for error in _DENIED[1:]))
_LINK = (library.RetriableError, library.BrokerNotAvailableError, OSError)

T = TypeVar("T")


class _Complaints(logging.Handler):
    """Keeps why a connection failed: the library tells that to its log only. (At DEBUG the log
    would hold what clients are made with, passwords among it, so it ends here.)"""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        log = logging.getLogger("kafka")
        log.setLevel(logging.WARNING)
        log.propagate = False
        log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Takes the reason out of a line, unless it says less than the one before."""
        text = record.getMessage()
        found = re.match(r"Bootstrap connection to \S+ failed: (.*?)(?: \(backoff .*)?$", text)
        if found is None or _DENIED_WORDS.search(self.last):
            return
        if not self.last or ("Timeout" not in found[1] and "TimedOut" not in found[1]):
            self.last = found[1]


_complaints = _Complaints()


class KafkaError(Exception):
    """The root of what this module raises."""


class LinkError(KafkaError):
    """No broker answers, or not in time."""


class DeniedError(KafkaError):
    """Not with these credentials, or not with their rights."""


class RefusedError(KafkaError):
    """A broker does not do what was asked."""


@dataclass(frozen=True, slots=True)
class Description:
    """A topic as it is. `replication` is the least of its partitions, `config` is in effect."""

    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a topic. `value` None is a tombstone; `t_ms` is the broker's or the sender's."""

    partition: int
    offset: int
    t_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@contextlib.contextmanager
def _ours(settings: Mapping[str, Any]) -> Iterator[None]:
    """Whatever goes wrong, as an error of ours."""
    brokers = ", ".join(settings["bootstrap_servers"])
    try:
        yield
    except _DENIED as error:
        raise DeniedError(f"{brokers}: {_said(error)}") from None
    except _LINK as error:
        raise LinkError(f"{brokers}: {_said(error)}") from None
    except (library.KafkaError, ValueError, TypeError) as error:
        raise RefusedError(f"{brokers}: {_said(error)}") from None


def _said(error: Exception) -> str:
    """What an error says; its description where it came without a word."""
    said = next((str(one) for one in error.args if one), "") or getattr(error, "description", "")
    return f"{said} ({type(error).__name__})" if said else type(error).__name__


class _Client(KafkaNetClient):  # type: ignore[misc] # the library has no types
    """Closes at once: the library leaves a socket to the garbage collector for good when its last
    request, mostly one for metadata that nobody waits for, was not on the wire yet."""

    def close(self, node_id: int | None = None) -> None:
        """All connections, or that to a node."""
        ways = [one.transport for one in list(self._manager._conns.values())]  # noqa: SLF001 - no other way
        super().close(node_id)
        for way in ways if node_id is None else ():
            if way is not None and way._sock is not None:  # noqa: SLF001 - no other way
                way._sock.close()  # noqa: SLF001 - no other way


def _opened(make: Callable[..., Any], settings: Mapping[str, Any], timeout_s: float,
            **more: object) -> Any:  # noqa: ANN401 - the library has no types
    """A client of the library, connected."""
    clients: list[Any] = []

    def client(**given: object) -> Any:  # noqa: ANN401 - as above
        clients.append(_Client(**given))
        clients[-1].cluster.config["retry_backoff_ms"] = _AGAIN_MS  # which it does not hand on
        return clients[-1]

    wait_ms = round(timeout_s * 1000)
    _complaints.last = ""
    try:
        with _ours(settings):
            return make(**settings, **more, kafka_client=client, bootstrap_timeout_ms=wait_ms,
                        request_timeout_ms=wait_ms)
    except KafkaError as error:
        for one in clients:  # the library would leave its thread behind, which tries on for ever
            one.close()
        why = _complaints.last
        if isinstance(error, LinkError) and why:
            brokers = ", ".join(settings["bootstrap_servers"])
            kind = DeniedError if _DENIED_WORDS.search(why) else LinkError
            if "disconnected" in why and "sasl_mechanism" in settings:
                why += " (a wrong password may look so, too)"  # the library overlooks the refusal
            raise kind(f"{brokers}: no connection within {timeout_s:g} s: {why}") from None
        raise


class Admin:
    """Topics of a cluster; a context. Every method blocks and raises KafkaError."""

    def __init__(self, settings: Mapping[str, Any], timeout_s: float = TIMEOUT_S) -> None:
        self._settings, self._wait_ms = settings, round(timeout_s * 1000)
        self._client = _opened(KafkaAdminClient, settings, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, question: Callable[[KafkaAdminClient], T]) -> T:
        """What the library's client answers; whatever goes wrong, as an error of ours."""
        with _ours(self._settings):
            return question(self._client)

    def brokers(self) -> int:
        """How many brokers there are and take part."""
        with _ours(self._settings):
            found = self._client.describe_cluster()["brokers"]
        return sum(not one.get("is_fenced", False) for one in found)

    def describe(self, names: Sequence[str]) -> dict[str, Description]:
        """The topics of these names that are there."""
        with _ours(self._settings):
            found = {}
            for one in self._client.describe_topics(list(names)):
                if one["error_code"] == _NO_TOPIC:
                    continue
                if one["error_code"]:
                    raise library.for_code(one["error_code"])(one["name"])
                found[one["name"]] = one["partitions"]
            if not found:
                return {}
            wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
            configs = self._client.describe_configs(wanted, config_filter="all")["topic"]
        described = {}
        for name, partitions in found.items():
            if not configs.get(name):
                raise DeniedError(f"no right to see the properties of {name}")
            config = {key: str(one["value"]) for key, one in configs[name].items()}
            replication = min(len(one["replica_nodes"]) for one in partitions)
            described[name] = Description(len(partitions), replication, config)
        return described

    def create(self, name: str, partitions: int, replication: int,
               config: Mapping[str, str]) -> bool:
        """Makes a topic and waits until it can be used. False if there is one of this name."""
        wanted = {name: {"num_partitions": partitions, "replication_factor": replication,
                         "configs": dict(config)}}
        with _ours(self._settings):
            made = self._client.create_topics(wanted, timeout_ms=self._wait_ms, raise_errors=False)
            outcome = made["topics"][0]
            code: int = outcome["error_code"]
            if code not in (0, _EXISTS):
                raise library.for_code(code)(f"{name}: {outcome['error_message']}")
            self._client.wait_for_topics([name], timeout_ms=self._wait_ms)
        return code == 0


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that clients of Kafka give to a key where a topic has so many."""
    found: int = (murmur2(key) & 0x7FFF_FFFF) % partitions
    return found


def _consumer(settings: Mapping[str, Any], timeout_s: float) -> KafkaConsumer:
    return _opened(KafkaConsumer, settings, timeout_s, enable_auto_commit=False,
                   auto_offset_reset="earliest", isolation_level="read_committed",
                   max_partition_fetch_bytes=_RECORD_BYTES, max_poll_records=10_000,
                   fetch_max_wait_ms=_POLL_MS)


def _partitions(
    consumer: KafkaConsumer, topic: str, only: int | None = None
) -> list[TopicPartition]:
    partitions = consumer.partitions_for_topic(topic)
    if partitions and only is not None:
        partitions = {only} & set(partitions)
    if not partitions:
        raise library.UnknownTopicOrPartitionError(f"there is no topic {topic}") from None
    return [TopicPartition(topic, partition) for partition in sorted(partitions)]


def _record(found: Any) -> Record:  # noqa: ANN401 - the library has no types
    return Record(found.partition, found.offset, found.timestamp, found.key, found.value,
                  tuple(found.headers))


def read_all(settings: Mapping[str, Any], topic: str, *, start: Mapping[int, int] | None = None,
             since_ms: int = 0, newest: int | None = None, partition: int | None = None,
             timeout_s: float = TIMEOUT_S) -> Generator[Record, None, None]:
    """The records that a topic holds when this is called, each partition in order.

    Complete: it ends when every partition has been read up to where it ended then, however long
    that takes; without progress for `timeout_s` it raises LinkError. Of transactions that are open
    or aborted nothing is read. `start` says the first offset wanted of a partition, `since_ms` the
    time of the first record, `newest` how many offsets of each partition are wanted at most,
    `partition` that only this one is.
    """
    consumer = _consumer(settings, timeout_s)
    try:
        with _ours(settings):
            wanted = _partitions(consumer, topic, partition)
            consumer.assign(wanted)
            ends = consumer.end_offsets(wanted)
            at = {one: max(begin, (start or {}).get(one.partition, 0),
                           0 if newest is None else ends[one] - newest)
                  for one, begin in consumer.beginning_offsets(wanted).items()}
            if since_ms > 0:
                times = consumer.offsets_for_times(dict.fromkeys(wanted, since_ms))
                for one, found in times.items():
                    at[one] = max(at[one], ends[one] if found is None else found.offset)
            yield from _to_the_end(consumer, at, ends, timeout_s)
    finally:
        consumer.close(autocommit=False)


def _to_the_end(consumer: KafkaConsumer, at: dict[TopicPartition, int],
                ends: Mapping[TopicPartition, int], timeout_s: float) -> Iterator[Record]:
    """From the offsets `at` to those of `ends`."""
    for one, offset in at.items():
        consumer.seek(one, offset)
    deadline = time.monotonic() + timeout_s
    while behind := [one for one in at if at[one] < ends[one]]:
        consumer.pause(*(one for one in at if at[one] >= ends[one]))
        for one, records in consumer.poll(_POLL_MS).items():
            yield from (_record(found) for found in records if found.offset < ends[one])
        # Not the last record says that the end is reached, but the position: behind the records
        # there may be marks of transactions, or holes of compaction.
        now = {one: consumer.position(one, timeout_ms=_POLL_MS) for one in behind}
        moved = {one: offset for one, offset in now.items() if offset not in (None, at[one])}
        if moved:
            at |= moved
            deadline = time.monotonic() + timeout_s
        elif time.monotonic() > deadline:
            still = ", ".join(f"{one.partition} ({at[one]} of {ends[one]})" for one in behind)
            raise library.KafkaTimeoutError(
                f"{behind[0].topic}: nothing came for {timeout_s:g} s from the partitions {still}")


class Producer:
    """Sends records; a context, at whose end everything has been acknowledged by all replicas.

    Each failure is told: by the next `send` that has to wait, by `flush`, or at the end.
    """

    def __init__(self, settings: Mapping[str, Any], timeout_s: float = TIMEOUT_S,
                 compression: str | None = "lz4") -> None:
        self._settings, self._timeout_s = settings, timeout_s
        wait_ms = round(timeout_s * 1000)
        self._client = _opened(
            KafkaProducer, settings, timeout_s, allow_auto_create_topics=False,
            compression_type=compression, linger_ms=5, batch_size=1 << 18, max_block_ms=wait_ms,
            delivery_timeout_ms=wait_ms + 5, max_request_size=_RECORD_BYTES)
        self._pending: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._client.close(timeout=0 if kind else self._timeout_s)

    def send(self, topic: str, value: bytes | None, *, key: bytes | None = None,
             headers: Iterable[tuple[str, bytes]] = (), partition: int | None = None) -> None:
        """Hands a record over; by default its key says the partition. Blocks when there are many
        on the way."""
        if len(self._pending) >= PENDING:
            self.flush()
        with _ours(self._settings):
            self._pending.append(self._client.send(
                topic, value, key=key, headers=list(headers), partition=partition))

    def flush(self) -> None:
        """Waits until all are acknowledged; raises the first failure of any."""
        pending, self._pending = self._pending, []
        with _ours(self._settings):
            self._client.flush(timeout=self._timeout_s)
            for one in pending:
                if one.failed():
                    raise one.exception
