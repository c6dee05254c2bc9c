"""The language, statement by statement, on the engine that runs live: tests beside rules that have
to pass, tests that have to fail, and runs with their outcome."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from rules.cases import Case, run_case
from rules.load import Loaded, load
from rules.load_assets import read_inventory
from rules.records import Command, Message, Transition
from streams.plant import Programs
from streams.run.replay import replay
from streams.site import Site

ACCEPTANCE = Path(__file__).parent / "acceptance"
PACKS = sorted([*(ACCEPTANCE / "language").iterdir(), *(ACCEPTANCE / "packs").iterdir()])
RUNS = sorted((ACCEPTANCE / "runs").glob("*.yaml"))


class Runner:
    """A site as the runner of tests wants it."""

    def __init__(self, site: Site) -> None:
        self.messages: Callable[[list[Message]], list[Transition]] = site.messages
        self.run_until = site.run_until
        self.site = site

    def command(self, command: Command, t: int) -> list[Transition]:
        return self.site.command(command, t)[1]


@cache
def loaded(path: Path) -> Loaded:
    return load([path])


@cache
def programs(path: Path) -> Programs:
    pack = loaded(path).pack
    assert pack is not None, loaded(path).problems
    return Programs(pack)


def verdict(path: Path, case: Case) -> str:
    """What is wrong with the outcome of a test beside rules; nothing if it passes."""
    made = programs(path)
    outcome = run_case(
        case, lambda one: Runner(Site(made.pack, "UTC", one.assets, one.start, made))
    )
    return "" if outcome.passed else f"{outcome.text} "


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_beside_the_rules(path: Path) -> None:
    cases = loaded(path).cases
    failed = [f"{case.name}\n{text}" for case in cases if (text := verdict(path, case))]
    assert cases
    assert not failed, "\n".join(failed)


MUST_FAIL = ACCEPTANCE / "must_fail" / "runner.yaml"


@pytest.mark.parametrize("case", loaded(MUST_FAIL).cases, ids=lambda case: case.name)
def test_the_runner_notices(case: Case) -> None:
    assert verdict(MUST_FAIL, case)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_runs(path: Path) -> None:
    pack = loaded(path).pack
    assert pack is not None
    listed, until = path.with_suffix(".inventory.csv"), path.with_suffix(".until")
    assets, problems = read_inventory(listed, pack) if listed.exists() else ((), ())
    assert not problems
    end = int(until.read_text(encoding="utf-8")) if until.exists() else None
    found = replay(pack, path.with_suffix(".jsonl"), inventory=assets, until=end).transitions
    names = {1: "blue", 2: "yellow", 3: "orange", 4: "red"}
    lines = [
        {"t": one.t, "group" if one.group else "asset": one.asset, "rule": one.rule,
         "kind": one.kind, "severity": names[one.severity], "announced": one.announced}
        for one in found
    ]  # fmt: skip
    expected = path.with_suffix(".expected.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines == [json.loads(line) for line in expected]
