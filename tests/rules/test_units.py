"""Units: what is understood, what converts exactly, what is refused and with which hint."""

from __future__ import annotations

from fractions import Fraction

import pytest

from rules.errors import Invalid
from rules.units import PLAIN, combine, milliseconds, parse, quantity, root

KNOWN = (
    "m mm cm km s ms min h d °C K °F bar kPa MPa Pa mbar m/s km/h mm/s m/s² % %LEL ppm m³/h L/s "
    "L/min kW W MW V mV A mA p p/m² p/min p/s/m kg g t kg/m³ t/h kg/s NTU mg/L rpm dB lux Hz "
    "1/min kscmh kWh MJ J kV s⁻² m³/MPa MPa/°C N kN µm mm²/s Nm Ω ° Nm³/h degC m3/h m2 um m^3 "
    "s^-2 kW·h"
)


@pytest.mark.parametrize("text", KNOWN.split(" "))
def test_units_of_the_trade_are_known(text: str) -> None:
    assert parse(text).text


@pytest.mark.parametrize(
    ("one", "other"),
    [("degC", "°C"), ("m3/h", "m³/h"), ("m2", "m²"), ("um", "µm"), ("1/s", "Hz"), ("s⁻²", "1/s²"),
     ("kW·h", "kWh"), ("Nm", "J"), ("μm", "µm"), ("℃", "°C"), ("m^3", "m3")],
)  # fmt: skip
def test_two_ways_to_write_one_unit(one: str, other: str) -> None:
    a, b = parse(one), parse(other)
    assert (a.dims, a.scale, a.offset) == (b.dims, b.scale, b.offset)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [("600 kPa", "bar", 6.0), ("8.5 bar", "MPa", 0.85), ("363.15 K", "°C", 90.0), ("5", "m", 5.0),
     ("0.0071 m/s", "mm/s", 7.1), ("36 km/h", "m/s", 10.0), ("10 L/s", "m³/h", 36.0),
     ("0.01 %", "ppm", 100.0), ("212 °F", "°C", 100.0), ("-40 °C", "°F", -40.0),
     ("5 MJ", "kWh", 5 / 3.6), ("6 bar/min", "MPa/s", 0.01), ("-1.5", "", -1.5)],
)  # fmt: skip
def test_a_quantity_is_converted_exactly(text: str, unit: str, value: float) -> None:
    assert quantity(text, unit) == value


def test_a_temperature_difference_has_no_offset() -> None:
    assert quantity("3.6 °F", "°C", difference=True) == 2.0
    assert quantity("5 K", "°C", difference=True) == 5.0


@pytest.mark.parametrize(
    ("one", "other"),
    [("rpm", "Hz"), ("p", ""), ("%LEL", "%"), ("NTU", ""), ("dB", ""), ("Nm³/h", "m³/h"),
     ("kscmh", "m³/h"), ("kscmh", "Nm³/h"), ("lux", "")],
)  # fmt: skip
def test_what_must_not_mix_silently_is_a_dimension_of_its_own(one: str, other: str) -> None:
    with pytest.raises(Invalid, match="does not fit"):
        quantity(f"1 {one}", other)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("meters", "m"), ("metres", "m"), ("Kpa", "kPa"), ("mpa", "MPa"), ("C", "°C"), ("sec", "s"),
     ("m/sec", "m/s"), ("meters/sec", "m/s"), ("bars", "bar"), ("hr", "h"), ("米", "m")],
)  # fmt: skip
def test_an_unknown_unit_names_the_one_that_is_meant(text: str, meant: str) -> None:
    with pytest.raises(Invalid, match="unknown unit") as error:
        parse(text)
    assert f" {meant}?" in error.value.fix


@pytest.mark.parametrize("text", ["m99", "m^99", "/m", "m/", "1/", "m//s", "m s", "⁻²", "m" * 500])
def test_hostile_units_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="unknown unit"):
        parse(text)


def test_products_and_roots_of_units() -> None:
    flow, density = parse("m³/h"), parse("kg/m³")
    assert combine(flow, density, 1).text == "kg/h"
    assert combine(parse("m/s"), parse("s"), 1).text == "m"
    assert combine(parse("m"), parse("m"), -1).dims == PLAIN.dims
    speed = root(combine(parse("mm"), parse("m/s²"), 1))
    assert speed is not None
    assert (speed.dims, speed.scale) == (parse("m/s").dims, Fraction(1))
    assert root(parse("m")) is None


@pytest.mark.parametrize(
    ("text", "ms"),
    [("15 s", 15_000), ("0.0005 s", 1), ("0.0004 s", 0), ("2 h", 7_200_000), ("0", 0)],
)
def test_durations_are_whole_milliseconds_rounded_half_up(text: str, ms: int) -> None:
    assert milliseconds(text) == ms


@pytest.mark.parametrize(
    ("text", "word"),
    [("-5 s", "negative"), ("15", "duration"), ("5 m", "duration"), ("soon", "number"),
     ("5 secs", "unknown unit"), ("", "number"), ("1" * 300 + " s", "number")],
)  # fmt: skip
def test_a_wrong_duration_says_what_is_wrong(text: str, word: str) -> None:
    with pytest.raises(Invalid, match=word):
        milliseconds(text)
