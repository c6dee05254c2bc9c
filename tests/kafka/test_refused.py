"""`tocsin refused` on a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from connectors.kafka import Admin, Producer, Record, read_all
from streams import cli_refused
from streams.refusals import MAX_BYTES, Refusal
from streams.topics import TOPICS
from tests.kafka.broker import Broker

Run = Callable[..., tuple[int, list[str], str]]
T = 1_767_312_000_000
PARTITIONS = 3


@pytest.fixture
def refused(broker: Broker, prefix: str) -> list[Refusal]:
    """What is on the topic, one of it twice, and something that is no refusal."""
    base = Refusal(f"{prefix}.readings", 2, 5, "unknown_asset", 'found "L9"', "L9",
                   b'{"asset":"L9","t":1,"values":{}}', b"L9")
    given = [
        base,
        replace(base, partition=1, offset=8, reason="not_json", detail="\x1b[2J", asset="",
                value=b"\xff\x00", key=None),
        replace(base, topic=f"{prefix}.commands", offset=0, reason="not_a_command", value=b"[]",
                key=b"east", asset=""),
        replace(base, offset=6, reason="too_large", value=b"x" * MAX_BYTES, size=9 << 20),
        replace(base, topic=f"{prefix}.alerts", offset=1, reason="odd"),
        replace(base, offset=7, key=None),
    ]
    client = broker.settings(prefix).client()
    with Admin(client) as admin:
        for name in ("readings", "commands", "refused"):
            parts = PARTITIONS if name != "refused" else 1
            admin.create(f"{prefix}.{name}", parts, 1, TOPICS[name].config(1))
    with Producer(client) as producer:
        for one in (*given, base):
            key, value, headers = one.message("/t/worker/2", T)
            producer.send(f"{prefix}.refused", value, key=key, headers=headers)
        producer.send(f"{prefix}.refused", b"?", key=b"?")
    return given


@pytest.fixture
def run(broker: Broker, prefix: str, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> Run:  # fmt: skip
    monkeypatch.setenv("TOCSIN_KAFKA_BROKERS", broker.bootstrap)
    monkeypatch.setenv("TOCSIN_KAFKA_PREFIX", prefix)

    def call(*words: object) -> tuple[int, list[str], str]:
        with pytest.raises(SystemExit) as ended:
            cli_refused.app([str(word) for word in words], prog_name="tocsin")
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out.splitlines(), printed.err

    return call


def on(broker: Broker, prefix: str, topic: str) -> list[Record]:
    return list(read_all(broker.settings(prefix).client(), f"{prefix}.{topic}"))


def test_the_list_says_when_where_why_and_how_it_begins(
    run: Run, refused: list[Refusal], prefix: str
) -> None:
    code, lines, err = run("list")
    assert (code, len(lines)) == (0, 3 * len(refused))
    assert err == f"tocsin: 1 records of {prefix}.refused are not refusals of Tocsin's\n"
    lines = [*lines[-3:], *lines[:-3]]      # the one that came twice
    assert lines[0].split()[1:] == [f"{prefix}.readings/2/5", "unknown_asset", "L9"]
    assert lines[1].endswith('or was first heard without a class; found "L9"')
    assert lines[2] == '    {"asset":"L9","t":1,"values":{}}'
    assert lines[3].endswith(f"{prefix}.readings/1/8  not_json  -")
    assert lines[5] == r"    \xff\x00"
    assert not any("\x1b" in line for line in lines)
    rows = [json.loads(line) for line in run("list", "--json", "--lang", "zh")[1]]
    assert [row["key"] for row in rows] == [
        one.position for one in (*refused[1:], refused[0])]
    assert (rows[2]["bytes"], rows[2]["text"][:4]) == (9 << 20, "超过上限")
    now = rows[0]["t_ms"] + 1
    assert run("list", "--since", now + 60_000)[1] == ["nothing was refused"]
    assert len(run("list", "--since", now - 60_000)[1]) == 3 * len(refused)
    assert len(run("list", "--topic", "commands")[1]) == 3
    assert len(run("list", "--topic", "readings", "--reason", "unknown_asset")[1]) == 6
    code, lines, err = run("list", "--most", 2)
    assert [line.split()[1] for line in lines[::3]] == [
        f"{prefix}.readings/2/7", f"{prefix}.readings/2/5"]
    assert "the newest 2 are shown" in err


def test_what_was_refused_is_sent_again(
    run: Run, refused: list[Refusal], prefix: str, broker: Broker
) -> None:
    chosen = "retry", "--reason", "unknown_asset"
    code, lines, _ = run(*chosen, "--dry-run")
    readings = f"{prefix}.readings"
    assert (code, lines) == (0, [
        f"{readings}/2/{offset}: would go to {readings}, by its asset L9" for offset in (5, 7)])
    assert on(broker, prefix, "readings") == []
    code, lines, _ = run(*chosen, "--json")
    assert (code, json.loads(lines[1])) == (0, {
        "key": f"{readings}/2/7", "sent": True, "topic": readings, "as": "L9", "partition": None})
    code, lines, _ = run("retry", f"{readings}/1/8", f"{prefix}.commands/2/0")
    assert (code, lines[0]) == (0, f"{readings}/1/8: sent to {readings}, partition 1")
    found = on(broker, prefix, "readings")
    by_asset = [one for one in found if one.key == b"L9"]
    assert [dict(one.headers) for one in by_asset] == [
        {"retried": f"{readings}/2/{offset}".encode()} for offset in (5, 7)]
    assert len({one.partition for one in by_asset}) == 1
    assert [one.value for one in by_asset] == [refused[0].value] * 2
    assert [(one.partition, one.key, one.value) for one in found if one not in by_asset] == [
        (1, None, b"\xff\x00")]
    assert [(one.partition, one.key, one.value) for one in on(broker, prefix, "commands")] == [
        (2, b"east", b"[]")]


def test_what_cannot_be_sent_again_is_said(
    run: Run, refused: list[Refusal], prefix: str, broker: Broker
) -> None:
    code, lines, err = run("retry", *(one.position for one in refused[3:5]), "x/1/2")
    assert (code, lines) == (1, [])
    assert f"{refused[3].position}: not sent again: only 2,097,152 of its 9,437,184 bytes" in err
    assert f"{refused[4].position}: not sent again: found the topic {prefix}.alerts" in err
    assert "x/1/2: not among what was refused" in err
    assert on(broker, prefix, "readings") == []
    assert run("retry", "--reason", "future")[:2] == (0, ["nothing was refused for that reason"])
    assert run("retry")[0] == 2
    assert run("list", "--since", "yesterday")[0] == 2
