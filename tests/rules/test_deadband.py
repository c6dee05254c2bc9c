"""The deadband: which comparisons of a condition it moves, which way, and when it is refused."""

from __future__ import annotations

import pytest

from rules.errors import Problems
from rules.expression import SourceText, condition, condition_with_deadband
from rules.model import Pos
from rules.tree import AttributeRef
from tests.rules.expressions import good, scope, shown, source


@pytest.mark.parametrize(
    ("when", "deadband", "moved"),
    [
        ("x > 100", "5", "gt(x, 95)"),
        ("level > 8 m", "2 % of limit", "gt(level, 7.84)"),
        ("level > 8 m", "5 % of range", "gt(level, 7.5)"),
        ("8 m < level", "1 m", "lt(7, level)"),
        ("x < -4", "10 % of limit", "lt(x, -3.6)"),
        ("not level < 8 m", "1 m", "not(lt(level, 7))"),
        ("hum > 45 %", "2 %", "gt(hum, 43)"),
        ("temp > 80 °C", "3.6 °F", "gt(temp, 78)"),
        ("temp > 80 °C", "1 % of range", "gt(temp, 78)"),
        ("inlet > 0.3 MPa and temp > 80 °C", "1 bar", "and(gt(inlet, 0.2), gt(temp, 80))"),
        ("pressure > mop", "2 % of limit", "gt(pressure, sub(mop, mul(abs(mop), 0.02)))"),
        ("full and pump", "1 m", "and(gt(level, sub(h_max, 1)), pump)"),
        ("1 < x < 5", "0.5", "and(lt(0.5, x), lt(x, 5.5))"),
        ("at_least(1 of x > 1, y <= 3)", "0.5", "at_least(1, gt(x, 0.5), le(y, 3.5))"),
        ("if(x > 9, x > 1, y > 2)", "1", "if(gt(x, 9), gt(x, 0), gt(y, 1))"),
        ("(x > 3) where y > 3", "1", "where(gt(x, 2), gt(y, 3))"),
        ("x > 3 or held(x > 3 for 1 s)", "1", "or(gt(x, 2), held[gt(x, 3), 1000])"),
        ("x == 3 or x != 4 or x > 5", "1", "or(eq(x, 3), or(not(eq(x, 4)), gt(x, 4)))"),
        ("delta(temp over 5 s) > 5 K", "20 % of limit", "gt(delta[temp, 5000], 4)"),
        ("since(pump) > 10 s", "2 s", "span_gt(since[pump], 8000)"),
    ],
)
def test_a_deadband_moves_comparisons_so_that_they_stay_true_longer(
    when: str, deadband: str, moved: str
) -> None:
    problems = Problems()
    found = condition_with_deadband(source(when), source(deadband), scope(), problems)
    assert [str(problem) for problem in problems] == []
    assert found is not None
    assert found[0] == good(when)
    assert found[1] is not None
    assert shown(found[1]) == moved


@pytest.mark.parametrize(
    ("when", "deadband", "word"),
    [
        ("level > 8 m", "2 m of limit", "share"),
        ("held(level > 8 m for 5 s)", "1 m", "deadband"),
        ("pressure > 8 bar", "2 % of range", "deadband"),
        ("pump", "2 %", "deadband"),
        ("temp > 80 °C", "2 % of limit", "temperature"),
        ("level > 8 m", "0.1 bar", "deadband"),
        ("level > 8 m", "-1 m", "negative"),
        ("level > 8 m", "2 % of rnage", "of range"),
        ("hum > 45 %", "2", "deadband"),
        ("level == 8 m", "1 m", "deadband"),
    ],
)
def test_a_deadband_that_cannot_be_is_refused(when: str, deadband: str, word: str) -> None:
    problems = Problems()
    place = SourceText(deadband, Pos("tank.yaml", 25, 13))
    condition_with_deadband(source(when), place, scope(), problems)
    [problem] = problems
    assert problem.at.line == 25
    assert word in str(problem)


def test_a_when_in_which_nothing_can_change_is_refused() -> None:
    problems = Problems()
    assert condition_with_deadband(source("h_max > 8 m"), None, scope(), problems) is None
    [problem] = problems
    assert "no signal" in problem.message
    assert condition(source("indoor"), scope(), Problems()) == AttributeRef("indoor")
