"""`tocsin doctor` on a real broker: sound, and with what goes wrong most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from connectors import kafka_look as look
from connectors.kafka import Admin, Producer
from streams.cli import main
from streams.duty import pack_hash
from streams.settings import Kafka, load_settings
from streams.topics import plan
from tests.kafka.broker import SCRIPT, Broker, free_ports
from tests.kafka.secure import settings_of

Run = Callable[..., tuple[int, list[tuple[str, str, str]]]]
PACK = SCRIPT.parents[2] / "rules" / "packs" / "tocsin"


@pytest.fixture
def kafka(broker: Broker, prefix: str) -> Kafka:
    """A deployment with its topics."""
    made = broker.settings(prefix, partitions=2)
    with Admin(made.client()) as admin:
        for one in plan(made.prefix, made.partitions, made.replication):
            admin.create(one.name, one.partitions, one.replication, one.config)
    return made


@pytest.fixture
def run(broker: Broker, prefix: str, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The exit code and (level, check, what: found) of what is not well."""
    monkeypatch.chdir(tmp_path)
    given = {"BROKERS": broker.bootstrap, "PREFIX": prefix, "REPLICATION": "1", "PARTITIONS": "2"}

    def call(**environ: str) -> tuple[int, list[tuple[str, str, str]]]:
        for name, value in (given | environ).items():
            monkeypatch.setenv(f"TOCSIN_KAFKA_{name}", value)
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--json"])
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert all(one["fix"] and one["expected"] for one in found if one["level"] != "ok")
        return int(ended.value.code or 0), [
            (one["level"], one["check"], f"{one['what']}: {one['found']}")
            for one in found if one["level"] != "ok"]

    return call


def activate(kafka: Kafka) -> None:
    texts = [(path.name, path.read_bytes()) for path in sorted(PACK.iterdir())]
    name, files = pack_hash(texts), [[path, text.decode()] for path, text in texts]
    with Producer(kafka.client()) as producer:
        for key, value in ((f"pack/{name}", {"files": files}), ("active", {"pack": name})):
            producer.send(f"{kafka.prefix}.rules", json.dumps(value).encode(), key=key.encode())


@pytest.fixture
def member(kafka: Kafka) -> Iterator[KafkaConsumer]:
    """A member of the workers' group, with all partitions."""
    consumer = KafkaConsumer(f"{kafka.prefix}.readings", group_id=f"{kafka.prefix}-worker",
                             enable_auto_commit=False, **kafka.client())
    for _ in range(100):
        consumer.poll(50)
        if len(consumer.assignment()) == kafka.partitions:
            break
    yield consumer
    consumer.close(autocommit=False)


ALONE = ("warning", "brokers", "replication: 1")     # all there is to say of a single broker


def test_a_sound_deployment(run: Run, kafka: Kafka, member: KafkaConsumer) -> None:
    assert member.assignment()
    activate(kafka)
    assert run() == (0, [ALONE])


def test_each_thing_that_is_wrong_is_named(run: Run, kafka: Kafka, broker: Broker) -> None:
    group = f"{kafka.prefix}-worker"
    idle = ("warning", "workers", f"{group}: no worker runs (Dead)")
    none = ("fault", "rules", "active: nothing")
    assert run() == (1, [ALONE, idle, none])
    activate(kafka)
    with Producer(kafka.client()) as producer:
        producer.send(f"{kafka.prefix}.rules", b"{}", key=b"active")
    strange = ("fault", "rules", "active: not what Tocsin writes")
    assert run() == (1, [ALONE, idle, strange])
    dead = f"127.0.0.1:{free_ports(1)[0]}"
    code, found = run(BROKERS=f"{dead},{broker.bootstrap}", PARTITIONS="3", REPLICATION="2")
    assert code == 1
    assert found[0] == ("warning", "brokers", f"{dead} (of the settings): Connection refused")
    assert ("fault", "brokers", "number: 1") in found
    assert ("fault", "topics", f"{kafka.prefix}.readings partitions: 2") in found
    assert ("fault", "topics", f"{kafka.prefix}.rules replication: 1") in found
    code, found = run(BROKERS=dead)
    assert (code, found) == (
        1, [("fault", "brokers", f"{dead} (of the settings): Connection refused")])


