"""Single values of documents: names, durations, numbers in a unit, states, attributes of assets."""

from __future__ import annotations

import re

from rules.errors import Invalid, Problems, near
from rules.model import Attribute, Signal
from rules.reader import Scalar, describe
from rules.units import milliseconds, quantity

NAME = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)
ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
#: The longest duration of a document; windows have a limit of their own.
MAX_MS = 366 * 24 * 3_600_000
#: Words that mean something in expressions, so nothing can be named by them.
RESERVED = frozenset({
    "and", "or", "not", "in", "where", "over", "ending", "ago", "since", "for", "to", "by",
    "within", "until", "when", "of", "if", "true", "false",
})  # fmt: skip
_INTEGER = re.compile(r"[-+]?\d{1,9}")
_NUMBER_UNIT = re.compile(r"\s*[-+]?[\d.]+(?:[eE][-+]?\d+)?\s*(.*?)\s*")


def identifier(value: Scalar, what: str, problems: Problems) -> str | None:
    """An id of dotted lower-case words."""
    if ID.fullmatch(value.text) and len(value.text) <= 200:
        return value.text
    problems.add(value.at, f"{what} {describe(value)} is not made of dotted lower-case words",
                 f"for example `{_slug(value.text) or 'tank.high_level'}`")
    return None


def _slug(text: str) -> str:
    words = re.findall(r"[a-z0-9_]+", text.lower()[:100])
    return ".".join(words) if words and words[0][0].isalpha() else ""


def name(value: Scalar, what: str, problems: Problems) -> bool:
    """Whether a key can be used as a name in expressions; if not, that is noted."""
    if not NAME.fullmatch(value.text) or len(value.text) > 200:
        problems.add(value.at, f"{what} {describe(value)} is not a name",
                     "use letters, digits and _, a letter first")
        return False
    if value.text in RESERVED:
        problems.add(value.at, f"{what} `{value.text}` is a word of the language",
                     "choose another name")
        return False
    return True


def span(value: Scalar | None, key: str, problems: Problems, *, least: int = 1) -> int | None:
    """A duration in ms of at least that many; None if absent or refused."""
    if value is None:
        return None
    try:
        ms = milliseconds(value.text)
    except Invalid as error:
        problems.add(value.source().pos(error.column), f"{key}: {error.message}", error.fix)
        return None
    if ms < least:
        problems.add(value.at, f"{key} must be longer than 0 s, found {describe(value)}"
                     if least else f"{key} cannot be negative, found {describe(value)}")
        return None
    if ms > MAX_MS:
        problems.add(value.at, f"{key} can be 366 d at most, found {describe(value)}")
        return None
    return ms


def number(value: Scalar, unit: str, key: str, problems: Problems) -> float | None:
    """A number in the unit; one written without a unit is in it already."""
    try:
        return quantity(value.text, unit)
    except Invalid as error:
        problems.add(value.source().pos(error.column), f"{key}: {error.message}", error.fix)
        return None


def unit_of(value: Scalar) -> str:
    """The unit that a number is written with, or ""."""
    found = _NUMBER_UNIT.fullmatch(value.text)
    return found[1] if found else ""


def unit(value: Scalar | None, problems: Problems) -> str:
    """A unit that is known; "" if absent or refused."""
    if value is None:
        return ""
    try:
        quantity("0", value.text)
    except Invalid as error:
        problems.add(value.at, error.message, error.fix)
        return ""
    return value.text


def integer(text: str) -> int | None:
    """A whole number as YAML writes it, or None."""
    return int(text) if _INTEGER.fullmatch(text) else None


def state(value: Scalar, names: dict[str, int], key: str, problems: Problems) -> float | None:
    """The code of a state given by its name or code."""
    code = integer(value.text) if value.plain else None
    if code in names.values():
        return float(code) if code is not None else None
    if value.text in names:
        return float(names[value.text])
    problems.add(value.at, f"{key}: unknown state {describe(value)}",
                 near(value.text, names) or "known are " + ", ".join(names))
    return None


def typed(value: Scalar, of: Signal | Attribute, key: str,
          problems: Problems) -> float | str | None:
    """A value for a signal or an attribute: a number in its unit, a state's code, 0/1 or a text."""
    match of.kind:
        case "number":
            return number(value, of.unit, key, problems)
        case "bool":
            if value.truth is None:
                problems.add(value.at, f"{key}: expected true or false, found {describe(value)}")
                return None
            return float(value.truth)
        case "states" | "events":
            return state(value, of.names, key, problems)
        case "text":
            return value.text
