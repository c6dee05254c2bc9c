"""Expressions: what they become, where a mistake is reported, what a deadband moves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.errors import Problems
from rules.expression import (
    SourceText,
    Typed,
    active_calls,
    condition,
    duration,
    number,
    value,
)
from rules.model import Pos
from rules.tree import (
    EventRef,
    Expr,
    Op,
    TextIn,
    functions,
    walk,
)
from tests.rules.expressions import bad, good, scope, shown, source


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("not pump and on or x > 5", "or(and(not(pump), on), gt(x, 5))"),
        ("2 + x * 3 - y / 4 > 10", "gt(sub(add(2, mul(x, 3)), div(y, 4)), 10)"),
        ("-x > -3", "gt(neg(x), -3)"),
        ("1 < x <= 5", "and(lt(1, x), le(x, 5))"),
        ("x in (1, 2.5)", "or(eq(x, 1), eq(x, 2.5))"),
        ("x != 5", "not(eq(x, 5))"),
        ("mode == over", "eq(mode, 3)"),
        ("on == mode", "eq(1, mode)"),
        ("mode not in (off, on)", "not(or(eq(mode, 0), eq(mode, 1)))"),
        ("prev(mode) == yes", "eq(prev[mode], 2)"),
        ("mount != flexible", "not(eq(mount, 1))"),
        ("pump == on", "eq(pump, on)"),
        ("(x where pump) > 5", "gt(where(x, pump), 5)"),
        ("mean(x - y where pump over 10 s) > 1", "gt(mean[where(sub(x, y), pump), 10000, 0], 1)"),
        ("cusum(x where pump, 1, 2, 3 since on) > 3",
         "gt(cusum[where(x, pump), 1, 2, 3, on], 3)"),
        ("cusum_low(x, 1, 2) > 3", "gt(cusum_low[x, 1, 2, inf, 0], 3)"),
        ("since(pump) > wait / 2", "span_gt(since[pump], round_ms(mul(div(wait, 2), 1000)))"),
        ("5 s < age(code)", "span_gt(age[code], 5000)"),
        ("quiet < 1 min", "span_lt(since[pump], 60000)"),
        ("time_to(level > 8 m over 10 s) < 20 s", "lt(time_to_above[level, 8, 10000], 20000)"),
        ("time_to(8 m > level over 10 s) < 20 s", "lt(time_to_below[level, 8, 10000], 20000)"),
        ("lag(pump to on) < 0", "lt(mul(lag[pump, on], 0.001), 0)"),
        ("at_least(2 of pump, on, full)", "at_least(2, pump, on, gt(level, h_max))"),
        ("if(pump, x > 1, y > 1)", "if(pump, gt(x, 1), gt(y, 1))"),
        ("max(x, y) - min(x, y) > 3", "gt(sub(max(x, y), min(x, y)), 3)"),
        ("pump == true", "eq(pump, 1)"),
        ("false", "0"),
    ],
)
def test_what_an_expression_becomes(text: str, tree: str) -> None:
    assert shown(good(text)) == tree


def test_events_and_texts_have_nodes_of_their_own() -> None:
    assert good("code in (opened, closed)") == EventRef("code", frozenset({1, 2}))
    assert good('area in ("a", "b")') == TextIn("area", ("a", "b"))
    assert good('area != "a"') == Op("not", (TextIn("area", ("a",)),))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("inlet > 8.5 bar", "gt(inlet, 0.85)"),
        ("inlet > 1.1 * mop", "gt(inlet, mul(mul(1.1, mop), 0.1))"),
        ("inlet - pressure > 0.5 bar", "gt(sub(inlet, mul(pressure, 0.1)), 0.05)"),
        ("x > 5 %", "gt(x, 0.05)"),
        ("hum > 45 %", "gt(hum, 45)"),
        ("flow > 5 % * flow", "gt(flow, mul(0.05, flow))"),
        ("hum > max(110 %, 1 + level / h_max)",
         "gt(hum, max(110, mul(add(1, div(level, h_max)), 100)))"),
        ("flow > 10 L/s", "gt(flow, 36)"),
        ("total(flow over 10 s) > 50 L", "gt(total[flow, 10000, 0], 180)"),
        ("rate(x over 10 s) > 120 1/min", "gt(rate[x, 10000, 0], 2)"),
        ("temp > 353.15 K", "gt(temp, 80)"),
        ("kelvin >= 0 °C", "ge(kelvin, 273.15)"),
        ("temp > t_max - 5 K", "gt(temp, sub(t_max, 5))"),
        ("temp - kelvin > 5 K", "gt(sub(temp, add(kelvin, -273.15)), 5)"),
        ("delta(temp over 10 s) > dt", "gt(delta[temp, 10000], dt)"),
        ("temp > dt", "gt(temp, add(dt, -273.15))"),
        ("max(temp, kelvin) > 350 K", "gt(max(temp, add(kelvin, -273.15)), 76.85)"),
        ("abs(temp - 20 °C) > 3 K", "gt(abs(sub(temp, 20)), 3)"),
        ("delta(temp over 1 s) < 0", "lt(delta[temp, 1000], 0)"),
        ("rot > 25 rev/s", "gt(rot, 1500)"),
    ],
)
def test_units_are_converted_into_those_of_the_left_side(text: str, tree: str) -> None:
    assert shown(good(text)) == tree


@pytest.mark.parametrize(
    ("text", "column", "word"),
    [
        ("pump and mount == 1", 19, "compare"),
        ("level > 8 m && pump", 13, "unexpected character"),
        ("pump and active(tank.low)", 17, "unknown rule"),
        ("pump + 1 > 3", 1, "number"),
        ("cusum(level, 8 m, 1 m, 9 bar) > 3 m", 24, "unit"),
        ("level > 8 m and", 16, "expected a value"),
        ("mean(level over 5 s ending 5 m ago) > 8 m", 28, "duration"),
        ("ewma(level over 5 s ending 5 s ago) > 1 m", 1, "expected ewma(x over W)"),
        ("lag(level to pump) > 3 s", 5, "condition"),
        ("lag(pump to full) > 3", 21, "unit"),
        ("latched(pump to full)", 1, "expected latched(a until b)"),
        ("temp + temp > 90 °C", 8, "level"),
        ("2 * temp > 90 °C", 5, "level"),
        ("temp > 0", 8, "unit missing"),
        ("log(level) > 1", 5, "plain number"),
        ("level", 1, "condition"),
        ("at(level, pump) > 8 m", 1, "expected at(x when c)"),
        ("at_least(2, pump, full)", 1, "expected at_least(n of c, …)"),
        ("not_followed(pump, full, 10 s)", 1, "expected not_followed(a by b within D)"),
        ("time_to(level, 8 m, 10 s) < 5 s", 1, "expected time_to(x > limit over W)"),
        ("rate(level over 1 min) / level > 5", 34, "unit"),
        ("hum + 5 > 45 %", 7, "unit missing"),
        ("since(pump)", 1, "time span"),
        ("since(pump) == 10 s", 13, "time span"),
        ("since(pump) > 10", 15, "duration"),
        ("since(pump) > since(code == opened)", 15, "time span"),
        ("sqrt(level) > 1 m", 6, "sqrt"),
        ("mode > off", 6, "compared with =="),
        ("mode == 1", 9, "compare"),
        ("std(level since pump) > 1 m", 1, "expected std(x over W)"),
        ('pump and area < "b"', 15, "compared with =="),
        ("pump and area == 3", 18, "compare"),
        ("time_to(level over 5 s) < 3 s", 9, "expected a comparison"),
        ("abs(level, 3 m) > 8 m", 1, "expected abs(x)"),
        ("total(level over 5 s) > 8 m", 25, "unit"),
        ("level > 8 m pump", 13, "unexpected"),
        ("level > 8 bar", 9, "unit"),
        ("level > 8", 9, "unit"),
        ("if(pump, level, pressure) > 8 m", 17, "unit"),
        ("8 bar < level", 1, "unit"),
        ("level * level > 8 m", 17, "unit"),
        ("pressure + temp > 8 bar", 12, "unit"),
        ("code == leaking", 9, "unknown state"),
        ("average(level over 5 s) > 8 m", 1, "unknown function `average`; did you mean `mean`?"),
        ("levl > 8 m", 1, "unknown name `levl`; did you mean `level`?"),
        ("mode == running", 9, "unknown state"),
        ("level > 8 meters", 11, "unknown unit `meters`; did you mean m?"),
        ("at_least(4 of pump, full, level > 8 m)", 10, "can never"),
        ("mean(level where h_max over 5 s) > 8 m", 18, "condition"),
        ("mean(level over 5 s * level / 1 m) > 8 m", 23, "literal or an attribute"),
        ("mean(level over 0 s) > 8 m", 17, "window"),
        ("mean(level over 32 d) > 8 m", 17, "31 d"),
        ("held(level > 8 m over 5 s)", 1, "expected held(c for D)"),
        ("held(pump for -3 s)", 15, "negative"),
        ("rot > 25 Hz", 7, "unit"),
        ("hum > if(pump, 45, 40)", 7, "unit missing"),
        ("temp > delta(temp over 5 s)", 8, "difference"),
        ("temp - 20 °C > 60 K", 16, "cannot tell"),
        ("sum(temp over 5 s) > 3 °C", 5, "level"),
        ("mean(pump over 5 s) > 1", 6, "if(c, 1, 0)"),
        ("mount == 'rigid'", 10, "one of its names"),
        ("pump > on", 6, "compared with =="),
        ("level > 5 m / s", 15, "5 m/s"),
        ("x ≥ 3", 3, ">="),
        ("1e999 > x", 1, "too large"),
        ("1e300 * 1e300 > x", 1, "too large"),
        ("", 1, "expected a value"),
        ("(x > 3", 7, "expected `)`"),
        ("and", 1, "expected a value"),
        ("pump and not", 13, "expected a value"),
        ("code", 1, "== opened"),
    ],
)
def test_a_mistake_is_named_at_its_column_with_the_likely_fix(
    text: str, column: int, word: str
) -> None:
    found = bad(text)
    assert found.startswith(f"tank.yaml:23:{8 + column}: ")
    assert word in found


def test_a_text_over_several_lines_has_a_place_for_each_character() -> None:
    places = tuple(Pos("t", 7 + i // 6, 5 + i % 6) for i in range(10))
    problems = Problems()
    text = SourceText("x > 5\nor z", places[0], places)
    assert condition(text, scope(), problems) is None
    [problem] = problems
    assert problem.at == places[9]
    assert text.pos(10) == Pos("t", 8, 9)


def test_an_error_in_a_derived_name_is_reported_once_where_it_stands() -> None:
    problems, names = Problems(), scope()
    for text in ("wrong", "pump and wrong", "not wrong"):
        assert condition(source(text), names, problems) is None
    [problem] = problems
    assert problem.at == Pos("tank.yaml", 4, 20)
    assert "did you mean `level`?" in problem.message + problem.fix


def test_derived_names_in_a_circle_are_refused() -> None:
    assert "cycle: ring -> round -> ring" in bad("ring > 3")


@pytest.mark.parametrize("name", ["e39", "n299", "n150"])
def test_derived_names_that_grow_without_bound_are_refused(name: str) -> None:
    found = bad(f"{name} > 3")
    assert "too large" in found or "nested too deeply" in found


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("(" * 900 + "x" + ")" * 900 + " > 3", "nested too deeply"),
        ("not " * 400 + "pump", "nested too deeply"),
        ("-" * 500 + "x > 3", "nested too deeply"),
        ("abs(" * 300 + "x" + ")" * 300 + " > 1", "nested too deeply"),
        ("+".join(["x"] * 900) + " > 3", "64 arithmetic operators"),
        ("x where pump " * 100, "expected"),
        ("x" * 2_001, "2,000"),
    ],
)
def test_limits_are_errors(text: str, word: str) -> None:
    assert word in bad(text)


def test_a_long_row_of_conditions_is_a_shallow_tree() -> None:
    def depth(e: Expr) -> int:
        return 1 + max((depth(arg) for arg in e.args), default=0) if isinstance(e, Op) else 1

    assert depth(good(" or ".join(["pump"] * 250))) == 9


def test_the_65th_function_of_time_is_refused_where_it_stands() -> None:
    one = "held(pump for 1 s)"
    assert len(functions(good(" or ".join([one] * 64)))) == 64
    found = bad(" or ".join([one] * 65))
    assert found.startswith(f"tank.yaml:23:{9 + 64 * (len(one) + 4)}: ")
    assert "64" in found


def test_a_group_knows_only_its_counts() -> None:
    problems = Problems()
    found = condition(source("share >= 50 % and active > 3"), scope(counts=True), problems)
    assert found is not None
    assert shown(found) == "and(ge(share, 0.5), gt(active, 3))"
    assert "did you mean `assets`?" in bad("asets >= 3", counts=True)
    assert "unknown name `level`" in bad("level >= 3", counts=True)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("15 s", "15000"), ("10 s / 3", "3333"), ("0", "0"), ("max(10 s, 20 s)", "20000"),
        ("2 * wait", "round_ms(mul(mul(2, wait), 1000))"),
        ("min(45 s, wait + 10 s)", "round_ms(mul(min(45, add(wait, 10)), 1000))"),
    ],
)
def test_durations(text: str, tree: str) -> None:
    problems = Problems()
    found = duration(source(text), scope(), problems)
    assert list(problems) == []
    assert found is not None
    assert shown(found) == tree


@pytest.mark.parametrize(
    ("text", "word"),
    [("-5 s", "negative"), ("15", "duration"), ("5 m", "duration"), ("1 m * x", "literal"),
     ("hour() * 1 s", "literal"), ("pump", "literal"), ("since(pump)", "literal"),
     ("1e9 d", "366 d")],
)  # fmt: skip
def test_what_is_no_duration(text: str, word: str) -> None:
    problems = Problems()
    assert duration(source(text), scope(), problems) is None
    [problem] = problems
    assert word in str(problem)


def test_a_number_is_given_in_the_unit_asked_for() -> None:
    problems = Problems()
    found = number(source("pressure + 2 bar"), scope(), problems, "MPa")
    level = number(source("temp"), scope(), problems, "K")
    assert found is not None
    assert level is not None
    assert (shown(found), shown(level)) == ("mul(add(pressure, 2), 0.1)", "add(temp, 273.15)")
    assert number(source("pressure"), scope(), problems, "m") is None
    assert number(source("temp"), scope(), problems, "K", difference=True) is None


def test_what_is_shown_has_a_kind_and_a_unit() -> None:
    problems = Problems()

    def typed(text: str) -> tuple[str, str]:
        found = value(source(text), scope(), problems)
        assert isinstance(found, Typed)
        return found.kind, found.unit

    assert typed("rate(temp over 1 min)") == ("number", "°C/s")
    assert typed("since(pump)") == ("number", "ms")
    assert typed("lag(pump to on)") == ("number", "s")
    assert typed("mode") == ("states", "")
    assert typed("area") == ("text", "")
    assert typed("level > 3 m") == ("bool", "")
    assert value(source("code"), scope(), problems) is None


def test_calls_of_active_are_found_with_their_places() -> None:
    calls = active_calls(source("pump and active(tank.high)"))
    assert calls == [("tank.high", Pos("tank.yaml", 23, 18))]


TOKENS = (
    "level temp x pump mode code area h_max full quiet e9 on off and or not in where over since "
    "for to by of since( age( mean( held( min( if( at_least( cusum( time_to( lag( at( ( ) , + - "
    "* / < <= == != > >= 5 2.5 1e9 8_m 10_s 3_% true 'a' °C °"
)
WORDS = st.sampled_from([token.replace("_", " ") for token in TOKENS.split()] + ["h_max"])


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=60))
def test_any_text_is_understood_or_refused_with_one_problem(text: str) -> None:
    problems = Problems()
    found = condition(source(text), scope(), problems)
    assert (found is None) == problems.has_errors
    assert len(problems) <= 1
    if found is not None:
        assert sum(1 for _ in walk(found)) < 10_000
