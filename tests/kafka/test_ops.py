"""`tocsin alarms` and `tocsin rules activate` over Kafka, with a worker that answers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from connectors.kafka import Producer, Record, read_all
from streams.cli_alarms import keep_showing
from streams.cli_alarms_options import Filters, Where
from streams.ledger import canonical
from streams.messages import alert_headers, parse
from streams.run import client_kafka
from streams.run.client import ClientError
from streams.run.client_kafka import KafkaClient
from streams.run.site_kafka import active_of, pack_of
from streams.settings import Kafka
from streams.topics import name_of
from tests.kafka.broker import Broker
from tests.kafka.ops_kit import ASSETS, EPOCH, RULES, Worker, run, site, values
from tests.streams.run.control_kit import NOW, row


@pytest.fixture
def kafka(broker: Broker, prefix: str, tmp_path: Path) -> Kafka:
    (tmp_path / "pump.yaml").write_text(RULES)
    return site(broker, prefix, tmp_path)


@pytest.fixture
def producer(kafka: Kafka) -> Iterator[Producer]:
    with Producer(kafka.client()) as one:
        yield one


def acknowledge(partition: int) -> dict[str, Any]:
    return {"command": "acknowledge", "rule": "pump.high", "asset": ASSETS[partition]}


# The list -----------------------------------------------------------------------------------------


def test_alarms_of_all_partitions_are_listed_and_worked_off(kafka: Kafka, tmp_path: Path) -> None:
    with Worker(kafka) as worker:
        found = run(tmp_path, "alarms", "list", "--json")
        assert (found.exit_code, found.stderr) == (0, "")
        rows = [json.loads(line) for line in found.stdout.splitlines()]
        assert {(x["asset"], x["partition"], x["word"]) for x in rows} == {
            (asset, partition, "unacknowledged") for partition, asset in ASSETS.items()}
        found = run(tmp_path, "alarms", "ack", "--all", "--by", "ana", "--comment", "on my way")
        assert (found.exit_code, found.stdout) == (0, "2 accepted\n"), found.stderr
        shown = run(tmp_path, "alarms", "show", rows[0]["alarm"][:8])
        assert "acknowledged" in shown.stdout
        assert "ana" in shown.stdout
        found = run(tmp_path, "alarms", "ack", rows[0]["alarm"], "pump.high@P", "--by", "bob")
        assert (found.exit_code, found.stdout) == (1, "0 accepted, 2 not\n")
        assert "already acknowledged by ana" in found.stderr
        found = run(tmp_path, "alarms", "set", "mode", "true", "--asset", ASSETS[1], "--by", "ana")
        assert (found.exit_code, found.stdout) == (0, "1 accepted\n"), found.stderr
    orders = [parse(one.headers) for one in worker.seen]
    assert {(one.kind, one.source) for one in orders} == {("order", f"/{kafka.prefix}/cli")}
    requests = {one.ident for one in orders}
    assert len(requests) == len(orders) == 5
    assert {one["request"] for one in values(kafka, "commands")} == requests


def test_only_rows_that_stand_are_listed_and_what_is_none_is_told(
    kafka: Kafka, producer: Producer, tmp_path: Path
) -> None:
    topic = name_of(kafka.prefix, "alarms")
    good, closed, gone, moved = (row("lift.hot", f"L{i}") for i in range(4))

    def write(key: str, value: dict[str, Any] | None) -> None:
        producer.send(topic, None if value is None else canonical(value), key=key.encode())

    for one in (good, closed, gone, moved):
        write(one["alarm"], {**one, "partition": 0})
    write(closed["alarm"], {**closed, "word": "normal", "finished": True})
    write(gone["alarm"], None)
    producer.flush()
    client = KafkaClient(kafka, clock=lambda: NOW / 1000)
    listing = client.listing()
    assert (listing.now_ms, listing.zone, listing.warning) == (NOW, "UTC", "")
    assert {x["asset"]: x["word"] for x in listing.rows} == {
        "L0": "unacknowledged", "L3": "unacknowledged"}
    write(moved["alarm"], {**moved, "word": "acknowledged"})
    producer.send(topic, b"{", key=b"a", partition=1)
    write("b", {**good, "severity": "mauve"})
    producer.flush()
    listing = client.listing()
    assert {x["asset"]: x["word"] for x in listing.rows} == {
        "L0": "unacknowledged", "L3": "acknowledged"}
    assert listing.warning.startswith("2 alarms cannot be shown; the first: ")
    found = run(tmp_path, "alarms", "list", "--json")
    assert (found.exit_code, len(found.stdout.splitlines())) == (0, 2)
    assert f"{topic}/" in found.stderr


def test_the_list_is_kept_up_to_date(kafka: Kafka, producer: Producer, tmp_path: Path) -> None:
    pictures: list[str] = []
    console = Console(file=io.StringIO(), force_terminal=True, width=160)

    def pause(_: float) -> None:
        assert isinstance(console.file, io.StringIO)
        pictures.append(console.file.getvalue())
        if len(pictures) == 2:
            raise KeyboardInterrupt
        one = row("lift.hot", "L7")
        producer.send(name_of(kafka.prefix, "alarms"), canonical(one), key=one["alarm"].encode())
        producer.flush()

    keep_showing(Where(kafka=tmp_path / "tocsin.yaml"), Filters(), console, pause)
    assert ["L7" in one for one in pictures] == [False, True]


def test_the_zone_is_that_of_the_newest_activation(kafka: Kafka, tmp_path: Path) -> None:
    with Worker(kafka, zone="Asia/Shanghai"):
        assert KafkaClient(kafka).listing().zone == "UTC"      # nothing was activated yet
        run(tmp_path, "rules", "activate", tmp_path / "pump.yaml", "--by", "ana")
        client = KafkaClient(kafka)
        assert client.listing().zone == client.listing().zone == "Asia/Shanghai"


# Orders -------------------------------------------------------------------------------------------


def test_an_answer_that_is_lost_is_asked_for_again_and_given_once(kafka: Kafka) -> None:
    taken: set[str] = set()

    def lost(record: Record) -> bool:
        request = parse(record.headers).ident
        new = request not in taken
        taken.add(request)
        return new

    with Worker(kafka, skip=lost) as worker:
        [result] = KafkaClient(kafka, answer_s=0.3).order([acknowledge(1)], "ana")
    assert (result["result"], result["why"], result["partition"]) == ("accepted", "", 1)
    assert {parse(one.headers).ident for one in worker.seen} == {result["request"]}
    assert len(worker.seen) > 1
    answers = [one for one in values(kafka, "alerts") if one["type"] == "command"]
    assert [(one["request"], one["by"]) for one in answers] == [(result["request"], "ana")]


def test_without_an_answer_it_is_said_what_may_have_become_of_it(kafka: Kafka) -> None:
    with Worker(kafka, owned=[0]):
        client = KafkaClient(kafka, answer_s=0.2)
        results = client.order([acknowledge(1), acknowledge(0), {"command": "ack"}], "ana")
    assert [one["result"] for one in results] == ["failed", "accepted", "failed"]
    assert results[0]["why"] == (
        "no answer in 0.6 s from partition 1 (perhaps no worker runs). It may be carried out yet: "
        "look at the alarms before you order it again")
    assert "found 'ack', expected acknowledge" in results[2]["why"]
    sent = [one["request"] for one in values(kafka, "commands")]
    assert sorted(map(sent.count, set(sent))) in ([1, 3], [2, 3])      # what is answered is no more


def test_a_zombie_and_what_is_none_of_ours_is_no_answer(kafka: Kafka, producer: Producer) -> None:
    alerts = name_of(kafka.prefix, "alerts")

    def noise(record: Record) -> bool:
        said = {"type": "command", "request": parse(record.headers).ident, "result": "refused",
                "why": "a zombie", "t_ms": 0}  # fmt: skip
        for body, epoch in ((canonical(said), EPOCH - 1), (b"[1]", EPOCH), (b"\xff", EPOCH),
                            (canonical({**said, "type": "alert", "kind": "raised"}), EPOCH)):
            content = {"type": "command", "t_ms": 0}
            producer.send(alerts, body, partition=record.partition,
                          headers=alert_headers("/t/worker/0", content, bytes(32), epoch))
        producer.send(alerts, canonical(said), partition=record.partition)
        producer.flush()
        return False

    with Worker(kafka, skip=noise):
        assert [one["result"] for one in KafkaClient(kafka).order([acknowledge(0)], "ana")] == [
            "accepted"]


def test_orders_come_in_parcels_and_alarms_are_looked_up(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_kafka, "MAX_COMMANDS", 2)
    with Worker(kafka):
        client = KafkaClient(kafka)
        known = [{"command": "comment", "reason": "x" * (i + 1), "alarm": one["alarm"]}
                 for i, one in enumerate(client.listing().rows)]  # fmt: skip
        unknown = {"command": "acknowledge", "alarm": "0" * 32}
        results = client.order([*known, unknown, *known], "ana")
    assert [one["result"] for one in results] == ["accepted"] * 2 + ["failed"] + ["accepted"] * 2
    assert results[2]["why"] == f"{'0' * 32}: no alarm with this id in the list"
    assert [one["rule"] for one in results if "rule" in one] == ["pump.high"] * 4
    assert sorted(len(one["reason"]) for one in values(kafka, "commands")) == [1, 1, 2, 2]


# Rules --------------------------------------------------------------------------------------------


def test_rules_are_written_once_and_hold_on_every_partition(kafka: Kafka, tmp_path: Path) -> None:
    found = run(tmp_path, "rules", "active")
    assert (found.exit_code, found.stderr) == (
        1, "tocsin: no rules were ever activated; `tocsin rules activate` does it\n")
    with Worker(kafka):
        found = run(tmp_path, "rules", "activate", tmp_path / "pump.yaml", "--by", "ana")
        assert found.exit_code == 0, found.stderr
        assert "starts anew: nothing" in found.stdout
        found = run(tmp_path, "rules", "activate", tmp_path / "pump.yaml", "--by", "bob",
                    "--reason", "trial", "--shadow", "--json")  # fmt: skip
    result = json.loads(found.stdout)
    assert (result["result"], result["partitions"], result["silent"]) == ("accepted", [0, 1], [])
    records = list(read_all(kafka.client(), name_of(kafka.prefix, "rules")))
    assert [one.key for one in records] == [f"pack/{result['pack']}".encode(), b"active", b"active"]
    assert [parse(one.headers).kind for one in records] == ["pack", "active", "active"]
    since = active_of(kafka)
    assert since is not None
    assert (since.active.by, since.active.shadow, since.active.request) == (
        "bob", True, result["request"])
    files = [path for path, _ in pack_of(kafka, result["pack"]).files]
    assert "pump.yaml" in files
    assert any(path.startswith("tocsin/") for path in files)    # a fleet watches itself
    found = run(tmp_path, "rules", "active")
    assert found.stdout.splitlines()[0] == f"pack {result['pack']}, in shadow"
    assert "by bob: trial" in found.stdout
    assert json.loads(run(tmp_path, "rules", "active", "--json").stdout)["files"] == files


def test_partitions_without_an_owner_are_named(kafka: Kafka) -> None:
    with Worker(kafka, owned=[0]):
        client = KafkaClient(kafka, answer_s=0.2)
        result = client.activate([("a.yaml", RULES)], "ana")
    assert (result["result"], result["partitions"], result["silent"]) == ("failed", [0], [1])
    assert result["why"] == (
        "no answer in 0.6 s from partition 1 (perhaps no worker runs). The order stands: they take "
        "it up as soon as a worker owns them")


def test_what_cannot_be_activated_is_not_sent(kafka: Kafka) -> None:
    client = KafkaClient(kafka)
    for files, by, said in (
        ([], "ana", "files: "), ([("../a", "")], "ana", "files.0.path: "),
        ([("a", "")], "a\x1bna", "by: "), ([("a", ""), ("a", "")], "ana", "`a` twice"),
        ([("a", "x" * (8 << 20))], "ana", "the rules are too large: found 8,388,6"),
    ):
        with pytest.raises(ClientError, match=said):
            client.activate(files, by)
    assert values(kafka, "rules") == []


@pytest.mark.parametrize(("value", "said"), [
    (b"{", "not as Tocsin writes it"),
    (b'{"pack": "00"}', "not as Tocsin writes it"),
    (b'{"pack": "0011223344556677", "by": "a", "request": "r", "x": 1}', "`x`"),
    (b'{"pack": "0011223344556677", "by": "a", "request": "r"}', "there is no pack 0011223344556"),
])  # fmt: skip
def test_an_order_for_rules_that_is_none_is_told(
    kafka: Kafka, producer: Producer, tmp_path: Path, value: bytes, said: str
) -> None:
    producer.send(name_of(kafka.prefix, "rules"), value, key=b"active")
    producer.flush()
    found = run(tmp_path, "rules", "active")
    assert (found.exit_code, found.stdout) == (1, "")
    assert said in found.stderr


# Usage --------------------------------------------------------------------------------------------


def test_topics_that_are_missing_are_named_with_the_fix(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "tocsin.yaml").write_text(json.dumps(
        {"kafka": {"brokers": [broker.bootstrap], "prefix": prefix}}))
    for words in (["alarms", "list"], ["rules", "active"], ["assets", "list"]):
        found = run(tmp_path, *words)
        assert found.exit_code == 1
        assert f"there is no topic {prefix}." in found.stderr
        assert "`tocsin topics create` makes it" in found.stderr


@pytest.mark.parametrize("words", [
    ["alarms", "list", "--ledger", "x"],
    ["rules", "activate", "missing.yaml"],
    ["rules", "activate", "pump.yaml", "--by", ""],
    ["alarms", "list", "--watch"],
])  # fmt: skip
def test_wrong_usage_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pump.yaml").write_text(RULES)
    assert run(tmp_path, *words).exit_code == 2
