"""`tocsin assets`: an inventory on a real broker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connectors.kafka import Producer, read_all
from streams.messages import parse
from streams.run import site_kafka
from streams.run.client import ClientError
from streams.run.site_kafka import change_inventory, inventory_of
from streams.run.topic_bodies import AssetEntry, Pack
from streams.settings import Kafka
from streams.topics import name_of
from tests.kafka.broker import Broker
from tests.kafka.ops_kit import RULES, run, site

YAML = "- {id: P1, class: pump, attributes: {limit: 900 kPa}, overrides: {pump.high.for: 5 s}}\n"
JSONL = '{"id":"P2","class":"pump"}\n\n{"id": "泵3", "class": "pump", "attributes": {"limit": 7}}\n'
CSV = "id,class,limit\nP4,pump,\n"


@pytest.fixture
def kafka(broker: Broker, prefix: str, tmp_path: Path) -> Kafka:
    (tmp_path / "pump.yaml").write_text(RULES)
    for name, text in (("a.yaml", YAML), ("b.jsonl", JSONL), ("c.csv", CSV)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return site(broker, prefix, tmp_path)


def activated(kafka: Kafka) -> None:
    """Rules, without a worker that would take them."""
    pack = Pack([("pump.yaml", RULES)])
    active = {"pack": pack.name, "by": "ana", "request": "r1"}
    with Producer(kafka.client()) as producer:
        for key, value in ((f"pack/{pack.name}", {"files": pack.files}), ("active", active)):
            producer.send(name_of(kafka.prefix, "rules"), json.dumps(value).encode(),
                          key=key.encode())


def test_assets_are_put_changed_and_removed(kafka: Kafka, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.yaml", "b.jsonl", "c.csv")]
    found = run(tmp_path, "assets", "put", *files)
    assert found.exit_code == 1
    assert "none were ever activated; name them with --rules PATH" in found.stderr
    found = run(tmp_path, "assets", "put", *files, "--rules", tmp_path / "pump.yaml")
    assert (found.exit_code, found.stdout) == (0, "4 new, 0 changed, 0 unchanged\n"), found.stderr
    activated(kafka)
    (tmp_path / "c.csv").write_text("id,class,limit\nP4,pump,8\n")
    found = run(tmp_path, "assets", "put", *files, "--json")
    assert json.loads(found.stdout) == {"new": 0, "changed": 1, "unchanged": 3}
    found = run(tmp_path, "assets", "remove", "P2", "P9", "P2")
    assert (found.exit_code, found.stdout) == (1, "1 removed\n")
    assert found.stderr == "tocsin: not in the inventory: P9\n"
    found = run(tmp_path, "assets", "list")
    assert found.stdout.splitlines() == [
        "P1  pump  limit=9.0  pump.high.for=5 s", "P4  pump  limit=8.0", "泵3  pump  limit=7.0"]
    found = run(tmp_path, "assets", "list", "--json")
    assert json.loads(found.stdout.splitlines()[0]) == {
        "id": "P1", "class": "pump", "attributes": {"limit": 9.0},
        "overrides": {"pump.high.for": "5 s"}}
    records = list(read_all(kafka.client(), name_of(kafka.prefix, "assets")))
    assert [(one.key or b"").decode() for one in records] == ["P1", "P2", "泵3", "P4", "P4", "P2"]
    assert [one.value is None for one in records] == [False] * 5 + [True]
    assert [parse(one.headers).subject for one in records] == ["P1", "P2", "泵3", "P4", "P4", "P2"]


@pytest.mark.parametrize(("name", "text", "said"), [
    ("x.yaml", "- {id: P1, class: pmp}", "unknown class `pmp`; did you mean `pump`?"),
    ("x.yaml", "- {id: P1, class: pump, colour: red}", "unknown key `colour`"),
    ("x.yaml", "- {id: P1, class: pump, attributes: {limt: 1}}", "unknown attribute `limt`"),
    ("x.jsonl", '{"id": "P1", "class": "pump"}\n{"id": "P1", "class": "pump"}\n', "x.jsonl:2:"),
    ("x.jsonl", '{"id": "P1"}\n', "x.jsonl:1:"),
    ("x.jsonl", '{"id": "P\\u0007", "class": "pump"}\n', "none of them a control character"),
    ("x.csv", f"id,class\n{'x' * 129},pump\n", "expected 1 to 128 characters"),
    ("x.csv", "id,class\nP4,pump\n", "P4 is in two files"),
])  # fmt: skip
def test_an_inventory_with_mistakes_is_not_written(
    kafka: Kafka, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    found = run(tmp_path, "assets", "put", tmp_path / name, tmp_path / "c.csv",
                "--rules", tmp_path / "pump.yaml")  # fmt: skip
    assert (found.exit_code, found.stdout) == (1, "")
    assert said in found.stderr
    assert inventory_of(kafka) == {}


def test_what_is_too_large_is_not_sent(kafka: Kafka) -> None:
    large = AssetEntry("P1", "pump", {"x": "y" * (1 << 20)})
    for entry, said in ((large, "P1: found 1,048,6"), (AssetEntry("\n", "pump"), "expected an id")):
        with pytest.raises(ClientError, match=said):
            change_inventory(kafka, [entry])
    assert inventory_of(kafka) == {}


@pytest.mark.parametrize(("key", "value", "said"), [
    ("P1", b'{"id": "P2", "class": "pump"}', "found the asset 'P2' under the key b'P1'"),
    ("P1", b'{"id": "P1", "class": "pump", "x": 1}', "unknown field `x`"),
    ("P1", b"\xff", "not as Tocsin writes it"),
])  # fmt: skip
def test_an_entry_that_is_none_is_told_with_its_place(
    kafka: Kafka, tmp_path: Path, key: str, value: bytes, said: str
) -> None:
    topic = name_of(kafka.prefix, "assets")
    with Producer(kafka.client()) as producer:
        producer.send(topic, value, key=key.encode())
    found = run(tmp_path, "assets", "list")
    assert found.exit_code == 1
    assert said in found.stderr
    assert f"{topic}/0/0: " in found.stderr


def test_a_topic_may_not_fill_the_memory(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    change_inventory(kafka, [AssetEntry(f"P{i}", "pump") for i in range(20)])
    monkeypatch.setattr(site_kafka, "MAX_HELD", 100)
    with pytest.raises(ClientError, match="more than 0 MiB; is that the topic that is meant"):
        inventory_of(kafka)
