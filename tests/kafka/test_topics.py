"""`tocsin topics` on a real broker: plain, and with TLS and passwords."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from connectors.kafka import Admin, read_all
from streams.cli_topics import app
from streams.settings import load_settings
from streams.topics import TOPICS
from tests.kafka.broker import Broker, asked
from tests.kafka.secure import settings_of

Run = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def run(
    broker: Broker, prefix: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> Run:  # fmt: skip
    monkeypatch.chdir(tmp_path)  # no tocsin.yaml here
    given = {"BROKERS": broker.bootstrap, "PREFIX": prefix, "REPLICATION": "1", "PARTITIONS": "3"}

    def call(*words: object, **environ: str) -> tuple[int, list[str], str]:
        for name, value in (given | environ).items():
            monkeypatch.setenv(f"TOCSIN_KAFKA_{name}", value)
        with pytest.raises(SystemExit) as ended:
            app([str(word) for word in words], prog_name="tocsin")
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out.splitlines(), printed.err

    return call


def test_what_is_missing_is_made_once(run: Run, prefix: str) -> None:
    code, lines, _ = run("check", "--json")
    assert (code, len(lines)) == (1, len(TOPICS))
    assert json.loads(lines[0]) == {
        "topic": f"{prefix}.readings", "what": "topic", "found": "nothing", "expected": "a topic",
        "fix": "tocsin topics create"}
    made = [f"{prefix}.{name}: created" for name in TOPICS]
    assert run("create") == (0, made, "")
    assert run("check") == (0, [f"{len(TOPICS)} topics are as they should be"], "")
    code, lines, _ = run("create", "--json")
    assert (code, [json.loads(line)["created"] for line in lines]) == (0, [False] * len(TOPICS))


def test_what_differs_is_said_with_the_fix(run: Run, prefix: str, broker: Broker) -> None:
    run("create")
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.alter_configs([ConfigResource(
            ConfigResourceType.TOPIC, f"{prefix}.alerts", configs={"retention.ms": "1000"})])
    finally:
        admin.close()
    code, lines, _ = run("check")
    fix = (f"kafka-configs.sh --bootstrap-server {broker.bootstrap} --alter "
           f"--topic {prefix}.alerts --add-config retention.ms=315360000000")
    assert (code, lines) == (
        1, [f"{prefix}.alerts: retention.ms is 1000, expected 315360000000; {fix}"])
    code, lines, _ = run("check", "--json", PARTITIONS="5", REPLICATION="3")
    kinds = {json.loads(line)["what"] for line in lines}
    assert (code, kinds) == (
        1, {"partitions", "replication", "retention.ms", "min.insync.replicas"})


def test_too_few_brokers_are_told_before_anything_is_made(run: Run) -> None:
    code, lines, err = run("create", REPLICATION="3")
    assert (code, lines) == (1, [])
    assert "there are 1 brokers" in err
    assert "TOCSIN_KAFKA_REPLICATION=1" in err
    assert len(run("check", "--json")[1]) == len(TOPICS)


def test_wrong_settings_are_wrong_usage(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text("kafka:\n  prefx: a\n")
    code, lines, err = run("create")
    assert (code, lines) == (2, [])
    assert "tocsin.yaml:2:3: error: unknown key `prefx`; did you mean `prefix`?" in err
    assert run("create", "--settings", tmp_path / "none.yaml")[0] == 2


def test_tls_and_passwords_work_with_each_client(secure: tuple[str, Path]) -> None:
    environ = {f"TOCSIN_KAFKA_{key}": value for key, value in settings_of(secure).items()}
    client = load_settings(None, environ).kafka.client()
    with Admin(client) as admin:
        assert admin.create("t", 1, 1, {})

    async def send() -> None:
        async with AIOKafkaProducer(**client) as producer:
            await producer.send_and_wait("t", b"told in private")

    asyncio.run(send())
    assert [one.value for one in read_all(client, "t")] == [b"told in private"]


def test_who_is_not_known_is_denied(secure: tuple[str, Path], tmp_path: Path) -> None:
    known = settings_of(secure)
    (tmp_path / "wrong").write_text("hunter2")
    with ThreadPoolExecutor() as pool:  # each until its time is over
        password, authority, plain = pool.map(lambda settings: asked(2, **settings), (
            known | {"SECURITY_PASSWORD_FILE": str(tmp_path / "wrong")},
            {key: value for key, value in known.items() if key != "SECURITY_CA_FILE"},
            {"BROKERS": secure[0]},
        ))  # fmt: skip
    assert re.match("DeniedError: .*Invalid username or password|"
                    "LinkError: .*a wrong password may look so, too", password)
    assert re.match("DeniedError: .*CERTIFICATE_VERIFY_FAILED", authority)
    assert plain.startswith("LinkError: ")
