"""The slow second implementation against what was worked out by hand."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import pytest

from rules.load import load
from rules.model import Pack
from tests.oracle.cases import Doc, judge, read_tests
from tests.oracle.replay import place, replay

ACCEPTANCE = Path(__file__).parent / "acceptance"


@cache
def pack_of(path: Path) -> Pack:
    loaded = load([path])
    assert loaded.pack is not None, loaded.problems
    return loaded.pack


def cases() -> list[object]:
    paths = [*(ACCEPTANCE / "language").iterdir()]
    if "TOCSIN_PACKS" in os.environ:      # their hours of data take it many minutes: `make soak`
        paths += (ACCEPTANCE / "packs").iterdir()
    return [
        pytest.param(path, test, id=f"{path.stem}: {test['test']}")
        for path in sorted(paths)
        for test in read_tests(path)
    ]


@pytest.mark.parametrize(("path", "test"), cases())
def test_the_oracle_agrees_with_the_tests_beside_the_rules(path: Path, test: Doc) -> None:
    missing, extra = judge(pack_of(path), test)
    assert not missing
    assert not extra


@pytest.mark.parametrize("run", sorted((ACCEPTANCE / "runs").glob("*.expected.jsonl")),
                         ids=lambda path: path.name.split(".")[0])
def test_the_oracle_agrees_with_the_runs(run: Path) -> None:
    name = run.name.split(".")[0]
    data = run.with_name(f"{name}.jsonl")
    expected = [json.loads(line) for line in run.read_text(encoding="utf-8").splitlines()]
    assert replay(pack_of(run.with_name(f"{name}.yaml")), data) == sorted(expected, key=place)
