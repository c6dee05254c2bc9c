"""A node of a cluster: its configuration, its process, what it answers.

    <dir>/pid        of the node, which holds a lock on this file for as long as it lives
    <dir>/log/       its topics
    <dir>/*.log      what it says

A pid whose file is not locked is nobody's: no process but our own can be stopped, even after a
reboot or when pids come round again. The node writes its pid itself, so that killing whoever starts
it, at any moment, leaves nothing that the next call does not find.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from kafka_program import Fault, Program, tell

START_S = 60       # until ready
STOP_S = 30        # until a node that was asked to stop is killed

LOGGING = """\
status = error
appender.f.type = RollingFile
appender.f.name = F
appender.f.fileName = ${sys:tocsin.node}/server.log
appender.f.filePattern = ${sys:tocsin.node}/server.log.%i
appender.f.layout.type = PatternLayout
appender.f.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
appender.f.policies.type = Policies
appender.f.policies.size.type = SizeBasedTriggeringPolicy
appender.f.policies.size.size = 20MB
appender.f.strategy.type = DefaultRolloverStrategy
appender.f.strategy.max = 2
rootLogger.level = INFO
rootLogger.appenderRef.f.ref = F
"""


@dataclass(frozen=True)
class Cluster:
    """What a data folder was made with. Ports are by node."""

    version: str
    id: str
    ports: tuple[int, ...]
    controllers: tuple[int, ...]
    heap_mb: int
    more: tuple[str, ...]  # further properties, KEY=VALUE

    @property
    def bootstrap(self) -> str:
        """The addresses for clients."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)


