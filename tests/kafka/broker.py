"""A real Apache Kafka for tests: one for the whole run, others for those that disturb theirs.

Where it cannot be started, each test that wants it fails and says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from streams.settings import Kafka

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "local" / "kafka"
START_S = 600  # the first time, its jars are fetched


def local(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the script."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, words)], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=START_S, check=False, env=env,
    )  # fmt: skip


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, below those that systems give to outgoing connections."""
    found: list[int] = []
    for port in random.sample(range(10_000, 20_000), 10_000):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found


#: Asks a cluster as the environment says, in a process of its own: when a connection fails, the
#: library leaves sockets to the garbage collector, which other tests would trip over.
ASK = """
import os, sys
from connectors.kafka import Admin, KafkaError
from streams.settings import load_settings
try:
    with Admin(load_settings(None, os.environ).kafka.client(), float(sys.argv[1])) as admin:
        print(admin.brokers())
except KafkaError as error:
    print(f"{type(error).__name__}: {error}")
"""


def asked(timeout_s: float, **settings: str) -> str:
    """What comes of asking for the number of brokers; settings as TOCSIN_KAFKA_… has them."""
    env = {f"TOCSIN_KAFKA_{key}": value for key, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(timeout_s)], capture_output=True, text=True, check=True,
        env=os.environ | env, cwd=SCRIPT.parents[2], timeout=60)  # fmt: skip
    assert done.stderr == ""
    return done.stdout.strip()


@dataclass(frozen=True)
class Broker:
    """A cluster: its addresses and its folder."""

    bootstrap: str
    data: Path

    def settings(self, prefix: str, partitions: int = 4, replication: int = 1) -> Kafka:
        """Settings for this cluster."""
        return Kafka(brokers=tuple(self.bootstrap.split(",")), prefix=prefix,
                     partitions=partitions, replication=replication)

    def start(self) -> None:
        """Starts what does not run of it, and waits until it is ready."""
        self._do("start")

    def stop(self, *words: object) -> None:
        """Shuts it down (`--node N`: one node)."""
        self._do("stop", *words)

    def kill(self, *words: object) -> None:
        """Ends it as a power cut would (`--node N`: one node)."""
        self._do("kill", *words)

    def _do(self, command: str, *words: object) -> None:
        done = local(command, "--data", self.data, *words)
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def cluster(data: Path, *words: object) -> Iterator[Broker]:
    """A cluster of one's own, on free ports; gone at the end."""
    try:
        done = local("start", "--data", data, "--port", 0, "--json", *words)
        assert done.returncode == 0, f"no Kafka for the tests:\n{done.stderr}"
        yield Broker(json.loads(done.stdout)["bootstrap"], data)
    finally:
        local("wipe", "--data", data)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One node for the run. Tests keep apart by their prefixes and leave it running."""
    with cluster(tmp_path_factory.mktemp("kafka") / "data") as one:
        yield one
        one.stop()  # in order: the first time, it keeps what makes later starts quick


@pytest.fixture
def prefix() -> str:
    """A prefix of topics and groups that no other test has."""
    return f"t{secrets.token_hex(4)}"
