"""Expressions cut into tokens: names, quoted texts, operators, numbers with their unit."""

from __future__ import annotations

import re

from rules import units
from rules.errors import Invalid

MAX_LENGTH = 2_000

#: Words between the arguments of a function.
CLAUSES = frozenset(
    ["over", "since", "ending", "for", "to", "by", "within", "until", "when", "of"]
)
_NO_UNITS = CLAUSES | {"and", "or", "not", "in", "where", "ago"}

_LETTER = r"A-Za-z_\u3400-\u9fff"
_NAME = rf"[{_LETTER}][{_LETTER}0-9]*"
_TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<name>{_NAME}(?:\.[{_LETTER}0-9]+)*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"""|(?P<quoted>"[^"\n]*"|'[^'\n]*')|(?P<op><=|>=|==|!=|[-+*/<>(),])"""
)
_WORD = re.compile(rf"[{_LETTER}0-9]*")
_MEANT = {
    "&": "write `and`", "|": "write `or`", "!": "write `not`, or `!=`", "=": "compare with `==`",
    "≥": "write >=", "≤": "write <=", "≠": "write !=", "×": "write *", "÷": "write /",
    "−": "write -", "^": "write a product: x * x", "[": "write ( )", "]": "write ( )",
    "（": "write (", "）": "write )", "，": "write a comma: ,", "“": 'write plain quotes: "',
    "”": 'write plain quotes: "', '"': "the quoted text does not end",
    "'": "the quoted text does not end", "%": "a share follows a number: 5 %",
    "{": "write the name alone", "}": "write the name alone",
}  # fmt: skip

#: kind, text, column, and of a number its unit
Token = tuple[str, str, int, str]


def _unit_after(text: str, at: int) -> tuple[str, int]:
    """The unit that follows a number, and where it ends. Raises Invalid for an unknown one."""
    start = at
    while start < len(text) and text[start] == " ":
        start += 1
    found = units.UNIT.match(text, start)
    word = _WORD.match(text, start)
    assert word is not None
    if (found is None and not word[0]) or word[0] in _NO_UNITS:
        return "", at
    unit = found[0] if found is not None else word[0]
    if len(word[0]) > len(unit):
        unit = word[0]
    if units.known(unit):
        return unit, start + len(unit)
    head = unit      # `5 s/x` is 5 s divided by x
    while "/" in head and not units.repaired(unit):
        head = head.rpartition("/")[0]
        if head != "1" and units.known(head):
            return head, start + len(head)
    try:
        units.parse(unit)
    except Invalid as error:
        fix = error.fix or "a unit follows a number; multiply with *"
        raise Invalid(error.message, fix, start) from None
    return unit, start + len(unit)


def tokens(text: str) -> list[Token]:
    """The tokens of a text, with an end token after them."""
    if len(text) > MAX_LENGTH:
        raise Invalid(
            f"the expression has {len(text):,} characters, at most {MAX_LENGTH:,} are allowed",
            "name its parts under `derived`",
        )
    found: list[Token] = []
    at, end = 0, len(text)
    match = _TOKEN.match
    while at < end:
        token = match(text, at)
        if token is None:
            char = text[at]
            raise Invalid(f"unexpected character `{char}`", _MEANT.get(char, ""), at)
        kind = token.lastgroup or ""
        start, at = at, token.end()
        if kind == "number":
            unit, at = _unit_after(text, at)
            found.append((kind, token[0], start, unit))
        elif kind != "space":
            found.append((token[0] if kind == "op" else kind, token[0], start, ""))
    found.append(("end", "", end, ""))
    return found
