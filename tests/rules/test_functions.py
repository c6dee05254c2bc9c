"""The table of functions is the truth: its examples hold, its forms are told apart."""

from __future__ import annotations

import pytest

from rules.errors import Problems
from rules.expression import Scope, SourceText, condition
from rules.functions import FUNCTIONS, Function
from rules.model import Pos, Signal
from rules.tree import Fn, functions

AT = Pos("table", 1, 1)
SIGNALS = {
    "level": Signal("level", "number", "m"), "pressure": Signal("pressure", "number", "bar"),
    "speed": Signal("speed", "number", "m/s"),
    "acceleration": Signal("acceleration", "number", "m/s²"),
    "height": Signal("height", "number", "mm"), "flow": Signal("flow", "number", "m³/h"),
    "energy": Signal("energy", "number", "kWh"), "index": Signal("index", "number"),
    "pump": Signal("pump", "bool"),
    "code": Signal("code", "events", names={"opened": 1, "closed": 2}),
}  # fmt: skip


def check(text: str) -> tuple[object, list[str]]:
    problems = Problems()
    scope = Scope("tank", SIGNALS, {}, {}, frozenset({"tank.high"}))
    found = condition(SourceText(text, AT), scope, problems)
    return found, [str(problem) for problem in problems]


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda f: f.name)
def test_the_example_of_each_function_is_right(function: Function) -> None:
    assert f"{function.name}(" in function.example
    found, problems = check(function.example)
    assert problems == []
    assert found is not None


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda f: f.name)
def test_what_keeps_state_is_a_function_of_time_in_the_tree(function: Function) -> None:
    found, _ = check(function.example)
    names = {fn.name.removesuffix("_above") for fn in functions(found)}  # type: ignore[arg-type]
    windowed = function.name in ("min", "max")      # their examples are windows
    assert (function.name in names) == (function.stateful or windowed)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda f: f.name)
def test_a_call_of_no_form_says_which_forms_there_are(function: Function) -> None:
    _, problems = check(f"{function.name}(1 by 2 by 3 by 4)")
    assert len(problems) == 1
    assert problems[0].startswith(f"table:1:1: expected {function.name}(")


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda f: f.name)
def test_each_form_has_a_role_for_each_argument(function: Function) -> None:
    assert function.zh
    assert function.en
    for form in function.forms:
        assert len(form.pattern) == len(form.roles)


def test_windows_have_their_form_and_durations() -> None:
    over, _ = check("mean(level over 10 s ending 5 s ago) > 1 m")
    since, _ = check("count(level since pump) > 1")
    held, _ = check("held(pump for 5 s)")
    [a], [b], [c] = functions(over), functions(since), functions(held)  # type: ignore[arg-type]
    assert [d.value for d in a.durations] == [10_000.0, 5_000.0]  # type: ignore[union-attr]
    assert (a.form, b.form, c.form) == ("over", "since", "plain")
    assert b.durations == ()
    assert isinstance(c, Fn)
    assert b.samples == {"level"}
    assert c.samples == {"pump"}