def test_what_is_missing_of_topics(run: Run, prefix: str) -> None:
    code, found = run()
    assert code == 1
    assert found[1:-1] == [
        ("fault", "topics", f"{one.name}: nothing") for one in plan(prefix, 2, 1)]


def test_a_partition_that_does_not_move(kafka: Kafka, member: KafkaConsumer) -> None:
    group, topic = f"{kafka.prefix}-worker", f"{kafka.prefix}.readings"
    with Producer(kafka.client()) as producer:
        for partition in (0, 1, 1):
            producer.send(topic, b"x", partition=partition)
    with Admin(kafka.client()) as admin:
        found = look.group(admin, group, topic, pause_s=0)
        assert (found.lag, found.stuck) == ({0: 1, 1: 2}, {0, 1})
        assert (found.state, found.owned, len(found.members)) == ("Stable", {0, 1}, 1)
        member.commit({TopicPartition(topic, 1): OffsetAndMetadata(2, "", -1)})
        found = look.group(admin, group, topic, pause_s=0)
        assert (found.lag, found.stuck) == ({0: 1, 1: 0}, {0})


def test_clocks_of_one_machine_agree(kafka: Kafka) -> None:
    with Admin(kafka.client()) as admin:
        clock = look.clock(admin)
    assert abs(clock.ahead_ms) <= clock.within_ms + 1


#: In a process of its own: see tests.kafka.broker.ASK.
ASK = """
from connectors import kafka_look
kafka_look.ANSWER_S = 1
from streams.cli import main
main(["doctor"])
"""


def test_a_wrong_password(secure: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("hunter2")
    given = settings_of(secure) | {"SECURITY_PASSWORD_FILE": str(tmp_path / "wrong")}
    env = {f"TOCSIN_KAFKA_{key}": value for key, value in given.items()}
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False,
                          env=os.environ | env, cwd=SCRIPT.parents[2], timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    *_, fault, fix, end = done.stdout.splitlines()
    assert fault.startswith(f"fault   brokers  {secure[0]} (of the settings): ")
    assert "assword" in fault
    assert "password_file" in fix or "kafka.security" in fix
    assert end == "5 findings: 1 faults, 0 warnings"
    assert "hunter2" not in done.stdout


def test_rights_that_are_missing(secure: tuple[str, Path], prefix: str, run: Run) -> None:
    rich = settings_of(secure)
    client = load_settings(
        None, {f"TOCSIN_KAFKA_{key}": value for key, value in rich.items()}).kafka.client()
    with Admin(client) as admin:
        for one in plan(prefix, 2, 1):
            admin.create(one.name, one.partitions, one.replication, one.config)
    given = KafkaAdminClient(**client)
    allowed = ((f"{prefix}.readings", ACLOperation.ALL), (f"{prefix}.rules", ACLOperation.READ))
    try:
        given.create_acls([
            ACL("User:poor", "*", operation, ACLPermissionType.ALLOW,
                ResourcePattern(ResourceType.TOPIC, topic)) for topic, operation in allowed])
    finally:
        given.close()
    code, found = run(**(rich | {"SECURITY_USERNAME": "poor"}))
    assert code == 1
    assert [one for one in found if one[1] == "rights"] == [
        ("warning", "rights", f"operator on {prefix}.rules: no WRITE"),
        ("fault", "rights", f"worker on group {prefix}-worker: no READ")]
    unseen = [what for _, check, what in found if check == "topics"]
    assert f"{prefix}.alerts: TopicAuthorizationFailedError" in unseen
    assert f"{prefix}.rules: no right to see its properties" in unseen
    assert not any(what.startswith(f"{prefix}.readings") for what in unseen)
    assert any(one[:2] == ("warning", "clocks") and "not known" in one[2] for one in found)
