"""An asset's attributes as the numbers that programs read. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rules.compile import Compiled
from rules.model import Attribute

Given = Mapping[str, float | str]


def attribute_row(compiled: Compiled, given: Given) -> list[float]:
    """What an inventory gives, else the defaults, in the order of a class's columns."""
    return [_number(compiled, compiled.cls.attributes[name], given) for name in compiled.attributes]


def _number(compiled: Compiled, of: Attribute, given: Given) -> float:
    """A code, 0/1, the number of a text; NaN where it has none."""
    value = given.get(of.name, of.default)
    if of.by is not None:
        key = _text(compiled.cls.attributes[of.by], given)
        value = of.table.get(key, np.nan) if key is not None else None
    if value is None:
        return np.nan
    if isinstance(value, str):
        return float(compiled.texts.get(value, -1))
    return float(value)


def _text(of: Attribute, given: Given) -> str | None:
    """What a table is looked up by: a text, or the name of a state."""
    value = given.get(of.name, of.default)
    if value is None or isinstance(value, str):
        return value
    return next((name for name, code in of.names.items() if code == value), None)
