"""Replays: the shared runs line by line, commands, refused lines, when time begins and ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rules.load import load, load_texts
from rules.load_assets import read_inventory
from rules.model import SEVERITY_NAMES, Pack
from rules.records import Transition
from streams.run.replay import BATCH, DataError, Replay, replay

RUNS = Path(__file__).parent.parent / "acceptance" / "runs"

RULES = """
classes:
  c:
    signals:
      p: {type: bool}
      x: {range: [0, 100]}
      hand: {type: bool, default: false, set_by: operator}
    attributes: {site: {type: text}}
rules:
- {rule: c.p, class: c, severity: yellow, when: p, for: 10 s, latch: true}
- {rule: c.high, class: c, severity: red, when: x > 50}
- {rule: c.hand, class: c, severity: blue, when: hand}
- {rule: c.quiet, class: c, severity: blue, when: silent(30 s)}
groups:
- {group: c.many, by: asset, over: [c.high], when: active >= 1, severity: orange, latch: true}
"""


def pack() -> Pack:
    made = load_texts([("rules.yaml", RULES.encode())]).pack
    assert made is not None
    return made


def run(tmp_path: Path, *lines: object, until: int | None = None) -> Replay:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(texts), encoding="utf-8")
    return replay(pack(), data, until=until)


def told(outcome: Replay, *but: str) -> list[tuple[int, str, str, str]]:
    return [(x.t, x.asset, x.rule, x.kind) for x in outcome.transitions if x.rule not in but]


def message(t: int, asset: str = "A", **values: object) -> dict[str, object]:
    return {"asset": asset, "class": "c", "t": t, "values": values}


def plain(one: Transition) -> dict[str, object]:
    return {
        "t": one.t, "group" if one.group else "asset": one.asset, "rule": one.rule,
        "kind": one.kind, "severity": SEVERITY_NAMES[one.severity], "announced": one.announced,
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.stem for path in RUNS.glob("*.yaml")))
def test_each_shared_run_comes_out_as_expected(name: str) -> None:
    loaded = load([RUNS / f"{name}.yaml"]).pack
    assert loaded is not None
    inventory, until = RUNS / f"{name}.inventory.csv", RUNS / f"{name}.until"
    assets, problems = read_inventory(inventory, loaded) if inventory.exists() else ((), ())
    assert problems == ()
    end = int(until.read_text()) if until.exists() else None
    outcome = replay(loaded, RUNS / f"{name}.jsonl", inventory=assets, until=end)
    expected = (RUNS / f"{name}.expected.jsonl").read_text().splitlines()
    assert [plain(one) for one in outcome.transitions] == [json.loads(line) for line in expected]


def test_a_command_comes_after_the_instants_before_it_of_its_asset(tmp_path: Path) -> None:
    reset = {"command": {"reset": "c.p", "asset": "A", "by": "ana"}, "t": 25_000}
    outcome = run(tmp_path, message(0, p=True), message(20_000, p=False), reset)
    assert told(outcome) == [
        (10_000, "A", "c.p", "raised"),
        (20_000, "A", "c.p", "returned"),
        (25_000, "A", "c.p", "cleared"),
    ]


def test_a_command_needs_no_asset_while_there_is_one_only(tmp_path: Path) -> None:
    enter = {"command": {"set": "hand", "to": True}, "t": 5_000}
    assert told(run(tmp_path, message(0, p=False), enter)) == [(5_000, "A", "c.hand", "raised")]
    outcome = run(tmp_path, message(0, p=False), message(0, "B", p=False), enter)
    assert told(outcome) == []
    assert outcome.refused == [(3, "the command needs `asset`")]


def test_a_refused_command_is_told_with_its_line(tmp_path: Path) -> None:
    outcome = run(tmp_path, message(0, p=True), {"command": {"reset": "c.p"}, "t": 15_000})
    assert outcome.reasons == {"refused_command": 1}
    assert outcome.refused[0][0] == 2
    assert told(outcome) == [(10_000, "A", "c.p", "raised")]


def test_a_command_to_a_group_waits_for_its_time(tmp_path: Path) -> None:
    reset = {"command": {"reset": "c.many", "group": "A", "by": "ana"}, "t": 3_000}
    late = {"command": {"reset": "c.many", "group": "A", "by": "ana"}, "t": 1_000}
    outcome = run(tmp_path, message(0, x=60), late, message(2_000, x=6), reset)
    assert told(outcome, "c.high") == [
        (0, "A", "c.many", "raised"),
        (2_000, "A", "c.many", "returned"),
        (3_000, "A", "c.many", "cleared"),
    ]
    assert [line for line, _ in outcome.refused] == [2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not_json"),
        ('{"asset": "A", "class": "none", "t": 1, "values": {}}', "unknown_class"),
        ('{"asset": "A", "class": "c", "t": 1, "values": {"y": 1}}', "unknown_signal"),
        ('{"asset": "A", "class": "c", "values": {"p": true}}', "missing_key"),
        ('{"tick": "soon"}', "bad_command"),
        ('{"command": {"reset": "c.p"}}', "bad_command"),
        ('{"command": {"explode": "c.p"}, "t": 5}', "bad_command"),
        ('{"command": {"step": "go", "asset": "A"}, "t": 5}', "bad_command"),
        ('{"command": {"set": "hand", "asset": "A"}, "t": 5}', "bad_command"),
        ('{"command": 7, "t": 5}', "unknown_key"),
    ],
)
def test_a_line_that_cannot_be_used_is_counted_and_stops_nothing(
    tmp_path: Path, line: str, reason: str
) -> None:
    outcome = run(tmp_path, message(0, p=True), "", line, message(15_000, p=True))
    assert outcome.reasons == {reason: 1}
    assert [number for number, _ in outcome.refused] == [3]
    assert told(outcome) == [(10_000, "A", "c.p", "raised")]


def test_line_numbers_hold_across_batches(tmp_path: Path) -> None:
    lines = [message(t, p=False) for t in range(BATCH + 10)]
    outcome = run(tmp_path, *lines, "{", {"tick": BATCH}, "[")
    assert [number for number, _ in outcome.refused] == [BATCH + 11, BATCH + 13]
    assert outcome.lines == BATCH + 13


def test_bytes_that_are_no_text_are_refused_line_by_line(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    good = json.dumps(message(0, x=60)).encode()
    data.write_bytes(b"\xef\xbb\xbf" + good + b"\r\n\xff\xfe{}\r\n\r\n")
    outcome = replay(pack(), data)
    assert told(outcome, "c.many") == [(0, "A", "c.high", "raised")]
    assert outcome.reasons == {"bad_utf8": 1}


def test_a_line_beyond_all_bounds_is_refused_and_the_next_is_read(tmp_path: Path) -> None:
    outcome = run(tmp_path, '{"asset": "' + "A" * 3_000_000, message(0, x=60))
    assert outcome.reasons == {"too_large": 1}
    assert len(told(outcome, "c.many")) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "no lines"), (b"\n \n", "no lines"), (b"PK\x03\x04\xff\n", "none of its lines")],
)
def test_data_without_a_usable_line_is_an_error(tmp_path: Path, content: bytes, words: str) -> None:
    data = tmp_path / "data.jsonl"
    data.write_bytes(content)
    with pytest.raises(DataError, match=words):
        replay(pack(), data)


def test_missing_data_and_folders_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(DataError, match=str(path)):
            replay(pack(), path)


def test_until_runs_its_own_instant(tmp_path: Path) -> None:
    lines = [message(0, p=True)]
    assert told(run(tmp_path, *lines, until=9_999)) == []
    assert told(run(tmp_path, *lines, until=10_000)) == [(10_000, "A", "c.p", "raised")]


def test_without_until_the_last_time_of_the_data_is_the_end(tmp_path: Path) -> None:
    assert len(told(run(tmp_path, message(0, p=True), message(10_000, "B", p=False)))) == 1
    assert len(told(run(tmp_path, message(0, p=True), {"tick": 10_000}))) == 1
    assert told(run(tmp_path, message(0, p=True), message(9_999, "B", p=False))) == []


def test_a_wrong_clock_does_not_move_the_end(tmp_path: Path) -> None:
    wrong = {**message(10**12, p=True), "arrival": 1_000}
    outcome = run(tmp_path, message(0, p=True), wrong)
    assert told(outcome) == []
    assert outcome.reasons == {"future": 1}


def test_an_asset_of_the_inventory_starts_at_the_smallest_time(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.csv"
    inventory.write_text("id,class\nZ,c\n", encoding="utf-8")
    data = tmp_path / "data.jsonl"
    lines = [message(8_000, p=False), message(5_000, "B", p=False)]
    data.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assets, _ = read_inventory(inventory, pack())
    outcome = replay(pack(), data, inventory=assets, until=36_000)
    assert (35_000, "Z", "c.quiet", "raised") in told(outcome)
