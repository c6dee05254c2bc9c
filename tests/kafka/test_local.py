"""`deploy/local/kafka`: what it starts it finds again, and nothing else is touched."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from connectors.kafka import Admin
from tests.kafka.broker import SCRIPT, Broker, cluster, local

#: A node that was killed is taken back as soon as its session is over.
QUICK = "broker.session.timeout.ms=1500"


def status(data: Path) -> list[dict[str, object]]:
    nodes: list[dict[str, object]] = json.loads(local("status", "--data", data, "--json").stdout)[
        "nodes"
    ]
    return nodes


def test_it_says_what_runs_and_starting_it_again_changes_nothing(broker: Broker) -> None:
    before = status(broker.data)
    assert [(one["node"], one["brokers"]) for one in before] == [(1, 1)]
    broker.start()
    assert status(broker.data) == before
    assert local("status", "--data", broker.data).returncode == 0


def test_it_listens_on_the_loopback_only(broker: Broker) -> None:
    pid = status(broker.data)[0]["pid"]
    mine = {
        str(one.readlink()).removeprefix("socket:[").removesuffix("]")
        for one in Path(f"/proc/{pid}/fd").iterdir()
        if one.is_symlink() and str(one.readlink()).startswith("socket:")
    }
    listening = [
        fields[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and fields[9] in mine
    ]
    loopback = ("0100007F:", "0000000000000000FFFF00000100007F:")
    assert len(listening) == 2
    assert all(one.startswith(loopback) for one in listening), listening


def test_three_nodes_lose_one_and_take_it_back(tmp_path: Path) -> None:
    with cluster(tmp_path / "three", "--nodes", 3, "--set", QUICK) as three:
        settings = three.settings("t", replication=3)
        with Admin(settings.client()) as admin:
            assert admin.create("kept", 2, 3, {"min.insync.replicas": "2"})
        before = {one["node"]: one["pid"] for one in status(three.data)}
        three.kill("--node", 2)
        assert local("status", "--data", three.data).returncode == 1
        three.start()
        after = {one["node"]: (one["pid"], one["brokers"]) for one in status(three.data)}
        assert {after[1], after[3]} == {(before[1], 3), (before[3], 3)}
        assert after[2] != (before[2], 3)
        assert after[2][1] == 3
        with Admin(settings.client()) as admin:
            assert admin.describe(["kept"])["kept"].replication == 3
        refused = local("start", "--data", three.data, "--nodes", 1)
        assert (refused.returncode, "made with --nodes 3" in refused.stderr) == (1, True)
    assert not (tmp_path / "three").exists()


def test_a_start_that_is_killed_is_taken_up_by_the_next(broker: Broker, tmp_path: Path) -> None:
    data = tmp_path / "killed"
    try:
        first = subprocess.Popen([sys.executable, SCRIPT, "start", "--data", data, "--port", "0"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pid = data / "node-1" / "pid"
        deadline = time.monotonic() + 60
        while not (pid.exists() and pid.read_text().endswith("\n")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        first.kill()
        first.wait()
        assert local("start", "--data", data).returncode == 0
        assert status(data)[0]["pid"] == int(pid.read_text())
        assert broker.bootstrap.split(":")[1] != str(status(data)[0]["port"])
    finally:
        local("wipe", "--data", data)


def test_a_pid_that_came_round_again_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "old"
    (data / "node-1").mkdir(parents=True)
    made = {"version": "4.1.2", "id": "x", "ports": [1], "controllers": [2], "heap_mb": 512,
            "more": []}
    (data / "cluster.json").write_text(json.dumps(made))
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (data / "node-1" / "pid").write_text(f"{stranger.pid}\n")
        assert local("kill", "--data", data).returncode == 0
        assert local("wipe", "--data", data).returncode == 0
        assert stranger.poll() is None
        stranger.send_signal(signal.SIGKILL)


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for command in ("start", "stop", "kill", "wipe", "status"):
        done = local(command, "--data", tmp_path)
        assert (done.returncode, "it is not ours" in done.stderr) == (1, True), command
    assert (tmp_path / "thesis.txt").exists()


def test_a_port_in_use_is_named(broker: Broker, tmp_path: Path) -> None:
    port = broker.bootstrap.split(":")[1]
    done = local("start", "--data", tmp_path / "second", "--port", port)
    assert (done.returncode, f"port {port} is in use" in done.stderr) == (1, True)


def test_what_is_missing_is_said_with_what_to_install(tmp_path: Path) -> None:
    binaries, empty = tmp_path / "bin", {"TOCSIN_CACHE": str(tmp_path / "cache")}
    binaries.mkdir()
    start = ("start", "--data", tmp_path / "data")
    env = empty | {"PATH": str(binaries)}
    assert "install Java 17" in local(*start, env=env).stderr
    fake = binaries / "java"
    fake.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    fake.chmod(0o755)
    assert "is Java 11; install Java 17" in local(*start, env=env).stderr
    fake.write_text("#!/bin/sh\necho 'openjdk version \"21\" 2023-09-19' >&2\n")
    assert "install Maven" in local(*start, env=env).stderr
    maven = binaries / "mvn"
    maven.write_text("#!/bin/sh\necho no such artifact\nexit 1\n")
    maven.chmod(0o755)
    done = local(*start, env=env)
    assert (done.returncode, "no such artifact" in done.stderr) == (1, True)
    assert not (tmp_path / "data").exists()
    assert list((tmp_path / "cache" / "kafka").iterdir()) == []


def test_wrong_usage_is_told() -> None:
    for words in (["fly"], ["start", "--port", "x"], ["start", "--nodes", "2"],
                  ["start", "--version", "../4"], ["start", "--set", "x"], ["kill", "--node", "9"]):
        assert local(*words).returncode == 2, words


def test_a_free_port_is_one_that_no_connection_is_given() -> None:
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        import kafka_node  # noqa: PLC0415 - beside the script, not a package
    finally:
        sys.path.pop(0)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        assert not kafka_node.is_free(one.getsockname()[1])