class Node:
    """One of the cluster: broker and controller in one process."""

    def __init__(self, data: Path, number: int) -> None:
        self.number = number
        self.dir = data / f"node-{number}"
        self.archive = self.dir / "classes"
        self._pid = self.dir / "pid"

    @property
    def pid(self) -> int | None:
        """Of the running node, or None."""
        with contextlib.suppress(OSError), self._pid.open() as file:
            if not locked(file.fileno()):
                return None
            deadline = time.monotonic() + 5
            while not (said := self._pid.read_text()).endswith("\n"):  # it is being started
                if time.monotonic() > deadline:
                    raise Fault(f"{self._pid} is locked by a process that wrote no pid into it")
                time.sleep(0.01)
            return int(said)
        return None

    def prepare(self, cluster: Cluster) -> None:
        """Writes its configuration. Its ports must be free."""
        for port in (cluster.ports[self.number - 1], cluster.controllers[self.number - 1]):
            if not is_free(port):
                raise Fault(f"port {port} is in use by another program; stop that one, or give "
                            "another --port (0: free ones) with another --data")
        self.dir.mkdir(exist_ok=True)
        (self.dir / "log4j2.properties").write_text(LOGGING)
        given = properties(cluster, self.number) | {"log.dirs": str(self.dir / "log")}
        for one in cluster.more:
            key, _, value = one.partition("=")
            given[key] = value
        text = "".join(f"{key}={value}\n" for key, value in given.items())
        (self.dir / "server.properties").write_text(text)

    def lay_out(self, cluster: Cluster, program: Program) -> subprocess.Popen[bytes] | None:
        """Begins to make its log, if it has none; to be waited for."""
        if (self.dir / "log" / "meta.properties").exists():
            return None
        with (self.dir / "format.log").open("wb") as log:
            return subprocess.Popen(
                [*program.command(self.dir, 128), "kafka.tools.StorageTool", "format",
                 "-t", cluster.id, "-c", str(self.dir / "server.properties")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def start(self, cluster: Cluster, program: Program) -> None:
        """Starts it, in a session of its own: it outlives this script and the terminal."""
        keep = [] if program.archive.exists() else [f"-XX:ArchiveClassesAtExit={self.archive}"]
        command = [*program.command(self.dir, cluster.heap_mb, *keep), "kafka.Kafka",
                   str(self.dir / "server.properties")]  # fmt: skip
        with self._pid.open("a") as pid, (self.dir / "out.log").open("wb") as log:
            fcntl.flock(pid, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(self._pid, 0)
            shell = f'echo $$ >&{pid.fileno()} && exec "$@"'
            subprocess.Popen(
                ["/bin/sh", "-c", shell, "sh", *command], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, pass_fds=[pid.fileno()], start_new_session=True,
            )  # fmt: skip

    def signal(self, number: int) -> None:
        """Sends it a signal, if it runs."""
        if (pid := self.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def complaints(self) -> str:
        """What its logs say of errors, shortly."""
        lines = []
        for name in ("format.log", "out.log", "server.log"):
            with contextlib.suppress(OSError), (self.dir / name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 100_000))
                text = file.read().decode("utf-8", "replace")
                found = re.findall(r".*(?:ERROR|FATAL|Exception|Error).*", text)
                lines += [f"  {self.dir / name}: {line[:250]}" for line in found[-4:]]
        return "\n".join(lines)


def locked(descriptor: int) -> bool:
    """Whether somebody else holds the lock on a file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def brokers(port: int) -> int:
    """How many brokers a node sees: a Metadata request (key 3, version 1, no topics) by hand."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as peer:
            peer.settimeout(2)
            peer.sendall(struct.pack(">ihhihi", 14, 3, 1, 7, -1, 0))
            reply = b""
            while len(reply) < 12 and (part := peer.recv(12 - len(reply))):
                reply += part
    except OSError:
        return 0
    if len(reply) < 12:
        return 0
    _, correlation, count = struct.unpack(">iii", reply)
    return count if correlation == 7 else 0


def properties(cluster: Cluster, number: int) -> dict[str, str | int]:
    """The configuration of a node. A kill -9'd one is taken back after 4 s of silence."""
    nodes = len(cluster.ports)
    enough = 2 if nodes > 1 else 1
    voters = ",".join(f"{i}@127.0.0.1:{port}" for i, port in enumerate(cluster.controllers, 1))
    client = f"PLAINTEXT://127.0.0.1:{cluster.ports[number - 1]}"
    controller = f"CONTROLLER://127.0.0.1:{cluster.controllers[number - 1]}"
    return {
        "node.id": number, "process.roles": "broker,controller",
        "controller.quorum.voters": voters, "controller.listener.names": "CONTROLLER",
        "listeners": f"{client},{controller}", "advertised.listeners": client,
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "auto.create.topics.enable": "false", "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "default.replication.factor": nodes, "min.insync.replicas": enough,
        "offsets.topic.replication.factor": nodes, "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": nodes,
        "transaction.state.log.min.isr": enough, "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": nodes,
        "share.coordinator.state.topic.min.isr": enough,
        "share.coordinator.state.topic.num.partitions": 4,
        "broker.session.timeout.ms": 4000, "broker.heartbeat.interval.ms": 500,
        "log.cleaner.dedupe.buffer.size": 16 << 20, "num.network.threads": 2, "num.io.threads": 4,
        "num.recovery.threads.per.data.dir": 2, "background.threads": 2,
    }  # fmt: skip


def is_free(port: int) -> bool:
    """Whether a node could listen there."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def complaints(nodes: list[Node]) -> str:
    """What the logs of nodes say of errors."""
    return "\n".join(filter(None, (node.complaints() for node in nodes)))


def start(nodes: list[Node], cluster: Cluster, program: Program) -> None:
    """Starts the nodes that do not run and waits until each sees all."""
    asleep = [node for node in nodes if node.pid is None]
    for node in asleep:
        node.prepare(cluster)
    making = [node.lay_out(cluster, program) for node in asleep]
    if sum(one.wait(START_S) for one in making if one is not None):
        raise Fault(f"a log could not be laid out\n{complaints(asleep)}")
    for node in asleep:
        node.start(cluster, program)
    deadline = time.monotonic() + START_S
    while any(brokers(port) < len(nodes) for port in cluster.ports):
        for node in nodes:
            if node.pid is None:
                raise Fault(f"node {node.number} ended while starting\n{node.complaints()}")
        if time.monotonic() > deadline:
            raise Fault(f"not ready after {START_S} s; see {nodes[0].dir}\n{complaints(nodes)}")
        time.sleep(0.05)


def end(nodes: list[Node], number: int) -> bool:
    """Sends nodes a signal and waits until they have ended; the deaf are killed. Whether none
    had to be."""
    for node in nodes:
        node.signal(number)
    deadline, well = time.monotonic() + STOP_S, True
    while any(node.pid is not None for node in nodes):
        if well and time.monotonic() > deadline:
            tell(f"not stopped after {STOP_S} s; killed")
            well = False
            for node in nodes:
                node.signal(signal.SIGKILL)
        time.sleep(0.02)
    return well
