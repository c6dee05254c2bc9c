"""The ledger on Kafka written by hand, and notifiers that die where a test wants it.

`python -m tests.kafka.notify_kit` becomes `tocsin notify` for each line of its input, which says at
which step of its work that kills itself, before anything is sent.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from connectors.kafka import Admin, Producer, read_all
from connectors.kafka_follow import Follower
from streams.cli import main
from streams.ledger import GENESIS, canonical, link
from streams.messages import alert_headers, worker_source
from streams.run import notify_box, notify_kafka, sender
from streams.topics import TOPICS
from tests.kafka.broker import Broker
from tests.streams.notices_kit import alert

ROOT = Path(__file__).parents[2]
PARTITIONS = 2
STEPS = "read", "queued", "durable", "committed"


def record(content: dict[str, Any], partition: int, epoch: int, head: bytes = GENESIS,
           prefix: str = "tocsin") -> tuple[bytes, list[tuple[str, bytes]], bytes]:  # fmt: skip
    """Value and headers of a record as its owner writes it, and the chain's new head."""
    body = canonical(content)
    head = link(head, body) if "n" in content else b""
    headers = alert_headers(worker_source(prefix, partition), content, head, epoch)
    return body, headers, head


class Alerts:
    """The topics of a deployment, with the records of owners on `alerts`."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self.broker, self.prefix = broker, prefix
        self.client = broker.settings(prefix).client()
        self.heads = [GENESIS] * PARTITIONS
        self.ns = [0] * PARTITIONS
        with Admin(self.client) as admin:
            for name in ("alerts", "readings"):
                admin.create(f"{prefix}.{name}", PARTITIONS, 1, TOPICS[name].config(1))

    def write(self, *records: tuple[int, int, dict[str, Any]]) -> None:
        """(partition, epoch, content): chained and numbered, but for fences."""
        with Producer(self.client) as producer:
            for partition, epoch, given in records:
                content = given
                if given["type"] != "owner":
                    self.ns[partition] += 1
                    content = {**given, "n": self.ns[partition]}
                body, headers, head = record(
                    content, partition, epoch, self.heads[partition], self.prefix)
                self.heads[partition] = head or self.heads[partition]
                producer.send(f"{self.prefix}.alerts", body, headers=headers, partition=partition,
                              key=given["asset"].encode() if "asset" in given else None)

    def raw(self, partition: int, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Something else."""
        with Producer(self.client) as producer:
            producer.send(f"{self.prefix}.alerts", value, headers=headers, partition=partition)

    def on(self, topic: str) -> list[Any]:
        return list(read_all(self.client, f"{self.prefix}.{topic}"))


def fence(epoch: int, partition: int) -> dict[str, Any]:
    """What a new owner writes first."""
    return {"type": "owner", "epoch": epoch, "partition": partition, "t_ms": 1}


def raised(name: str) -> dict[str, Any]:
    """An alert that is told; its notice has the id NAME-0."""
    return alert(alarm=name)


class Notifiers:
    """A process that becomes `tocsin notify` as often as it is asked to; a context.

    It forks, since importing takes longer than all the rest.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kafka.notify_kit"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def line(self) -> str:
        """The next that is said: what a notifier says on stderr, at its end its exit status."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip()

    def start(self, brokers: str, prefix: str, folder: Path, step: str = "") -> int:
        """A notifier; it dies at this step, if one is named. Its process."""
        given = json.dumps([brokers, prefix, str(folder), step])
        assert self._process.stdin is not None
        self._process.stdin.write(f"{given}\n")
        self._process.stdin.flush()
        return int(self.line())

    def stop(self, number: int) -> float:
        """A notifier in order; seconds it took."""
        began = time.monotonic()
        os.kill(number, signal.SIGTERM)
        while not (said := self.line()).startswith("status "):
            pass
        assert said == "status 0"
        return time.monotonic() - began


def configured(folder: Path, url: str) -> None:
    """One channel, a webhook."""
    (folder / "notify.yaml").write_text(
        f"channels:\n  x:\n    type: webhook\n    url: {url}\n    insecure: true\n")


def dying(step: str) -> None:
    """From now on this process does not come beyond a step, if one is named, and sends nothing."""
    if not step:
        return

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def patched(kind: type, name: str, *, before: bool) -> None:
        real = getattr(kind, name)

        def changed(*given: object) -> None:
            if before:
                die()
            real(*given)
            die()

        setattr(kind, name, changed)

    sender.Worker.step = lambda _self: sender.IDLE_MS  # type: ignore[method-assign]
    match step:
        case "read":
            patched(notify_box.Box, "take", before=True)
        case "queued":
            patched(notify_box.Box, "_sweep", before=True)
        case "durable":
            patched(notify_box.Box, "take", before=False)
        case "committed":
            patched(Follower, "commit", before=False)


def serve() -> None:
    """Forks a notifier for each line of the input, and says its process and its end."""
    assert notify_kafka.run     # imported once for all
    os.dup2(1, 2)
    for line in iter(sys.stdin.readline, ""):
        brokers, prefix, folder, step = json.loads(line)
        number = os.fork()
        if not number:
            dying(step)
            os.environ |= {"TOCSIN_KAFKA_BROKERS": brokers, "TOCSIN_KAFKA_PREFIX": prefix}
            main(["notify", "--channels", f"{folder}/notify.yaml", "--folder", folder])
        print(number, flush=True)
        print("status", os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
