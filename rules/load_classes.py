"""Classes of the documents become `AssetClass`: signals, attributes, derived values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rules.document import AttributeDoc, ClassDoc, SignalDoc
from rules.errors import Problems, near
from rules.expression import Scope, SourceText
from rules.load_checked import Expressions
from rules.load_values import (
    integer,
    name,
    number,
    span,
    state,
    typed,
    unit,
    unit_of,
)
from rules.model import SHELVE_AT_MOST, AssetClass, Attribute, Kind, Signal, Text
from rules.reader import Mapping, Scalar, describe
from rules.tree import Expr, signals


@dataclass(frozen=True)
class ClassParts:
    """A class whose names are settled, so that rules can be told apart and counted before any
    expression is checked.
    """

    key: Scalar
    doc: ClassDoc
    cls: AssetClass          # without derived values, conditions and `unless`
    derived: dict[str, SourceText]

    def expressions(self, rules: frozenset[str]) -> Expressions:
        """What expressions of this class may name; `rules` are the ids that `active` may."""
        cls = self.cls
        return Expressions(Scope(cls=cls.name, signals=cls.signals, attributes=cls.attributes,
                                 derived=self.derived, rules=rules))


def declare(key: Scalar, doc: ClassDoc, problems: Problems) -> ClassParts:
    """The names of a class: its signals, attributes and derived values, each known once."""
    seen: dict[str, Scalar] = {}
    found_signals: dict[str, Signal] = {}
    found_attributes: dict[str, Attribute] = {}
    derived: dict[str, SourceText] = {}
    for signal_name, signal_doc in doc.signals.items():
        if _new(_key(doc, "signals", signal_name), "signal", seen, problems):
            found_signals[signal_name] = _signal(signal_name, signal_doc, problems)
    for attribute_name, attribute_doc in doc.attributes.items():
        if _new(_key(doc, "attributes", attribute_name), "attribute", seen, problems):
            found_attributes[attribute_name] = _attribute(attribute_name, attribute_doc, problems)
    for attribute_name, attribute_doc in doc.attributes.items():
        if attribute_name in found_attributes:
            found = _table(found_attributes[attribute_name], attribute_doc, found_attributes,
                           problems)
            found_attributes[attribute_name] = found
    for derived_name, scalar in doc.derived.items():
        if _new(_key(doc, "derived", derived_name), "derived value", seen, problems):
            derived[derived_name] = scalar.source()
    lateness = span(doc.lateness, "lateness", problems, least=0)
    ahead = span(doc.max_ahead, "max_ahead", problems, least=0)
    shelf = span(doc.shelve_at_most, "shelve_at_most", problems)
    cls = AssetClass(
        name=key.text,
        title=doc.title,
        signals=found_signals,
        attributes=found_attributes,
        derived={},
        silent_after=span(doc.silent_after, "silent_after", problems),
        lateness=2_000 if lateness is None else lateness,
        max_ahead=60_000 if ahead is None else ahead,
        shelve_at_most=SHELVE_AT_MOST if shelf is None else shelf,
        at=key.at,
    )
    return ClassParts(key, doc, cls, derived)


def complete(parts: ClassParts, expressions: Expressions, problems: Problems) -> AssetClass:
    """The class with its expressions checked."""
    cls = parts.cls
    checked = dict(cls.signals)
    for signal_name, signal in cls.signals.items():
        source = parts.doc.signals[signal_name].frozen_while
        if source is None or signal.frozen_after is None:
            continue
        frozen_while = expressions.condition(source.source(), problems)
        if frozen_while is not None and signal_name in signals(frozen_while):
            problems.add(source.at, f"frozen_while of `{signal_name}` reads the signal itself",
                         "name what tells that it should be changing")
            frozen_while = None
        checked[signal_name] = replace(signal, frozen_while=frozen_while)
    derived: dict[str, Expr] = {}
    for derived_name in parts.derived:
        key = _key(parts.doc, "derived", derived_name)
        found = expressions.value(SourceText(derived_name, key.at), problems)
        if found is not None:
            derived[derived_name] = found.expr
    unless = None
    if parts.doc.unless is not None and parts.doc.unless.truth is not False:
        unless = expressions.condition(parts.doc.unless.source(), problems)
    return replace(cls, signals=checked, derived=derived, unless=unless)


def _key(doc: ClassDoc, section: str, name: str) -> Scalar:
    table = doc.node.values[section]
    assert isinstance(table, Mapping)
    return table.keys[name]


def _new(key: Scalar, what: str, seen: dict[str, Scalar], problems: Problems) -> bool:
    if not name(key, what, problems):
        return False
    if key.text in seen:
        problems.add(key.at, f"duplicate name `{key.text}`",
                     f"the first is in line {seen[key.text].at.line}")
        return False
    seen[key.text] = key
    return True


def _signal(signal_name: str, doc: SignalDoc, problems: Problems) -> Signal:
    declared = [key for key in ("type", "states", "events") if key in doc.node.keys]
    for extra in declared[1:]:
        problems.add(doc.key_at(extra), f"`{declared[0]}` and `{extra}`, not both")
    kind: Kind = "number"
    names: dict[str, int] = {}
    titles: dict[int, Text] = {}
    if declared and declared[0] != "type":
        kind = "states" if declared[0] == "states" else "events"
        names, titles = _codes(doc.node.values[declared[0]], problems)
    elif doc.type == "bool":
        kind = "bool"
    if kind != "number":
        _only_of(doc, ("unit", "range"), "a number", problems)
    if kind == "events":
        _only_of(doc, ("default", "stale_after", "frozen_after"), "a signal with a value", problems)
    if doc.frozen_after is None and doc.frozen_while is not None:
        problems.add(doc.key_at("frozen_while"), "frozen_while without frozen_after",
                     "add `frozen_after: …`")
    if doc.set_by is None and doc.expires is not None:
        problems.add(doc.key_at("expires"), "expires without `set_by: operator`",
                     "only what an operator enters can expire")
    in_unit = unit(doc.unit, problems) if kind == "number" else ""
    low, high = _range(doc, in_unit, problems) if kind == "number" else _UNBOUNDED
    signal = Signal(
        name=signal_name,
        kind=kind,
        unit=in_unit,
        low=low,
        high=high,
        names=names,
        titles=titles,
        stale_after=span(doc.stale_after, "stale_after", problems),
        frozen_after=span(doc.frozen_after, "frozen_after", problems),
        period=span(doc.period, "period", problems),
        operator=doc.set_by == "operator",
        expires=span(doc.expires, "expires", problems),
        title=doc.title,
        at=doc.at,
    )
    if doc.default is None or kind == "events":
        return signal
    default = typed(doc.default, signal, "default", problems)
    if isinstance(default, float) and not low <= default <= high:
        problems.add(doc.default.at, f"default {describe(doc.default)} is outside the range")
    return replace(signal, default=default if isinstance(default, float) else None)


_UNBOUNDED = (float("-inf"), float("inf"))


def _only_of(doc: SignalDoc, keys: tuple[str, ...], what: str, problems: Problems) -> None:
    for key in keys:
        if key in doc.node.keys:
            problems.add(doc.key_at(key), f"{key} belongs to {what} only", "remove it")


def _range(doc: SignalDoc, in_unit: str, problems: Problems) -> tuple[float, float]:
    if doc.range is None:
        return _UNBOUNDED
    at = doc.node.values["range"].at
    if len(doc.range) != 2:
        problems.add(at, f"range: expected [lowest, highest], found {len(doc.range)} values")
        return _UNBOUNDED
    low = number(doc.range[0], in_unit, "range", problems)
    high = number(doc.range[1], in_unit, "range", problems)
    if low is None or high is None:
        return _UNBOUNDED
    if not low < high:
        problems.add(at, "range: the lowest value must be below the highest")
        return _UNBOUNDED
    return low, high


def _codes(node: object, problems: Problems) -> tuple[dict[str, int], dict[int, Text]]:
    """Name -> code and code -> title of `{0: stopped, 1: {name: running, zh: 运行}}`."""
    names: dict[str, int] = {}
    titles: dict[int, Text] = {}
    if not isinstance(node, Mapping) or not node.keys:
        if isinstance(node, Mapping | Scalar):
            problems.add(node.at, f"expected codes with names, found {describe(node)}",
                         "for example {0: off, 1: on}")
        return names, titles
    seen: set[int] = set()
    for key, entry in node:
        code = integer(key.text)
        if code is None:
            problems.add(key.at, f"expected a code (a whole number), found {describe(key)}")
            continue
        if code in seen:
            problems.add(key.at, f"duplicate code {code}")
            continue
        seen.add(code)
        word = entry.values.get("name") if isinstance(entry, Mapping) else entry
        if not isinstance(word, Scalar):
            problems.add(entry.at, "name missing" if word is None and isinstance(entry, Mapping)
                         else f"expected a name, found {describe(word)}", "{name: …, zh: …, en: …}")
            continue
        if isinstance(entry, Mapping):
            titles[code] = _state_title(entry, problems)
        if not name(word, "state", problems):
            continue
        if word.text in names:
            problems.add(word.at, f"duplicate name `{word.text}`")
            continue
        names[word.text] = code
    return names, titles


def _state_title(entry: Mapping, problems: Problems) -> Text:
    texts = {"zh": "", "en": ""}
    for key, text in entry:
        if key.text == "name":
            continue
        if key.text not in texts:
            problems.add(key.at, f"unknown key `{key.text}`",
                         near(key.text, ("name", *texts)) or "known here: name, zh, en")
        elif isinstance(text, Scalar):
            texts[key.text] = text.text
        else:
            problems.add(text.at, f"expected a text, found {describe(text)}")
    return Text(**texts)


def _attribute(attribute_name: str, doc: AttributeDoc, problems: Problems) -> Attribute:
    declared = [key for key in ("type", "states", "table") if key in doc.node.keys]
    for extra in declared[1:]:
        problems.add(doc.key_at(extra), f"`{declared[0]}` and `{extra}`, not both")
    if (doc.by is None) != ("table" not in doc.node.keys):
        missing = "by" if doc.by is None else "table"
        problems.add(doc.at, f"{missing} missing", "a table is {by: ATTRIBUTE, table: {…}}")
    kind: Kind = "number"
    names: dict[str, int] = {}
    if doc.states is not None:
        kind = "states"
        for word in doc.states:
            if not name(word, "state", problems):
                continue
            if word.text in names:
                problems.add(word.at, f"duplicate name `{word.text}`")
            names.setdefault(word.text, len(names))
    elif doc.type == "bool":
        kind = "bool"
    elif doc.type == "text":
        kind = "text"
    if kind != "number" and doc.unit is not None:
        problems.add(doc.key_at("unit"), "unit belongs to a number only", "remove it")
    attribute = Attribute(
        name=attribute_name,
        kind=kind,
        unit=unit(doc.unit, problems) if kind == "number" else "",
        names=names,
        title=doc.title,
        at=doc.at,
    )
    if doc.default is None:
        return attribute
    if doc.by is not None:
        problems.add(doc.key_at("default"), "a table has no default", "remove it")
        return attribute
    return replace(attribute, default=typed(doc.default, attribute, "default", problems))


def _table(attribute: Attribute, doc: AttributeDoc, others: dict[str, Attribute],
           problems: Problems) -> Attribute:
    """The attribute with its table, whose numbers are all put into one unit."""
    if doc.by is None or doc.table is None:
        return attribute
    by = others.get(doc.by.text)
    if by is None:
        problems.add(doc.by.at, f"unknown attribute {describe(doc.by)}",
                     near(doc.by.text, others))
        return attribute
    if by.kind not in {"states", "text"}:
        problems.add(doc.by.at, f"`{by.name}` has neither states nor texts to look up by")
        return attribute
    if not isinstance(doc.table, Mapping) or not doc.table.keys:
        problems.add(doc.table.at, f"expected a table, found {describe(doc.table)}",
                     "for example {rigid: 4.5 mm/s, flexible: 7.1 mm/s}")
        return attribute
    in_unit = attribute.unit
    table: dict[str, float] = {}
    for key, entry in doc.table:
        if by.kind == "states" and state(key, by.names, "table", problems) is None:
            continue
        if not isinstance(entry, Scalar):
            problems.add(entry.at, f"expected a number, found {describe(entry)}")
            continue
        if not table and doc.unit is None:
            in_unit = unit_of(entry)
        if doc.unit is None and bool(unit_of(entry)) != bool(in_unit):
            problems.add(entry.at, f"table: {describe(entry)} and the first number differ in "
                         "having a unit", "write the unit at each number")
            continue
        found = number(entry, in_unit, "table", problems)
        if found is not None:
            table[key.text] = found
    return replace(attribute, unit=in_unit, by=by.name, table=table)
