"""The demo's packs: nothing to find fault with, and their tests hold by the slow reading of them."""

from pathlib import Path

import pytest

from rules.lint import lint
from rules.load import load
from tests.oracle.cases import Doc, judge, read_tests

PACKS = Path(__file__).parents[2] / "rules" / "packs"
NAMES = ("reactor", "machine", "lift")


@pytest.mark.parametrize("name", NAMES)
def test_a_demo_pack_is_without_problems_and_findings(name: str) -> None:
    loaded = load([PACKS / name])
    assert loaded.pack is not None
    assert not loaded.problems
    named = {id_ for test in read_tests(PACKS / name) for id_ in str(test).replace("'", " ").split()}
    tested = [rule.id for rule in loaded.pack.rules if rule.id in named or rule.health]
    assert not lint(loaded.pack, tested)


@pytest.mark.parametrize(
    ("name", "test"),
    [pytest.param(n, t, id=f"{n}: {t['test']}") for n in NAMES for t in read_tests(PACKS / n)],
)
def test_the_tests_beside_the_rules_hold(name: str, test: Doc) -> None:
    pack = load([PACKS / name]).pack
    assert pack is not None
    missing, extra = judge(pack, test)
    assert not missing
    assert not extra
