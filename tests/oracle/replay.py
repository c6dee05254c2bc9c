"""Runs: a pack, recorded messages and ticks, and the transitions that they have to give."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from rules.model import SEVERITY_NAMES, Asset, AssetClass, Pack
from rules.records import Message, Transition
from tests.oracle import Oracle

Line = dict[str, object]


def shown(transition: Transition) -> Line:
    """A transition as a run writes it."""
    return {
        "t": transition.t,
        "group" if transition.group else "asset": transition.asset,
        "rule": transition.rule,
        "kind": transition.kind,
        "severity": SEVERITY_NAMES[transition.severity],
        "announced": transition.announced,
    }


def place(line: Line) -> tuple[object, ...]:
    """What the lines of a run are sorted by."""
    return (line["t"], line.get("asset", line.get("group")), line["rule"], line["kind"])


def inventory(path: Path, pack: Pack) -> list[Asset]:
    """Assets of a table `id,class,attributes…`, numbers in the attribute's unit."""
    assets = []
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        cls = pack.classes[row["class"]]
        given = {k: v for k, v in row.items() if k not in ("id", "class") and v}
        attributes = {k: attribute(cls, k, v) for k, v in given.items()}
        assets.append(Asset(row["id"], row["class"], attributes))
    return assets


def attribute(cls: AssetClass, name: str, text: str) -> float | str:
    """One cell of the table."""
    declared = cls.attributes[name]
    match declared.kind:
        case "number":
            return float(text)
        case "bool":
            return float(text == "true")
        case "states":
            return float(declared.names[text])
        case _:
            return text


def replay(pack: Pack, run: Path) -> list[Line]:
    """What the oracle makes of a run, `run` being its file of data."""
    lines = [json.loads(line) for line in run.read_text(encoding="utf-8").splitlines()]
    table = run.with_suffix(".inventory.csv")
    assets = inventory(table, pack) if table.exists() else []
    start = min(line["t"] for line in lines if "t" in line)
    oracle = Oracle(pack, inventory=assets, start=start)
    found: list[Transition] = []
    for line in lines:
        if "tick" in line:
            found += oracle.tick(line["tick"])
        else:
            found += oracle.messages([Message(
                line["asset"], line["class"], line["t"], line["values"],
                arrival=line.get("arrival"), historical=line.get("historical", False),
            )])  # fmt: skip
    until = run.with_suffix(".until")
    if until.exists():
        found += oracle.run_until(int(until.read_text(encoding="utf-8")))
    return sorted((shown(transition) for transition in found), key=place)
