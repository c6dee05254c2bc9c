"""A fleet to test: topics, rules, workers as processes, and what is on the topics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from connectors.kafka import Admin, Producer, Record, read_all
from streams.duty import Edition
from streams.ledger import Broken, verify
from streams.ledger import Record as Chained
from streams.messages import Living, parse
from streams.run.topic_bodies import Pack
from streams.run.worker import placed
from streams.topics import name_of, plan
from tests.kafka.broker import Broker

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0

PUMPS = """
classes:
  pump:
    signals:
      pressure: {unit: bar, range: [0, 100]}
plans:
  look: {steps: [{step: look, role: desk, do: Look, within: 1 h}]}
rules:
- rule: pump.high
  class: pump
  title: {zh: 压力高, en: Pressure high}
  when: pressure > 8 bar
  for: 1 s
  clear_when: pressure < 7 bar
  severity: orange
  plan: look
"""


def edition(text: str) -> Edition:
    """Rules of one file."""
    return Edition.of([("pumps.yaml", text.encode())])


def pack_value(rules: Edition) -> bytes:
    """A pack as the topic `rules` has it."""
    return msgspec.json.encode(Pack([(path, text.decode()) for path, text in rules.texts]))


class Fleet:
    """One deployment on a broker. Use as a context: it ends its workers."""

    def __init__(self, broker: Broker, prefix: str, folder: Path, partitions: int = 2) -> None:
        self.kafka = broker.settings(prefix, partitions)
        self.folder = folder
        self.client = self.kafka.client()
        self.workers: list[subprocess.Popen[bytes]] = []
        with Admin(self.client) as admin:
            for one in plan(prefix, partitions, 1):
                admin.create(one.name, one.partitions, one.replication, one.config)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.workers:
            if one.poll() is None:
                one.kill()
            one.wait()

    def name(self, topic: str) -> str:
        return name_of(self.kafka.prefix, topic)

    def start(self) -> subprocess.Popen[bytes]:
        """A worker; its log is `worker-N.log` in the folder."""
        env = os.environ | {
            "TOCSIN_KAFKA_BROKERS": ",".join(self.kafka.brokers),
            "TOCSIN_KAFKA_PREFIX": self.kafka.prefix,
            "TOCSIN_KAFKA_PARTITIONS": str(self.kafka.partitions),
            "TOCSIN_KAFKA_REPLICATION": "1",
        }
        with (self.folder / f"worker-{len(self.workers)}.log").open("wb") as log:
            self.workers.append(subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "worker"], cwd=ROOT, env=env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return self.workers[-1]

    def log(self, number: int = -1) -> str:
        """What a worker has said so far."""
        number = number if number >= 0 else len(self.workers) + number
        return (self.folder / f"worker-{number}.log").read_text(encoding="utf-8")

    def stop(self, worker: subprocess.Popen[bytes]) -> float:
        """Asks a worker to end: how long it took (s)."""
        begun = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0, self.log(self.workers.index(worker))
        return time.monotonic() - begun

    def place(self, asset: str) -> int:
        """The partition of an asset."""
        return placed(self.kafka.partitions)(asset)

    # In ---------------------------------------------------------------------------------------

    def send(self, topic: str, *records: tuple[str | None, bytes | None, int | None]) -> None:
        """(key, value, partition) each."""
        with Producer(self.client) as producer:
            for key, value, partition in records:
                producer.send(self.name(topic), value, partition=partition,
                              key=None if key is None else key.encode())

    def activate(self, rules: Edition, *, shadow: bool = False) -> str:
        """Makes rules active; the request."""
        request = uuid.uuid4().hex
        said = {"pack": rules.name, "by": "author", "request": request, "shadow": shadow}
        self.send("rules", (f"pack/{rules.name}", pack_value(rules), 0),
                  ("active", json.dumps(said).encode(), 0))
        return request

    def read(self, *readings: tuple[str, float], t: int | None = None) -> None:
        """(pump, pressure) each, now or at `t` (ms)."""
        at = int(time.time() * 1000) if t is None else t
        self.send("readings", *(
            (asset, json.dumps({"asset": asset, "t": at, "values": {"pressure": value}}).encode(),
             None) for asset, value in readings))

    def order(self, command: str, asset: str, request: str = "", **more: object) -> str:
        """An order about `pump.high`; its request."""
        request = request or uuid.uuid4().hex
        body = {"request": request, "by": "chen", "command": command, "rule": "pump.high",
                "asset": asset, **more}
        self.send("commands", (asset, json.dumps(body).encode(), None))
        return request

    # Out --------------------------------------------------------------------------------------

    def records(self, topic: str) -> list[Record]:
        """All of a topic."""
        return list(read_all(self.client, self.name(topic)))

    def ledger(self) -> list[dict[str, Any]]:
        """The contents of all ledgers that count, checked."""
        living, found = Living(), list[dict[str, Any]]()
        chains: dict[int, list[Chained]] = {}
        for one in self.records("alerts"):
            said = parse(one.headers)
            assert said.epoch is not None
            if not living.counts(one.partition, said.epoch) or said.kind == "owner":
                continue
            body = one.value or b""
            content = json.loads(body)
            chains.setdefault(one.partition, []).append(Chained(content["n"], said.hash, body))
            found.append({**content, "partition": one.partition})
        broken: dict[int, Broken | None] = {p: verify(chain) for p, chain in chains.items()}
        assert set(broken.values()) <= {None}, broken
        return found

    def alerts(self, asset: str = "") -> list[tuple[str, str]]:
        """(asset, kind) of the alerts, those of one asset or all."""
        return [(one["asset"], one["kind"]) for one in self.ledger()
                if one["type"] == "alert" and asset in ("", one["asset"])]

    def alarms(self) -> dict[str, dict[str, Any]]:
        """The newest row of each alarm, by its id."""
        rows = {(one.key or b"").decode(): one.value for one in self.records("alarms")}
        return {alarm: json.loads(value) for alarm, value in rows.items() if value is not None}

    def until(self, what: Callable[[], object], patience_s: float = PATIENCE_S) -> Any:  # noqa: ANN401 - whatever is asked
        """Waits for something to become true; that."""
        deadline = time.monotonic() + patience_s
        while not (found := what()):
            for worker in self.workers:
                assert worker.poll() in (None, 0, -9), self.log(self.workers.index(worker))
            assert time.monotonic() < deadline, f"not in time; {self.log()[-3000:]}"
            time.sleep(0.1)
        return found
