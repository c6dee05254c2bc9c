"""A worker that plays the contract of the topics: it takes commands and rules, and answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from typer.testing import CliRunner, Result

from connectors.kafka import Admin, Producer, Record, partition_of, read_all
from connectors.kafka_follow import Follower
from rules.records import Message
from streams.cli import app
from streams.contents import Content
from streams.duty import Duty, Edition
from streams.ledger import Chain, canonical
from streams.messages import alert_headers, worker_source
from streams.run.control_bodies import commands_of
from streams.settings import Kafka
from streams.topics import name_of, plan
from tests.kafka.broker import Broker

PARTITIONS = 2
EPOCH = 7
#: One asset of each partition.
ASSETS = {partition_of(name.encode(), PARTITIONS): name for name in ("P1", "P2", "P3", "P4", "P5")}
RULES = """
classes:
  pump:
    signals:
      pressure: {unit: bar, range: [0, 16]}
      mode: {type: bool, set_by: operator}
    attributes:
      limit: {unit: bar, default: 8 bar}
rules:
- rule: pump.high
  class: pump
  title: {zh: 超压, en: Pressure high}
  when: pressure > limit
  severity: orange
"""

Skip = Callable[[Record], bool]


def site(broker: Broker, prefix: str, folder: Path) -> Kafka:
    """The topics that are needed here, and a file of settings for them in a folder."""
    kafka = broker.settings(prefix, PARTITIONS)
    with Admin(kafka.client()) as admin:
        for one in plan(prefix, PARTITIONS, 1):
            if one.topic.name in ("commands", "alerts", "alarms", "rules", "assets"):
                admin.create(one.name, one.partitions, 1, one.config)
    (folder / "tocsin.yaml").write_text(json.dumps({"kafka": {
        "brokers": list(kafka.brokers), "prefix": prefix, "partitions": PARTITIONS,
        "replication": 1}}))
    return kafka


def run(folder: Path, *words: object) -> Result:
    """Runs `tocsin WORDS` on the deployment of a folder."""
    given = [*map(str, words), "--kafka", str(folder / "tocsin.yaml")]
    return CliRunner().invoke(app, given)


def values(kafka: Kafka, topic: str) -> list[dict[str, Any]]:
    """What stands on a topic; the newest of each key is not told from others."""
    found = read_all(kafka.client(), name_of(kafka.prefix, topic))
    return [json.loads(one.value) for one in found if one.value is not None]


@dataclass
class Worker:
    """Owns partitions; a context. `skip` says of which records of `commands` it takes no notice;
    `zone` is the site's."""

    kafka: Kafka
    owned: Iterable[int] = range(PARTITIONS)
    skip: Skip = lambda _: False
    zone: str = "UTC"
    seen: list[Record] = field(default_factory=list)

    def __enter__(self) -> Self:
        edition = Edition.of([("rules.yaml", RULES.encode())])
        client = self.kafka.client()
        self._topics = [
            Follower(client, name_of(self.kafka.prefix, x)) for x in ("commands", "rules")]
        for topic in self._topics:
            topic.seek({partition: end for partition, (_, end) in topic.range().items()})
        self._producer = Producer(client)
        self._sites: dict[int, tuple[Duty, Chain]] = {}
        self._rows: dict[str, tuple[int, dict[str, Any]]] = {}
        for partition in self.owned:
            duty = Duty(edition, self.zone)
            self._sites[partition] = duty, Chain()
            fence = {"type": "owner", "epoch": EPOCH, "partition": partition, "t_ms": 0}
            self._alert(partition, fence, b"", None)
            self._write(partition, duty.begin("worker"))
            asset = ASSETS[partition]
            messages = [Message(asset, "pump", 1_000, {"pressure": 9.0})]
            self._write(partition, duty.play(messages, 2_000))
            self._show(partition)
        self._producer.flush()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)
        for topic in self._topics:
            topic.__exit__()
        self._producer.__exit__(None)

    def _work(self) -> None:
        while not self._end.is_set():
            for topic in self._topics:
                for record in topic.poll(20):
                    self._take(record)
            self._producer.flush()

    def _take(self, record: Record) -> None:
        self.seen.append(record)
        assert record.value is not None
        if record.key == b"active":
            order = json.loads(record.value)
            for partition, (duty, _) in self._sites.items():
                self._write(partition, duty.activate(duty.edition, order["by"], order["request"]))
        elif (not (record.key or b"").startswith(b"pack/") and record.partition in self._sites
              and not self.skip(record)):  # fmt: skip
            duty, _ = self._sites[record.partition]
            _, made = duty.command(commands_of(record.value)[0][0].order())
            self._write(record.partition, made)
            self._show(record.partition)

    def _write(self, partition: int, contents: Iterable[Content]) -> None:
        for content in contents:
            record = self._sites[partition][1].append(content)
            self._alert(partition, content, record.hash, record.body)

    def _alert(self, partition: int, content: Content, hashed: bytes, body: bytes | None) -> None:
        source = worker_source(self.kafka.prefix, partition)
        self._producer.send(
            name_of(self.kafka.prefix, "alerts"), body or canonical(content), partition=partition,
            headers=alert_headers(source, content, hashed, EPOCH))

    def _show(self, partition: int) -> None:
        rows = {row["alarm"]: row for row in self._sites[partition][0].alarms_list()}
        for alarm, (mine, row) in self._rows.items():
            if mine == partition and alarm not in rows:
                rows[alarm] = {**row, "word": "normal", "finished": True}
        for alarm, row in rows.items():
            self._rows[alarm] = partition, row
            self._producer.send(
                name_of(self.kafka.prefix, "alarms"), canonical({**row, "partition": partition}),
                key=alarm.encode(), partition=partition)
