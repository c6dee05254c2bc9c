"""Units of measure: parsed from text, multiplied and divided, converted exactly.

A unit is a scale on powers of base dimensions. Whatever may not be mixed silently is a dimension of
its own: people, %LEL, turbidity, sound, light, turns, angles, normal and standard cubic metres
(they differ by the reference temperature). %, ‰ and ppm are scales of the plain number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache

from rules.errors import Invalid

Powers = tuple[tuple[str, int], ...]

#: Unit -> scale and powers of base dimensions. A base dimension is its own first unit.
_TABLE = {
    "m": "1 m", "km": "1000 m", "dm": "1/10 m", "cm": "1/100 m", "mm": "1/1000 m",
    "µm": "1/1000000 m", "nm": "1/1000000000 m", "ha": "10000 m2", "L": "1/1000 m3",
    "mL": "1/1000000 m3", "s": "1 s", "ms": "1/1000 s", "µs": "1/1000000 s", "min": "60 s",
    "h": "3600 s", "d": "86400 s", "Hz": "1 s-1", "kHz": "1000 s-1", "MHz": "1000000 s-1",
    "kg": "1 kg", "g": "1/1000 kg", "mg": "1/1000000 kg", "µg": "1/1000000000 kg", "t": "1000 kg",
    "K": "1 K", "°C": "1 K", "°F": "5/9 K",
    "Pa": "1 kg m-1 s-2", "hPa": "100 kg m-1 s-2", "kPa": "1000 kg m-1 s-2",
    "MPa": "1000000 kg m-1 s-2", "GPa": "1000000000 kg m-1 s-2", "bar": "100000 kg m-1 s-2",
    "mbar": "100 kg m-1 s-2", "N": "1 kg m s-2", "kN": "1000 kg m s-2", "MN": "1000000 kg m s-2",
    "Nm": "1 kg m2 s-2", "kNm": "1000 kg m2 s-2", "J": "1 kg m2 s-2", "kJ": "1000 kg m2 s-2",
    "MJ": "1000000 kg m2 s-2", "GJ": "1000000000 kg m2 s-2", "Wh": "3600 kg m2 s-2",
    "kWh": "3600000 kg m2 s-2", "MWh": "3600000000 kg m2 s-2", "mW": "1/1000 kg m2 s-3",
    "W": "1 kg m2 s-3", "kW": "1000 kg m2 s-3", "MW": "1000000 kg m2 s-3",
    "GW": "1000000000 kg m2 s-3", "VA": "1 kg m2 s-3", "kVA": "1000 kg m2 s-3",
    "MVA": "1000000 kg m2 s-3", "A": "1 A", "mA": "1/1000 A", "µA": "1/1000000 A", "kA": "1000 A",
    "Ah": "3600 A s", "mV": "1/1000 kg m2 s-3 A-1", "V": "1 kg m2 s-3 A-1",
    "kV": "1000 kg m2 s-3 A-1", "Ω": "1 kg m2 s-3 A-2", "mΩ": "1/1000 kg m2 s-3 A-2",
    "kΩ": "1000 kg m2 s-3 A-2", "MΩ": "1000000 kg m2 s-3 A-2", "S": "1 kg-1 m-2 s3 A2",
    "mS": "1/1000 kg-1 m-2 s3 A2", "µS": "1/1000000 kg-1 m-2 s3 A2",
    "p": "1 p", "%LEL": "1 %LEL", "NTU": "1 NTU", "dB": "1 dB", "lux": "1 lux", "klux": "1000 lux",
    "pH": "1 pH", "rev": "1 rev", "rpm": "1/60 rev s-1", "°": "1 °", "mol": "1 mol",
    "mmol": "1/1000 mol", "Nm³": "1 Nm³", "scm": "1 scm", "kscm": "1000 scm",
    "scmh": "1/3600 scm s-1", "kscmh": "1000/3600 scm s-1",
    "%": "1/100", "‰": "1/1000", "ppm": "1/1000000", "ppb": "1/1000000000",
}  # fmt: skip

#: Where zero of the unit stands in kelvins.
_OFFSETS = {"°C": Fraction("273.15"), "°F": Fraction("459.67") * 5 / 9}

#: Other ways to write a unit.
_ALIASES = {
    "degC": "°C", "degF": "°F", "℃": "°C", "℉": "°F", "deg": "°", "um": "µm", "us": "µs",
    "ug": "µg", "uA": "µA", "uS": "µS", "ohm": "Ω", "l": "L", "ml": "mL", "lx": "lux",
    "klx": "klux", "Nm3": "Nm³", "Nm^3": "Nm³",
}  # fmt: skip

#: What people write that is no unit here, and what they mean.
_MEANT = {
    "meter": "m", "meters": "m", "metre": "m", "metres": "m", "kilometers": "km", "sec": "s",
    "secs": "s", "second": "s", "seconds": "s", "millisecond": "ms", "milliseconds": "ms",
    "msec": "ms", "mins": "min", "minute": "min", "minutes": "min", "hr": "h", "hrs": "h",
    "hour": "h", "hours": "h", "H": "h", "day": "d", "days": "d", "C": "°C", "F": "°F",
    "celsius": "°C", "Celsius": "°C", "kelvin": "K", "percent": "%", "pct": "%", "volt": "V",
    "volts": "V", "amp": "A", "amps": "A", "watt": "W", "watts": "W", "liter": "L", "litre": "L",
    "liters": "L", "litres": "L", "kph": "km/h", "kmh": "km/h", "mps": "m/s", "people": "p",
    "persons": "p", "ton": "t", "tons": "t", "tonne": "t", "tonnes": "t", "LEL": "%LEL",
    "bars": "bar", "cbm": "m³", "M": "m", "S": "s", "hertz": "Hz", "degrees": "°",
    "米": "m", "毫米": "mm", "秒": "s", "毫秒": "ms", "分": "min", "分钟": "min", "小时": "h",
    "时": "h", "天": "d", "日": "d", "度": "°C", "摄氏度": "°C", "伏": "V", "安": "A", "千瓦": "kW",
    "千帕": "kPa", "兆帕": "MPa", "帕": "Pa", "巴": "bar", "转": "rpm", "人": "p", "吨": "t",
}  # fmt: skip

_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_TO_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_ATOM = (
    r"(?:Nm(?:³|\^?3)|%LEL|[%‰°℃℉]|°[CF]|[A-Za-zµμΩ\u2126]+)"
    r"(?:⁻?[⁰¹²³⁴-⁹]+|\^-?[0-9]+|[23](?![\w.]))?"
).replace("[%‰°℃℉]|°[CF]", "°[CF](?![A-Za-z])|[%‰°℃℉]")
#: A unit as it may follow a number.
UNIT = re.compile(rf"(?:1/)?{_ATOM}(?:[/·⋅]{_ATOM})*")
_PART = re.compile(
    r"(?P<sign>[/·⋅]?)(?P<symbol>Nm(?:³|\^?3)|%LEL|°[CF]|[%‰°℃℉]|[A-Za-zµΩ]+)"
    r"(?P<power>⁻?[⁰¹²³⁴-⁹]+|\^-?[0-9]+|[23])?"
)
_MAX_POWER = 9


@dataclass(frozen=True)
class Unit:
    """`value in this unit * scale + offset` is the value in base units (offset: levels only)."""

    dims: Powers
    scale: Fraction
    offset: Fraction = Fraction(0)
    symbols: Powers = ()
    text: str = field(default="", compare=False)

    def __hash__(self) -> int:
        return hash((self.dims, self.symbols))     # hashing fractions is slow

    @property
    def temperature(self) -> bool:
        """Whether this measures a temperature, a level or a difference."""
        return self.dims == (("K", 1),)

    @property
    def ratio(self) -> bool:
        """Whether this is a share such as %: a scale of the plain number."""
        return not self.dims and self.scale != 1

    @property
    def shown(self) -> str:
        """The unit for an error message."""
        return self.text or "a plain number"

    def factor(self, to: Unit) -> Fraction:
        """What a difference in this unit is multiplied with to be one in `to`."""
        return self.scale / to.scale

    def shift(self, to: Unit) -> Fraction:
        """What is then added to a level."""
        return (self.offset - to.offset) / to.scale


PLAIN = Unit((), Fraction(1))


def _definitions() -> dict[str, Unit]:
    found = {}
    for symbol, text in _TABLE.items():
        scale, *powers = text.split(" ")
        dims = []
        for power in powers:
            parts = re.fullmatch(r"(.*?)(-?\d*)", power)
            assert parts is not None
            dims.append((parts[1], int(parts[2] or 1)))
        offset = _OFFSETS.get(symbol, Fraction(0))
        unit = Unit(tuple(sorted(dims)), Fraction(scale), offset, ((symbol, 1),), symbol)
        found[symbol] = unit
    return found


_UNITS = _definitions()


def _text(symbols: Powers) -> str:
    """`m³/h`, `1/min`, `p/s/m` from symbols and powers."""

    def one(symbol: str, power: int) -> str:
        return symbol if power == 1 else symbol + str(power).translate(_TO_SUPERSCRIPT)

    above = "·".join(one(s, n) for s, n in symbols if n > 0)
    below = "".join("/" + one(s, -n) for s, n in symbols if n < 0)
    return (above or ("1" if below else "")) + below


def _merge(a: Powers, b: Powers, sign: int) -> Powers:
    powers = dict(a)
    for name, power in b:
        powers[name] = powers.get(name, 0) + sign * power
    return tuple((name, power) for name, power in powers.items() if power)


@lru_cache(maxsize=4096)
def combine(a: Unit, b: Unit, sign: int) -> Unit:
    """The unit of a product (sign 1) or quotient (sign -1). Ratios are to be made plain before."""
    dims = tuple(sorted(_merge(a.dims, b.dims, sign)))
    scale = a.scale * b.scale if sign > 0 else a.scale / b.scale
    symbols = _merge(a.symbols, b.symbols, sign)
    return Unit(dims, scale, Fraction(0), symbols, _text(symbols))


@lru_cache(maxsize=1024)
def root(unit: Unit) -> Unit | None:
    """The unit whose square has the dimensions of `unit`, in base units; None if there is none."""
    if any(power % 2 for _, power in unit.dims):
        return None
    half = tuple((name, power // 2) for name, power in unit.dims)
    return Unit(half, Fraction(1), Fraction(0), half, _text(half))


def known(text: str) -> bool:
    """Whether this is the text of a unit."""
    try:
        parse(text)
    except Invalid:
        return False
    return True


@lru_cache(maxsize=4096)
def parse(text: str) -> Unit:
    """The unit of a text such as `m³/h`, `m3/h`, `1/min`, `p/s/m`; "" is the plain number.

    Raises Invalid with the likely fix.
    """
    if not text:
        return PLAIN
    clean = text.replace("μ", "µ").replace("\u2126", "Ω")
    rest = clean[1:] if clean.startswith("1/") else clean
    unit, at = PLAIN, 0
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None or bool(part["sign"]) != (at > 0 or rest is not clean):
            raise _unknown(text)
        symbol = _ALIASES.get(part["symbol"], part["symbol"])
        if symbol not in _UNITS:
            raise _unknown(text)
        power = int((part["power"] or "1").lstrip("^").translate(_SUPERSCRIPTS))
        if not 0 < abs(power) <= _MAX_POWER:
            raise _unknown(text)
        for _ in range(abs(power)):
            unit = combine(unit, _UNITS[symbol], -1 if (part["sign"] == "/") ^ (power < 0) else 1)
        at = part.end()
    if not rest or any(abs(power) > 2 * _MAX_POWER for _, power in unit.symbols):
        raise _unknown(text)
    if len(unit.symbols) == 1 and unit.symbols[0][1] == 1:
        unit = _UNITS[unit.symbols[0][0]]
    return unit


_QUANTITY = re.compile(
    r"\s*([-+]?)\s*([0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?)\s*(.*?)\s*", re.DOTALL
)


def _quantity(text: str) -> tuple[Fraction, str, int]:
    """Number, unit and the unit's column of a text such as `600 kPa`."""
    found = _QUANTITY.fullmatch(text[:200])
    if found is None or len(text) > 200:
        raise Invalid(f"expected a number, found `{text[:40]}`", "write for example 5 or 5 kPa")
    value = Fraction(found[2])
    return -value if found[1] == "-" else value, found[3], found.start(3)


