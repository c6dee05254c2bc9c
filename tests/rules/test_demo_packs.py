"""The demo's packs: no findings, and their tests hold by the slow second implementation."""

from pathlib import Path

import pytest

from rules.lint import lint
from rules.load import load
from tests.oracle.cases import Doc, judge, read_tests

PACKS = Path(__file__).parents[2] / "rules" / "packs"
NAMES = ("reactor", "machine", "lift")


def test_the_demo_packs_together_are_without_problems_and_findings() -> None:
    loaded = load([PACKS / name for name in NAMES])
    assert loaded.pack is not None
    assert not loaded.problems
    tests = " ".join(str(test) for name in NAMES for test in read_tests(PACKS / name))
    ids = [rule.id for rule in loaded.pack.rules if not rule.health]
    ids += [group.id for group in loaded.pack.groups]
    tested = [rule.id for rule in loaded.pack.rules if rule.health]
    tested += [name for name in ids if f"'{name}'" in tests]
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
