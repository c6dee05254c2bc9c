"""The AsyncAPI document is whole, up to date, and true of what a worker sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kafka.partitioner.default import murmur2

from rules.model import Asset
from rules.records import Command
from streams.asyncapi import document, text_of
from streams.asyncapi_examples import ASSET, PARTITION, PARTITIONS, TEXTS, ZONE
from streams.cli_topics import app
from streams.duty import Edition
from streams.messages import parse
from streams.partition import Partition, Place
from streams.partition_parts import Cutter
from streams.run.active import Editions
from streams.run.held import GRAVE_MS, Held, Names, Waiting, owner
from streams.run.outgoing import Outgoing
from streams.run.snapshots import Found, Shelf
from streams.run.topic_bodies import PACK
from streams.share import Share
from streams.topics import TOPICS, name_of
from tests.streams.contract_kit import strictly
from tests.test_house import ROOT

WRITTEN = ROOT / "deploy" / "asyncapi.yaml"
ABOUT = ("asyncapi", "info", "defaultContentType", "channels", "operations", "components")


@cache
def made() -> dict[str, Any]:
    return document()


def at(reference: str) -> dict[str, Any]:
    found = made()
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (x for key, x in part.items() if key == "$ref")
        for one in part.values():
            yield from references(one)
    elif isinstance(part, list):
        for one in part:
            yield from references(one)


def test_it_is_written_down() -> None:
    assert WRITTEN.read_text(encoding="utf-8") == text_of(made()), "run tocsin topics contract"
    assert yaml.safe_load(WRITTEN.read_text(encoding="utf-8")) == json.loads(json.dumps(made()))


def test_it_is_whole() -> None:
    assert (tuple(made()), made()["asyncapi"]) == (ABOUT, "3.0.0")
    found = set(references(made()))
    assert all(at(one) for one in found)
    parts = {f"#/components/{section}/{name}" for section, named in made()["components"].items()
             for name in named}  # fmt: skip
    assert parts <= found, "what nobody refers to"


def test_it_has_all_topics() -> None:
    assert tuple(made()["channels"]) == tuple(made()["operations"]) == tuple(TOPICS)
    for name, channel in made()["channels"].items():
        assert channel["address"].replace("{prefix}", "north") == name_of("north", name)
        operation = made()["operations"][name]
        assert operation["channel"] == {"$ref": f"#/channels/{name}"}
        assert [one["$ref"] for one in operation["messages"]] == [
            f"#/channels/{name}/messages/{message}" for message in channel["messages"]]
        config = TOPICS[name].config(3)
        binding = channel["bindings"]["kafka"]["topicConfiguration"]
        assert {key: str(x[0] if isinstance(x, list) else x) for key, x in binding.items()} == {
            key: config[key] for key in binding}


def test_the_example_of_rules_can_be_used() -> None:
    messages = made()["components"]["messages"]
    pack, active = (messages[name]["examples"][0] for name in ("pack", "active"))
    editions = Editions()
    key = PACK + active["payload"]["pack"].encode()
    editions.take(key, json.dumps(pack["payload"]).encode())
    assert editions[active["payload"]["pack"]].texts == TEXTS
    for shown in messages["activation"]["examples"]:
        assert shown["payload"]["pack"] in editions


def test_examples_have_their_headers_and_their_key() -> None:
    assert murmur2(ASSET.encode()) % (1 << 31) % PARTITIONS == PARTITION
    internal = {"snapshot", "feed"}
    for name, message in made()["components"]["messages"].items():
        assert ("examples" in message) == (name not in internal)
        for one in message.get("examples", ()):
            said = one.get("headers", {})
            if "headers" in message:
                assert list(strictly(message["headers"]).iter_errors(said)) == []
                found = parse([(key, text.encode()) for key, text in said.items()])
                assert f"tocsin.{found.kind}" in message["headers"]["properties"]["ce_type"]["enum"]
            if "payload" in message:
                assert list(strictly(message["payload"]).iter_errors(one["payload"])) == []


# A worker -------------------------------------------------------------------------------------


class Sent:
    """A sender whose messages are safe at once; `all` of them by topic."""

    def __init__(self) -> None:
        self.all: dict[str, list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]] = {}

    async def post(self, topic: str, at: int, key: bytes | None, value: bytes | None,
                   headers: Iterable[tuple[str, bytes]]) -> asyncio.Future[object]:  # fmt: skip
        del at
        sent = self.all.setdefault(topic.removeprefix("t."), [])
        sent.append((key, value, list(headers)))
        future = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(offset=len(sent) - 1, timestamp=0))
        return future


async def worked() -> Sent:
    """What a worker sends while a lift runs too fast, and much else comes in."""
    sent, edition = Sent(), Edition.of(TEXTS)
    share = Share(edition.pack, ZONE, [Asset(ASSET, "lift", {"place": "Tower A"})], start=0)
    partition = Partition(edition, Place(0, 1, lambda _: 0), ZONE, 0, share)
    out = Outgoing(sent, lambda: True, lambda _: None)
    held = Held(partition, Names("t"), out, 3, Shelf("t.snapshots", 0, 3, Found()),
                Cutter(partition), 0)  # fmt: skip
    for one in held.pace.inputs.values():
        one.stamp = 1_000       # all that was sent by then has come in
    body, headers = owner(3, 0, 0, held.source)
    await out.put("t.alerts", 0, None, body, headers)
    await held.perform(partition.opened("ana", "r0"))

    def record(offset: int, t: int, value: bytes) -> SimpleNamespace:
        return SimpleNamespace(offset=offset, timestamp=t, value=value, key=b"k\xff")

    fast = b'{"asset": "L1", "t": %d, "values": {"speed": %.1f}}'
    await held.read([record(0, 1_000, fast % (1_000, 2.5)), record(1, 1_001, b"\xff\x00")])
    for n, kind in enumerate(("comment", "shelve", "acknowledge"), 1):
        more = {"duration": 5_000} if kind == "shelve" else {}
        order = Command(kind, "lift.overspeed", ASSET, by="ana", reason="seen", request=f"r{n}",
                        **more)  # type: ignore[arg-type]
        await held.orders([Waiting(1_000, n, order)], [record(n - 1, 1_000, b"{}")], [])
        await held.tick(n * 20_000)
    await held.tick(70_000)
    await held.read([record(2, 70_000, fast % (2_000, 2.5))])       # late
    await held.read([record(3, 80_000, fast % (80_000, 1.0))])
    await held.tick(200_000)        # its end is shown from here on …
    await held.tick(200_000 + GRAVE_MS)     # … until here
    await out.settled()
    await held.release()        # what goes only once the ledger is safe
    await out.settled()
    return sent


def test_what_a_worker_sends_is_as_the_document_says() -> None:
    sent = asyncio.run(worked()).all
    assert set(sent) == {"alerts", "alarms", "refused"}
    types = set()
    for topic, messages in sent.items():
        known = made()["channels"][topic]["messages"]
        named = {name: at(one["$ref"]) for name, one in known.items()}
        for key, value, headers in messages:
            said = {name: text.decode("utf-8", "backslashreplace") for name, text in headers}
            [message] = [
                one for name, one in named.items()
                if (said.get("ce_type") in one.get("headers", {}).get("properties", {})
                    .get("ce_type", {}).get("enum", ())) or (value is None and name == "tombstone")
            ]  # fmt: skip
            types.add(said.get("ce_type", ""))
            if value is None:
                continue
            assert list(strictly(message["headers"]).iter_errors(said)) == []
            about = message["bindings"]["kafka"]["key"]
            assert strictly(about).is_valid(key if key is None else key.decode())
            if "payload" in message:
                assert list(strictly(message["payload"]).iter_errors(json.loads(value))) == []
    assert types >= {"", "tocsin.owner", "tocsin.activation", "tocsin.command", "tocsin.alarm",
                     "tocsin.tick", "tocsin.alert.raised", "tocsin.refused"}  # fmt: skip
    names = [key for key, _, _ in sent["refused"]]
    assert names == [b"t.readings/0/1"]


# The command ----------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            app(["contract", *map(str, words)], prog_name="tocsin")
        printed = capsys.readouterr()
        assert printed.out == ""
        return int(ended.value.code or 0), printed.err

    return call


def test_the_command_writes_and_checks(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "asyncapi.yaml"
    code, err = run(path, "--check")
    assert (code, err) == (1, f"tocsin: {path}: No such file or directory\n")
    assert run(path) == (0, "")
    assert path.read_bytes() == WRITTEN.read_bytes()
    assert run(path, "--check") == (0, "")
    path.write_text(path.read_text(encoding="utf-8").replace("3.0.0", "2.6.0"), encoding="utf-8")
    code, err = run(path, "--check")
    assert code == 1
    assert f"{path}:2: found `asyncapi: 2.6.0`, expected `asyncapi: 3.0.0`" in err
    path.write_bytes(b"\xff")
    assert run(path, "--check") == (1, f"tocsin: {path}: not text in UTF-8\n")