def quantity(text: str, unit: str, *, difference: bool = False) -> float:
    """The number that a text such as `600 kPa` means in `unit`: 6.0 in bar, exactly rounded once.

    A bare number is in the unit already. A temperature is a level unless `difference`.
    """
    value, own, column = _quantity(text)
    to = parse(unit)
    if own:
        try:
            of = parse(own)
        except Invalid as error:
            raise Invalid(error.message, error.fix, column) from None
        if of.dims != to.dims:
            raise Invalid(f"the unit {of.shown} does not fit {to.shown}", f"write it in {to.shown}")
        value = value * of.factor(to) + (0 if difference else of.shift(to))
    return as_float(value)


def milliseconds(text: str) -> int:
    """The whole milliseconds (rounded half up) of a text such as `15 s`; Invalid if negative."""
    value, own, column = _quantity(text)
    if not own and value:
        raise Invalid(f"expected a duration, found `{text.strip()[:40]}`", "give it a unit: 15 s")
    try:
        of = parse(own) if own else _UNITS["ms"]
    except Invalid as error:
        raise Invalid(error.message, error.fix, column) from None
    if of.dims != _UNITS["ms"].dims:
        raise Invalid(f"expected a duration, found the unit {of.shown}", "write for example 15 s")
    if value < 0:
        raise Invalid(f"the duration `{text.strip()[:40]}` is negative")
    return whole_ms(value * of.factor(_UNITS["ms"]))


