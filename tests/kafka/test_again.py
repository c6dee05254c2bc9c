"""Ledgers of a fleet, as those see them who ask what happened and whether it is true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app
from tests.kafka.broker import Broker
from tests.kafka.fleet import PUMPS, Fleet, edition

PUMPS_ = [f"P-{i}" for i in range(10)]


@dataclass
class Past:
    """What two workers left: 10 pumps that were high and are not, two of them twice."""

    fleet: Fleet
    settings: Path

    def ask(self, *words: str) -> tuple[int, str, str]:
        found = CliRunner().invoke(app, [*words, "--kafka", str(self.settings)])
        return found.exit_code, found.stdout, found.stderr


@pytest.fixture(scope="module")
def past(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    folder = tmp_path_factory.mktemp("past")
    settings = folder / "tocsin.yaml"
    with Fleet(broker, "tpast", folder) as fleet:
        kafka = fleet.kafka
        settings.write_text(json.dumps({"kafka": {
            "brokers": list(kafka.brokers), "prefix": kafka.prefix,
            "partitions": kafka.partitions, "replication": 1}}))
        fleet.activate(edition(PUMPS))
        worker = fleet.start()
        fleet.read(*((pump, 9.0) for pump in PUMPS_))
        fleet.until(lambda: len(fleet.alerts()) == len(PUMPS_))
        fleet.order("acknowledge", "P-1")
        fleet.order("acknowledge", "P-99")
        fleet.activate(edition(PUMPS.replace("orange", "red")))
        fleet.until(lambda: sum(x["type"] == "activation" for x in fleet.ledger()) == 4)
        fleet.stop(worker)
        worker = fleet.start()
        fleet.read(*((pump, 5.0) for pump in PUMPS_))
        fleet.until(lambda: sum(kind == "cleared" for _, kind in fleet.alerts()) == len(PUMPS_))
        fleet.read(("P-1", 9.0), ("P-2", 9.0))
        fleet.until(lambda: len([1 for _, kind in fleet.alerts() if kind == "raised"])
                    == len(PUMPS_) + 2)
        fleet.stop(worker)
        yield Past(fleet, settings)


def test_all_is_whole_and_comes_out_again(past: Past) -> None:
    code, said, wrong = past.ask("ledger", "verify", "--json")
    found = json.loads(said)
    assert (code, wrong, found["whole"], found["faults"], found["notes"]) == (0, "", True, [], [])
    assert found["records"] == len(past.fleet.ledger())
    assert [one["owners"] for one in found["partitions"]] == [2, 2]
    head = found["partitions"][1]["head"]
    assert past.ask("ledger", "verify", "--head", head)[0] == 0
    code, said, wrong = past.ask("ledger", "verify", "--partition", "0", "--head", head)
    assert (code, "no record has the hash" in wrong) == (1, True)

    code, said, wrong = past.ask("trace", "--all", "--verify", "--json")
    proof = json.loads(said)
    assert (code, proof["same"], proof["alarms"]) == (0, True, 12), said + wrong
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


def test_records_and_figures_of_all_partitions(past: Past, tmp_path: Path) -> None:
    code, said, _ = past.ask("ledger", "show")
    assert (code, len(said.splitlines())) == (0, len(past.fleet.ledger()))
    code, said, _ = past.ask("ledger", "show", "--asset", "P-1", "--json")
    assert {json.loads(line)["asset"] for line in said.splitlines()} == {"P-1"}
    figures = json.loads(past.ask("kpi", "--json")[1])
    assert figures["whole"]["alarms"] == 12
    page = tmp_path / "page.html"
    assert past.ask("trace", "pump.high@P-2", "--html", str(page))[0] == 0
    assert "P-2" in page.read_text(encoding="utf-8")


def test_wrong_words_are_told(past: Past) -> None:
    for words in (["ledger", "verify", "--partition", "7"], ["ledger", "show", "--ledger", "x"],
                  ["trace", "--all"], ["trace", "abcd", "--sample", "3"]):
        assert past.ask(*words)[0] == 2, words
    assert CliRunner().invoke(app, ["ledger", "verify", "--partition", "1"]).exit_code == 2
