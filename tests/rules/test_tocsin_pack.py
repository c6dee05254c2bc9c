"""Tocsin's own pack: no problems, no findings; its tests hold by the slow second implementation."""

from pathlib import Path

import pytest

from rules.lint import lint
from rules.load import load
from tests.oracle.cases import Doc, judge, read_tests

PACK = Path(__file__).parents[2] / "rules" / "packs" / "tocsin"


def test_the_pack_is_without_problems_and_findings() -> None:
    loaded = load([PACK])
    assert loaded.pack is not None
    assert not loaded.problems
    assert not lint(loaded.pack, [rule.id for rule in loaded.pack.rules])
    assert all(rule.cause.zh and rule.cause.en and rule.action.zh for rule in loaded.pack.rules)


@pytest.mark.parametrize("test", read_tests(PACK), ids=lambda test: str(test["test"]))
def test_the_tests_beside_the_rules_hold(test: Doc) -> None:
    pack = load([PACK]).pack
    assert pack is not None
    missing, extra = judge(pack, test)
    assert not missing
    assert not extra