def whole_ms(value: Fraction) -> int:
    """Rounded half up."""
    return int((value + Fraction(1, 2)).__floor__())


def as_float(value: Fraction) -> float:
    """The nearest float. Raises Invalid beyond the floats."""
    try:
        return float(value)
    except OverflowError:
        raise Invalid("the number is too large") from None


def _unknown(text: str) -> Invalid:
    """The error of an unknown unit."""
    meant = _MEANT.get(text) or repaired(text)
    if meant:
        fix = f"did you mean {meant}?"
    else:
        lower = {symbol.lower(): symbol for symbol in [*_UNITS, *_ALIASES]}
        close = get_close_matches(text.lower(), lower, n=3, cutoff=0.6)
        fix = "did you mean " + " or ".join(lower[c] for c in close) + "?" if close else ""
    return Invalid(f"unknown unit `{text}`", fix)


def repaired(text: str) -> str:
    """The text of an unknown unit with each misspelt part put right, or nothing."""
    parts = re.split(r"([/·⋅²³]|\^-?\d)", text)
    lower = {symbol.lower(): symbol for symbol in _UNITS}
    for i, part in enumerate(parts):
        if re.fullmatch(r"[A-Za-z%°]+", part) and part not in _UNITS and part not in _ALIASES:
            parts[i] = _MEANT.get(part) or lower.get(part.lower(), "?")
    repaired = "".join(parts)
    return repaired if "?" not in repaired and repaired != text else ""
