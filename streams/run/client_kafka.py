"""The client of a deployment on Kafka, with the methods of `client.Client`, for the command line.

The list is the newest row of each alarm on `alarms`. An order goes to `commands`; its result is the
record with its request on the same partition of `alerts`. Rules go to `rules`, and each partition
answers with a record of the activation.

Whoever owns a partition answers in well under a second. Limits: an answer is awaited for ANSWER_S,
then the order is sent again with the same request, AGAIN times in all; it is carried out once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Self
from zoneinfo import ZoneInfo

import msgspec
from pydantic import ValidationError

from connectors.kafka import KafkaError, Producer, Record, partition_of, read_all
from connectors.kafka_follow import POLL_MS, Follower
from streams.decode import BAD_BYTES
from streams.messages import Living, NotOurs, cli_source, envelope
from streams.run.client import AGAIN, MAX_BATCH, ClientError, Listing, Result, Row
from streams.run.control_bodies import MAX_COMMANDS, WrongBody, commands_of
from streams.run.site_kafka import Newest, active_of, is_kept, place, told
from streams.run.topic_bodies import (
    ACTIVE,
    MAX_PACK,
    PACK,
    ActivationOrder,
    Active,
    BodyError,
    Pack,
    row_of,
)
from streams.settings import Kafka
from streams.topics import TOPICS, name_of

ANSWER_S = 10.0          # for one answer
#: Offsets before the end of each partition of `alerts` from which its owner's epoch is learnt, so
#: that what a fenced zombie still writes is not taken for an answer.
LOOK_BACK = 100
ZONE_RECORDS = 20_000    # in which the record of the last activation is sought
ZONE_BEFORE_MS = 60_000  # what the clocks of brokers may differ

Content = dict[str, Any]


@dataclass(frozen=True)
class _Order:
    """A command on its way. `place` is the partition of its asset."""

    request: str
    key: str
    body: bytes


@dataclass
class KafkaClient:
    """A deployment. `clock` says the time (s since 1970), `answer_s` is ANSWER_S."""

    kafka: Kafka
    clock: Callable[[], float] = field(default=time.time, repr=False)
    answer_s: float = ANSWER_S
    _alarms: Newest = field(default_factory=lambda: Newest.of("alarms"), repr=False)
    _zone: str = ""

    # The list ---------------------------------------------------------------------------------

    def listing(self) -> Listing:
        """The alarms now; reads what has come since it was asked last. Raises ClientError."""
        self._zone = self._zone or self._zone_of_site()
        self._alarms.catch_up(self.kafka)
        rows: list[Row] = []
        broken: list[str] = []
        for record in self._alarms.records.values():
            try:
                row = row_of(record.value or b"", TOPICS["alarms"].message_bytes)
            except BodyError as error:
                broken.append(f"{place(record, name_of(self.kafka.prefix, 'alarms'))}: {error}")
                continue
            if row is not None:
                rows.append(row)
        warning = f"{len(broken)} alarms cannot be shown; the first: {broken[0]}" if broken else ""
        return Listing(round(self.clock() * 1000), 0, self._zone, rows, warning)

    def _zone_of_site(self) -> str:
        """The zone of the newest activation, which stands soon after the order for it."""
        found = active_of(self.kafka)
        if found is None:
            return "UTC"
        alerts, since = name_of(self.kafka.prefix, "alerts"), found.t_ms - ZONE_BEFORE_MS
        with told(), closing(read_all(self.kafka.client(), alerts, since_ms=since)) as records:
            for _, record in zip(range(ZONE_RECORDS), records, strict=False):
                content = _content(record)
                if (content.get("type"), content.get("request")) == (
                    "activation", found.active.request
                ):  # fmt: skip
                    return _known_zone(content.get("zone"))
        return "UTC"

    # Orders -----------------------------------------------------------------------------------

    def order(self, commands: Sequence[Mapping[str, object]], by: str) -> list[Result]:
        """Gives the orders, as many as there are. A result for each, in order.

        One that could not be given, or got no answer, has the result `failed` and the reason in
        `why`. Raises ClientError where alarms have to be looked up and cannot be.
        """
        results: dict[int, Result] = {}
        orders: dict[int, _Order] = {}
        rows: dict[str, Row] | None = None
        for i, command in enumerate(commands):
            about = dict(command)
            if about.get("alarm") and not (about.get("rule") and about.get("asset")):
                if rows is None:
                    rows = {row["alarm"]: row for row in self.listing().rows}
                row = rows.get(str(about["alarm"]), {})
                about |= {name: row[name] for name in ("rule", "asset", "group") if name in row}
            try:
                orders[i] = _prepared(about, by)
            except ClientError as error:
                results[i] = {"result": "failed", "why": str(error)}
        waiting = list(orders.items())
        while waiting:
            batch, waiting = waiting[:MAX_COMMANDS], waiting[MAX_COMMANDS:]
            answers = self._answers([order for _, order in batch])
            results |= {i: answers[order.request] for i, order in batch}
        return [results[i] for i in range(len(commands))]

    def _answers(self, orders: Sequence[_Order]) -> dict[str, Result]:
        """What came of the orders, by request."""
        prefix, client = self.kafka.prefix, self.kafka.client()
        waiting = {order.request: order for order in orders}
        found: dict[str, Result] = {}
        sent, why = False, ""
        try:
            with told(), _Ear(self.kafka) as ear, Producer(client) as producer:
                t_ms = self._now_ms()
                for _ in range(AGAIN):
                    for order in waiting.values():
                        producer.send(
                            name_of(prefix, "commands"), order.body, key=order.key.encode(),
                            partition=partition_of(order.key.encode(), ear.partitions),
                            headers=envelope(cli_source(prefix), "order", order.request, t_ms,
                                             order.key))  # fmt: skip
                    sent = True
                    producer.flush()
                    for partition, content in ear.heard(self.answer_s):
                        request = str(content.get("request"))
                        if request in waiting and content.get("type") == "command":
                            found[request] = _result(partition, content)
                            del waiting[request]
                            if not waiting:
                                return found
                why = self._silence({
                    partition_of(order.key.encode(), ear.partitions) for order in waiting.values()
                })  # fmt: skip
        except ClientError as error:
            why = str(error)
        if sent:
            why += ". It may be carried out yet: look at the alarms before you order it again"
        lost: Result = {"result": "failed", "why": why}
        return found | {request: {**lost, "request": request} for request in waiting}

    def _silence(self, partitions: Iterable[int]) -> str:
        return (f"no answer in {AGAIN * self.answer_s:g} s from {_named(partitions)} (perhaps no "
                "worker runs)")

    # Rules ------------------------------------------------------------------------------------

    def activate(
        self, files: Iterable[tuple[str, str]], by: str, *, reason: str = "", shadow: bool = False
    ) -> Result:
        """Has rules take effect: path and text of each file. Waits for all partitions.

        `accepted`: they hold on every partition. `failed`: not everywhere yet; the order stands, so
        each partition follows as soon as it has an owner. Raises ClientError.
        """
        request, pack = uuid.uuid4().hex, Pack(list(files))
        try:
            ActivationOrder.model_validate({
                "request": request, "by": by, "reason": reason, "shadow": shadow,
                "files": [{"path": path, "text": text} for path, text in pack.files]})
        except ValidationError as error:
            raise ClientError(f"not a pack that can be activated: {_first(error)}") from None
        body, name = msgspec.json.encode(pack), pack.name
        if len(body) > MAX_PACK:
            raise ClientError(f"the rules are too large: found {len(body):,} bytes, expected at "
                              f"most {MAX_PACK:,}")
        active = Active(name, by, request, reason, shadow)
        prefix, client = self.kafka.prefix, self.kafka.client()
        rules, source, t_ms = name_of(prefix, "rules"), cli_source(prefix), self._now_ms()
        kept = is_kept(self.kafka, name)
        with told(), _Ear(self.kafka) as ear, Producer(client) as producer:
            if not kept:
                producer.send(rules, body, key=PACK + name.encode(),
                              headers=envelope(source, "pack", name, t_ms, name))
                producer.flush()      # it is there before anybody is told to take it
            producer.send(rules, msgspec.json.encode(active), key=ACTIVE,
                          headers=envelope(source, "active", request, t_ms, name))
            producer.flush()
            answers: dict[int, Content] = {}
            for partition, content in ear.heard(AGAIN * self.answer_s):
                if (content.get("type"), content.get("request")) == ("activation", request):
                    answers[partition] = content
                if len(answers) == ear.partitions:
                    break
            silent = set(range(ear.partitions)) - answers.keys()
        found: Result = {
            "result": "accepted", "why": "", "request": request, "pack": name, "shadow": shadow,
            "partitions": sorted(answers), "silent": sorted(silent),
            **{key: sorted({x for one in answers.values() for x in _names(one.get(key))})
               for key in ("anew", "gone")},
        }  # fmt: skip
        if silent:
            found |= {"result": "failed", "why": f"{self._silence(silent)}. The order "
                      "stands: they take it up as soon as a worker owns them"}
        return found

    def _now_ms(self) -> int:
        return round(self.clock() * 1000)


class _Ear:
    """Hears what owners of partitions write on `alerts` from when it was made; a context."""

    def __init__(self, kafka: Kafka) -> None:
        self._living = Living()
        self._follower = Follower(kafka.client(), name_of(kafka.prefix, "alerts"))
        try:
            ranges = self._follower.range()
            self._follower.seek({partition: max(first, end - LOOK_BACK)
                                 for partition, (first, end) in ranges.items()})
        except KafkaError:
            self._follower.__exit__()
            raise
        self._ends = {partition: end for partition, (_, end) in ranges.items()}
        self.partitions = len(ranges)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._follower.__exit__()

    def heard(self, wait_s: float) -> Iterator[tuple[int, Content]]:
        """Partition and content of each record, for that long."""
        deadline = time.monotonic() + wait_s
        while (left := deadline - time.monotonic()) > 0:
            for record in self._follower.poll(min(round(left * 1000) + 1, POLL_MS)):
                try:
                    said = self._living.envelope(record.partition, record.headers)
                except NotOurs:
                    continue
                if said is not None and record.offset >= self._ends[record.partition]:
                    yield record.partition, _content(record)


def _prepared(command: Mapping[str, object], by: str) -> _Order:
    """The command as it is sent. Raises ClientError when it is none."""
    request = uuid.uuid4().hex
    body = msgspec.json.encode({**command, "request": request, "by": by})
    if len(body) > MAX_BATCH:
        raise ClientError(f"found {len(body):,} bytes, expected at most {MAX_BATCH:,}")
    try:
        checked = commands_of(body)[0][0]
    except WrongBody as error:
        raise ClientError(str(error)) from None
    if checked.command != "set" and not (checked.rule and checked.asset):
        raise ClientError(f"{checked.alarm}: no alarm with this id in the list")
    return _Order(request, checked.asset, body)


def _content(record: Record) -> Content:
    """What a record of the ledger says; nothing where it is none."""
    try:
        return msgspec.json.decode(record.value or b"{}", type=dict[str, Any])
    except BAD_BYTES:
        return {}


def _result(partition: int, content: Content) -> Result:
    kept = ("request", "result", "why", "alarm", "rule", "asset", "t_ms")
    found = {name: content.get(name, "") for name in kept}
    if found["result"] not in ("accepted", "refused"):
        found |= {"result": "failed", "why": f"not an answer of Tocsin: {found['result']!r}"}
    return {**found, "partition": partition}


def _names(given: object) -> list[str]:
    return [x for x in given if isinstance(x, str)] if isinstance(given, list) else []


def _named(partitions: Iterable[int]) -> str:
    numbers = sorted(partitions)
    some = ", ".join(map(str, numbers[:10])) + (", …" if len(numbers) > 10 else "")
    return f"partition{'s' if len(numbers) > 1 else ''} {some}"


def _known_zone(name: object) -> str:
    try:
        return ZoneInfo(str(name)).key
    except (KeyError, ValueError, OSError):
        return "UTC"


def _first(error: ValidationError) -> str:
    one = error.errors(include_url=False, include_input=False)[0]
    at = ".".join(map(str, one["loc"]))
    said = one.get("ctx", {}).get("found") or one["msg"]
    return f"{at}: {said}" if at else str(said)
