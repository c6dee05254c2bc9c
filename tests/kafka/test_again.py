"""Ledgers of a fleet, as those see them who ask what happened and whether it is true."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.kafka import Admin, Producer, Record
from streams.cli import app
from streams.ledger import canonical, link
from streams.messages import alert_headers
from streams.run.again_topics import Player, verify_all
from streams.run.ledgers import Ledgers, check
from tests.kafka.broker import Broker
from tests.kafka.fleet import PUMPS, Fleet, edition

PUMPS_ = [f"P-{i}" for i in range(10)]
RULES = PUMPS.replace("    signals:", "    attributes: {hall: {type: text}}\n    signals:") + """
groups:
- group: hall.high
  title: {zh: 多台压力高, en: Several pumps high}
  by: hall
  over: [pump.high]
  when: assets >= 3
  within: 10 s
  clear_when: assets < 1
  severity: red
"""


@dataclass
class Past:
    """What a worker left: 10 pumps of a hall that were high and are not, two of them twice."""

    fleet: Fleet
    settings: Path

    def alarms(self) -> list[str]:
        """All of them, those of the hall last."""
        found = [one for one in self.fleet.ledger() if one.get("raised_ms")]
        return list(dict.fromkeys(
            one["alarm"] for one in sorted(found, key=lambda one: (bool(one.get("group")),
                                                                   one["t_ms"]))))

    def ask(self, *words: str) -> tuple[int, str, str]:
        found = CliRunner().invoke(app, [*words, "--kafka", str(self.settings)])
        return found.exit_code, found.stdout, found.stderr


def complete(fleet: Fleet) -> bool:
    records = fleet.ledger()
    found = Counter(one.get("kind", one["type"]) for one in records if not one.get("group"))
    return any(one.get("group") for one in records) and found == {
        "activation": 6, "command": 2, "acknowledged": 1, "raised": 12, "cleared": 10}  # fmt: skip


@pytest.fixture(scope="module")
def past(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    folder = tmp_path_factory.mktemp("past")
    settings = folder / "tocsin.yaml"
    with Fleet(broker, "tpast", folder) as fleet:
        kafka = fleet.kafka
        settings.write_text(json.dumps({"kafka": {
            "brokers": list(kafka.brokers), "prefix": kafka.prefix,
            "partitions": kafka.partitions, "replication": 1}}))
        fleet.activate(edition(RULES))
        fleet.send("assets", *((pump, json.dumps({
            "id": pump, "class": "pump", "attributes": {"hall": "A"}, "overrides": {},
        }).encode(), 0) for pump in PUMPS_))
        worker = fleet.start()
        fleet.read(*((pump, 9.0) for pump in PUMPS_))
        fleet.until(lambda: len(fleet.alerts()) > len(PUMPS_))      # and of the hall
        now = int(time.time() * 1000)
        fleet.order("acknowledge", "P-1")
        fleet.order("acknowledge", "P-99")
        fleet.activate(edition(RULES.replace("orange", "red")))
        fleet.read(*((pump, 5.0) for pump in PUMPS_), t=now)
        fleet.read(("P-1", 9.0), ("P-2", 9.0), t=now + 1)
        fleet.until(lambda: complete(fleet))
        fleet.stop(worker)
        yield Past(fleet, settings)


def test_all_is_whole_and_comes_out_again(past: Past) -> None:
    code, said, wrong = past.ask("ledger", "verify", "--json")
    found = json.loads(said)
    assert (code, wrong, found["whole"], found["faults"], found["notes"]) == (0, "", True, [], [])
    assert found["records"] == len(past.fleet.ledger())
    assert [one["owners"] for one in found["partitions"]] == [1, 1]
    head = found["partitions"][1]["head"]
    assert past.ask("ledger", "verify", "--head", head)[0] == 0
    code, said, wrong = past.ask("ledger", "verify", "--partition", "0", "--head", head)
    assert (code, "no record has the hash" in wrong) == (1, True)

    code, said, wrong = past.ask("trace", "--all", "--verify", "--json")
    proof = json.loads(said)
    assert (code, proof["same"], proof["alarms"]) == (
        0, True, len(past.alarms())), said + wrong
    assert proof["compared"] == found["records"]
    one, two = (past.ask("trace", "--all", "--verify", "--sample", "3", "--seed", "4", "--json")
                for _ in "ab")
    assert one == two
    assert json.loads(one[1])["alarms"] == 3


def test_the_story_of_an_alarm(past: Past) -> None:
    code, said, wrong = past.ask("trace", "pump.high@P-1", "--json", "--verify")
    assert (code, wrong) == (0, "")
    story = json.loads(said)
    assert (story["asset"], story["verified"]["same"]) == ("P-1", True)
    assert story["basis"]["matches"]
    [signal] = story["readings"]["signals"]
    assert [x for _, x in signal["points"] if x is not None] == [9.0, 5.0, 9.0]
    first = next(one for one in past.fleet.ledger() if one.get("asset") == "P-1")
    code, said, wrong = past.ask("trace", first["alarm"][:10], "--lang", "zh")
    assert code == 0, wrong
    assert "压力高" in said
    assert "chen" in said
    assert past.ask("trace", "pump.high@P-77")[0] == 1


def test_the_story_of_a_group_knows_of_all_partitions(past: Past) -> None:
    code, said, wrong = past.ask("trace", past.alarms()[12], "--json", "--verify")
    assert (code, wrong) == (0, "")
    story = json.loads(said)
    assert (story["group"], story["verified"]["same"], story["basis"]["matches"]) == (
        True, True, True)
    under = {one["asset"] for one in story["around"]}
    assert under == set(PUMPS_)
    assert {past.fleet.place(pump) for pump in under} == {0, 1}


def test_records_and_figures_of_all_partitions(past: Past, tmp_path: Path) -> None:
    code, said, _ = past.ask("ledger", "show")
    assert (code, len(said.splitlines())) == (0, len(past.fleet.ledger()))
    code, said, _ = past.ask("ledger", "show", "--asset", "P-1", "--json")
    assert {json.loads(line)["asset"] for line in said.splitlines()} == {"P-1"}
    figures = json.loads(past.ask("kpi", "--json")[1])
    assert figures["whole"]["alarms"] == len(past.alarms())
    page = tmp_path / "page.html"
    assert past.ask("trace", "pump.high@P-2", "--html", str(page))[0] == 0
    assert "P-2" in page.read_text(encoding="utf-8")


def test_wrong_words_are_told(past: Past) -> None:
    for words in (["ledger", "verify", "--partition", "7"], ["ledger", "show", "--ledger", "x"],
                  ["trace", "--all"], ["trace", "abcd", "--sample", "3"]):
        assert past.ask(*words)[0] == 2, words
    assert CliRunner().invoke(app, ["ledger", "verify", "--partition", "1"]).exit_code == 2


# Damage ---------------------------------------------------------------------------------------


def ledgers_of(past: Past, **elsewhere: str) -> Ledgers:
    """The deployment, some of whose topics are others."""
    ledgers = Ledgers(past.fleet.kafka)
    ledgers.name = lambda topic: elsewhere.get(topic) or past.fleet.name(topic)  # type: ignore[method-assign] # of a test
    return ledgers


def written(past: Past, prefix: str, ledgers: list[list[Record]]) -> Ledgers:
    """The deployment with other ledgers, one a partition."""
    client, topic = past.fleet.client, f"{prefix}.alerts"
    with Admin(client) as admin:
        admin.create(topic, len(ledgers), 1, {})
    with Producer(client) as producer:
        for partition, ledger in enumerate(ledgers):
            for one in ledger:
                producer.send(
                    topic, one.value, key=one.key, headers=one.headers, partition=partition)
    return ledgers_of(past, alerts=topic)


def ledger(past: Past, partition: int) -> list[Record]:
    return [one for one in past.fleet.records("alerts") if one.partition == partition]


def forged(one: Record, head: bytes = b"", epoch: str = "0", **changes: object) -> Record:
    """A record with other contents, under the hash that belongs to them after `head`."""
    content = json.loads(one.value or b"") | changes
    body = canonical(content)
    headers = alert_headers("/x/worker/0", content, link(head, body), int(epoch))
    return replace(one, value=body, headers=tuple(headers))


def test_what_is_broken_is_told_and_what_does_not_count_is_passed_over(
    past: Past, prefix: str
) -> None:
    fence, one, two, three, four, *rest = every = ledger(past, 1)
    zombie = forged(two)
    stranger = replace(two, headers=(("ce_type", b"x"),), value=b"\xff")
    body = (three.value or b"").replace(b"orange", b"yellow")
    found = check(written(past, prefix, [
        [fence, one, two, zombie, stranger, three, four, *rest, zombie],
        [fence, one, two, replace(three, value=body), four, *rest],
        [fence, one, two, replace(three, value=body[:-9]), four, *rest],
        [fence, one, two, four, *rest],
        [fence, one, two, four, three, *rest],
        [*every, forged(three, epoch="1000")],
        [],
    ]), range(7))
    assert [(at, fault.text) for at, fault in found.faults] == [
        (1, "partition 1: record 3 is not what was written"),
        (2, "partition 2: record 3 is not what was written"),
        (3, "partition 3: record 3 is missing"),
        (4, "partition 4: record 3 is not in its place"),
        (5, f"partition 5: record {len(every)} is not in its place"),
    ]
    assert [(x.passed_over, x.foreign) for x in found.partitions] == [(2, 1), *6 * [(0, 0)]]
    assert found.notes == [
        "partition 0, offset 4: missing: ce_specversion: not a record of Tocsin's; passed over"]
    assert [x.records for x in found.partitions][-2:] == [len(every), 0]


def test_one_who_chains_anew_is_found_by_playing_again(past: Past, prefix: str) -> None:
    ledgers = []
    for partition in (0, 1):
        fence, *rest = ledger(past, partition)
        made, head = [fence], bytes(32)
        for one in rest:
            said = {"text": {"zh": "?", "en": "?"}} if len(made) == 3 else {}
            made.append(forged(one, head, dict(one.headers)["epoch"].decode(), **said))
            head = link(head, made[-1].value or b"")
        ledgers.append(made)
    changed = written(past, prefix, ledgers)
    assert check(changed, [0, 1]).whole
    for proof in verify_all(Player(changed), [0, 1]):
        assert (proof.outcome.compared, proof.outcome.differs) == (2, 3)
        assert proof.outcome.how.startswith("text: the ledger has {'en': '?'")


def test_without_its_inputs_it_tells_what_is_left(past: Past, prefix: str) -> None:
    topic = f"{prefix}.readings"
    with Admin(past.fleet.client) as admin:
        admin.create(topic, past.fleet.kafka.partitions, 1, {})
    [proof] = verify_all(Player(ledgers_of(past, readings=topic)), [0])
    assert (proof.outcome.same, proof.outcome.differs) == (False, None)
    assert proof.outcome.gone.startswith("readings: offsets 0 to ")
