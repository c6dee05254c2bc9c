"""Tocsin's own pack: no problems, no findings; its tests hold by the slow second implementation."""

from functools import cache
from pathlib import Path

import pytest

from rules.lint import lint
from rules.load import load
from rules.model import Pack
from tests.oracle.cases import Doc, judge, read_tests

PACK = Path(__file__).parents[2] / "rules" / "packs" / "tocsin"


@cache
def pack() -> Pack:
    loaded = load([PACK])
    assert not loaded.problems
    assert loaded.pack is not None
    return loaded.pack


def test_the_pack_is_without_findings() -> None:
    assert not lint(pack(), [rule.id for rule in pack().rules])
    assert all(rule.cause.zh and rule.cause.en and rule.action.zh for rule in pack().rules)


@pytest.mark.parametrize("test", read_tests(PACK), ids=lambda test: str(test["test"]))
def test_the_tests_beside_the_rules_hold(test: Doc) -> None:
    missing, extra = judge(pack(), test)
    assert not missing
    assert not extra
