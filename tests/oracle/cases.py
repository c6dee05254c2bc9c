"""A plain reader of the tests that stand beside rules, to put the oracle to them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from rules.model import SEVERITIES, Asset, Pack
from rules.records import Command, Message, Transition
from rules.units import milliseconds, quantity
from tests.oracle import Oracle

KINDS = ("raised", "level", "returned", "cleared", "stale", "fresh", "suppressed", "unsuppressed")
LIFE = frozenset(KINDS[:4])
SERIES = re.compile(
    r"(?P<first>-?[\d.]+)(?: (?P<sign>[+-]) (?P<step>[\d.]+))? x (?P<n>\d+)"
    r" every (?P<every>[\d.]+ \w+)(?: from (?P<start>[\d.]+ \w+))?"
)
Doc = dict[str, Any]


def documents(folder: Path) -> Iterator[Doc]:
    """All documents of a pack."""
    for path in sorted([folder] if folder.is_file() else folder.rglob("*.y*ml")):
        yield YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}


def read_tests(folder: Path) -> list[Doc]:
    """All tests of a pack, or of one file."""
    return [test for document in documents(folder) for test in document.get("tests", [])]


@dataclass
class Stage:
    """A test made ready: assets, messages, commands; ms from `start`."""

    assets: dict[str, Asset]
    messages: dict[tuple[int, str], dict[str, object]]
    orders: list[tuple[int, Command]]
    start: int
    until: int


def asset_of(pack: Pack, name: str, cls: str, doc: Doc) -> Asset:
    """An asset as a test gives it."""
    attributes: dict[str, float | str] = {}
    for key, raw in doc.items():
        if key in ("class", "overrides"):
            continue
        attribute = pack.classes[cls].attributes[key]
        match attribute.kind:
            case "number":
                attributes[key] = quantity(str(raw), attribute.unit)
            case "bool":
                attributes[key] = float(raw)
            case "states":
                code = attribute.names.get(raw)
                attributes[key] = float(raw if code is None else code)
            case _:
                attributes[key] = str(raw)
    return Asset(name, cls, attributes, dict(doc.get("overrides", {})))


def value_of(raw: object) -> object:
    """A value of `given`: `bad` is a bad one."""
    return None if raw == "bad" else raw


def series(text: str) -> Iterator[tuple[int, float]]:
    """(ms, value) of a series."""
    t = Decimal(0)
    for part in text.split(";"):
        found = SERIES.fullmatch(part.strip())
        assert found, part
        value, every = Decimal(found["first"]), Decimal(milliseconds(found["every"]))
        step = Decimal(found["step"] or 0) * (-1 if found["sign"] == "-" else 1)
        t = Decimal(milliseconds(found["start"])) if found["start"] else t
        for _ in range(int(found["n"])):
            yield int(t), float(value)
            t, value = t + every, value + step


def order_of(pack: Pack, doc: Doc, only: str) -> Command:
    """A command of `do`."""
    groups = {group.id for group in pack.groups}
    asset, by = str(doc.get("asset", only)), str(doc.get("by", ""))
    if "set" in doc:
        return Command("set", doc["set"], asset, value=doc["to"], by=by)
    if "step" in doc:
        return Command("step", doc["of"], asset, step=doc["step"], by=by)
    kind = "reset" if "reset" in doc else "acknowledge"
    if doc[kind] in groups:
        return Command("reset", doc[kind], str(doc["group"]), group=True, by=by)
    return Command("reset" if kind == "reset" else "acknowledge", doc[kind], asset, by=by)


def prepare(pack: Pack, test: Doc) -> Stage:
    """Read a test."""
    several = test.get("assets")
    docs: Doc = several or {"asset": test.get("asset") or {}}
    assets = {
        name: asset_of(pack, name, str((doc or {}).get("class", test.get("class"))), doc or {})
        for name, doc in docs.items()
    }
    only = next(iter(assets))
    messages: dict[tuple[int, str], dict[str, object]] = defaultdict(dict)
    times = [0]
    for at, line in (test.get("given") or {}).items():
        t = milliseconds(str(at))
        times.append(t)
        for name, values in (line if several else {only: line}).items():
            messages[t, name] |= {key: value_of(raw) for key, raw in (values or {}).items()}
    for key, text in (test.get("series") or {}).items():
        name, signal = key.split(".") if several else (only, key)
        for t, value in series(text):
            times.append(t)
            messages[t, name][signal] = value
    orders = []
    for at, docs_at in (test.get("do") or {}).items():
        t = milliseconds(str(at))
        times.append(t)
        listed = docs_at if isinstance(docs_at, list) else [docs_at]
        orders += [(t, order_of(pack, doc, only)) for doc in listed]
    times += [milliseconds(str(line["at"])) for line in test.get("expect") or []]
    until = milliseconds(str(test["until"])) if "until" in test else max(times)
    start = 0
    if "start" in test:
        begin = test["start"]
        begin = begin if isinstance(begin, datetime) else datetime.fromisoformat(str(begin))
        start = int(begin.replace(tzinfo=UTC).timestamp() * 1000)
    return Stage(assets, dict(messages), orders, start, until)


def play(pack: Pack, test: Doc) -> list[Transition]:
    """Run a test; times of the outcome are ms from its start."""
    stage = prepare(pack, test)
    oracle = Oracle(pack, inventory=stage.assets.values(), start=stage.start)
    found: list[Transition] = []
    begin = stage.start
    lines: list[tuple[int, int, Message | Command]] = [
        (t, 0, Message(name, stage.assets[name].cls, begin + t, values))
        for (t, name), values in stage.messages.items()
    ]
    lines += [(t, 1, command) for t, command in stage.orders]
    for t, _, line in sorted(lines, key=lambda one: one[:2]):
        if t > stage.until:
            break
        if isinstance(line, Message):
            found += oracle.messages([line])
        else:
            found += oracle.command(line, begin + t)
    found += oracle.run_until(begin + stage.until)
    return [t for t in found if t.t <= begin + stage.until]


def judge(pack: Pack, test: Doc) -> tuple[Counter[object], Counter[object]]:
    """What the test expects that did not come, and what came that it does not expect."""
    start = prepare(pack, test).start
    expect = test.get("expect") or []
    named: dict[str, set[str]] = defaultdict(lambda: set(LIFE))
    for line in expect:
        kind = next(k for k in KINDS if k in line)
        named[line[kind]].add(kind)
    for rule in test.get("never") or []:
        named[rule].add("raised")
    came = [
        t for t in play(pack, test) if t.announced and t.rule in named and t.kind in named[t.rule]
    ]
    missing: Counter[object] = Counter()
    for line in expect:
        kind = next(k for k in KINDS if k in line)
        at = start + milliseconds(str(line["at"]))
        hit = next((t for t in came if fits(t, line, kind, at)), None)
        if hit is None:
            missing[str(line)] += 1
        else:
            came.remove(hit)
    return missing, Counter(f"{t.t - start} {t.asset} {t.rule} {t.kind}" for t in came)


def fits(found: Transition, line: Doc, kind: str, at: int) -> bool:
    """Whether a transition is the one that a line expects."""
    return (
        (found.t, found.rule, found.kind) == (at, line[kind], kind)
        and ("severity" not in line or SEVERITIES[line["severity"]] == found.severity)
        and ("asset" not in line or str(line["asset"]) == found.asset)
        and ("group" not in line or str(line["group"]) == found.asset)
    )
