"""A rule as it stood: its text cut out of the files kept, its limits for one asset. Pure."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rules.errors import Invalid, Problems
from rules.explain import explain, with_attributes
from rules.intervals import interval
from rules.load import load_texts
from rules.model import Asset, AssetClass, Group, Pack, Plan, Pos, Rule, Signal
from rules.reader import Mapping, Node, Scalar, read
from rules.reader import Sequence as Items
from rules.show import fixed, number, show
from rules.tree import Const, Expr, Fn, FrozenRef, Op, SignalRef, signals, walk
from streams.ledger import meaning

Role = Literal["raise", "clear", "gate"]

_COMPARED = frozenset({"lt", "le", "gt", "ge"})
_TINY = 1e-9
_CLOSING = frozenset({"}", "]", "},", "],"})


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of a file: its first line (from 1) and its text, as written but for the margin."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A value of a signal at which a comparison of the rule changes, in the signal's unit.

    `raise` makes the alarm (of that severity), `clear` ends it, `gate` is asked besides.
    """

    signal: str
    value: float
    role: Role
    severity: int
    text: str


@dataclass(frozen=True)
class Basis:
    """What an alarm stood on: the rule for its asset, from the pack that was in force.

    rule         with the asset's overrides; a group for a group's alarm
    cls          with the asset's attributes as its defaults; None of a group
    asset        of the inventory, or one without attributes that was taken in when first heard
    cuts         text of the rule, of the named expressions that it uses, of its plans
    sentences    a sentence a level, in zh and en
    signals      those of its conditions first, then those of its evidence and messages
    version      hash of the rule's meaning without overrides, as the records have it
    """

    rule: Rule | Group
    cls: AssetClass | None
    asset: Asset
    cuts: tuple[Cut, ...]
    sentences: dict[str, tuple[str, ...]]
    limits: tuple[Limit, ...]
    signals: tuple[Signal, ...]
    plans: dict[str, Plan]
    version: str

    @property
    def delay_ms(self) -> float:
        """The longest on-delay of a level that is written as a number, else 0."""
        delays = (fixed(level.delay) for level in self.rule.levels)
        return max((ms for ms in delays if ms is not None), default=0.0)


def basis(
    files: Sequence[tuple[str, bytes]], inventory: Iterable[Asset], rule: str, asset: str, cls: str,
    *, shadow: bool = False,
) -> Basis | None:
    """The rule of an alarm out of the files of a pack; None if they hold no such rule. `shadow`:
    all of them were put in shadow."""
    pack = load_texts(files).pack
    if pack is None:
        return None
    if not cls:
        group = next((group for group in pack.groups if group.id == rule), None)
        return None if group is None else _of_group(pack, files, group, asset)
    found = next((one for one in pack.rules if (one.id, one.cls) == (rule, cls)), None)
    if found is None:
        return None
    if shadow:
        found = replace(found, shadow=True)
    given = next((one for one in inventory if one.id == asset), Asset(asset, cls))
    own = pack.variant(found, given.overrides)
    own_class = with_attributes(pack.classes[cls], given)
    return Basis(
        own, own_class, given, _cuts(files, own, pack), _sentences(pack, own, given),
        tuple(_limits(own, own_class)), tuple(_signals(own, own_class)), pack.plans,
        meaning(found),
    )  # fmt: skip


def _of_group(
    pack: Pack, files: Sequence[tuple[str, bytes]], group: Group, key: str
) -> Basis:
    return Basis(
        group, None, Asset(key, ""), _cuts(files, group, pack), _sentences(pack, group, None),
        (), (), pack.plans, meaning(group),
    )  # fmt: skip


def _sentences(
    pack: Pack, rule: Rule | Group, asset: Asset | None
) -> dict[str, tuple[str, ...]]:
    said = {}
    for language in ("zh", "en"):
        try:
            lines = explain(pack, rule.id, asset, language).splitlines()
        except Invalid:  # not of this pack after all; the text still stands
            lines = []
        first = 1 if isinstance(rule, Rule) else 2  # below the header
        said[language] = tuple(lines[first : first + len(rule.levels)])
    return said


def _cuts(
    files: Sequence[tuple[str, bytes]], rule: Rule | Group, pack: Pack
) -> tuple[Cut, ...]:
    names = dict.fromkeys(level.plan for level in rule.levels if level.plan)
    places = [rule.at, *(pack.plans[name].at for name in names if name in pack.plans)]
    silent = isinstance(rule, Rule) and rule.health == "silent"
    found = [cut(files, at, "silent_after" if silent else "") for at in places]
    made = [one for one in found if one is not None]
    if isinstance(rule, Rule) and made:
        made[1:1] = _derived(files, pack.classes[rule.cls], made[0].text)
    return tuple(made)


def _derived(
    files: Sequence[tuple[str, bytes]], cls: AssetClass, text: str
) -> Iterator[Cut]:
    """The named expressions of the class that a rule's text (or another of them) uses."""
    waiting, seen = [text], set[str]()
    roots = [root for path, data in files if (root := read(path, data, Problems())) is not None]
    while waiting:
        for name in re.findall(r"[A-Za-z_]\w*", waiting.pop()):
            if name in seen or name not in cls.derived:
                continue
            seen.add(name)
            places = (_key(root, ("classes", cls.name, "derived", name)) for root in roots)
            key = next((key for key in places if key is not None), None)
            found = cut(files, key.at) if key is not None else None
            if found is not None:
                waiting.append(found.text)
                yield found


def _key(root: Node, names: Sequence[str]) -> Scalar | None:
    """The key at the end of a path of keys."""
    node: Node | None = root
    key = None
    for name in names:
        key = node.keys.get(name) if isinstance(node, Mapping) else None
        node = node.values.get(name) if isinstance(node, Mapping) else None
    return key


def cut(files: Iterable[tuple[str, bytes]], at: Pos, key: str = "") -> Cut | None:
    """The item or entry that stands at (or is named at) a position; only its `key` if given."""
    data = next((data for path, data in files if path == at.path), None)
    root = read(at.path, data, Problems()) if data is not None else None
    lines = _place(root, at, key) if data is not None and root is not None else None
    if data is None or lines is None:
        return None
    text = data.decode("utf-8-sig")
    first = text.rfind("\n", 0, lines[0]) + 1
    last = text.find("\n", lines[1])
    last = len(text) if last < 0 else last
    while (closing := text[last + 1 :].partition("\n")[0]).strip() in _CLOSING:
        last += 1 + len(closing)
    piece = textwrap.dedent(text[first:last].replace("\r\n", "\n")).rstrip()
    return Cut(at.path, text.count("\n", 0, first) + 1, piece)


def _place(node: Node, at: Pos, key: str) -> tuple[int, int] | None:
    """Where in the text the wanted node begins and ends."""
    if isinstance(node, Items):
        return next((found for item in node.items if (found := _place(item, at, key))), None)
    if not isinstance(node, Mapping):
        return None
    for name, value in node:
        if key and at in (name.at, value.at) and isinstance(value, Mapping) and key in value.keys:
            return value.keys[key].start, _end(value.values[key], value.keys[key])
        if isinstance(value, Scalar) and value.at == at:
            first = next(iter(node.keys.values()))
            return first.start, _end(node, first)
        if not key and name.at == at:
            return name.start, _end(value, name)
        found = _place(value, at, key)     # first: a mapping stands where its first entry does
        if found is None and not key and value.at == at:
            found = name.start, _end(value, name)
        if found is not None:
            return found
    return None


def _end(node: Node, first: Scalar) -> int:
    """Where a node ends. What an alias stands for was written earlier and does not count."""
    match node:
        case Mapping():
            parts = [max(name.end, _end(value, first)) for name, value in node]
            return max(parts, default=first.end)
        case Items(items=items):
            return max((_end(item, first) for item in items), default=first.end)
        case Scalar():
            raw = node.file.text[node.start : node.end]
            return max(first.end, node.start + len(raw.rstrip()))


def _signals(rule: Rule, cls: AssetClass) -> Iterator[Signal]:
    names: dict[str, None] = {}
    for level in rule.levels:
        for e in (level.when, level.only_if, level.clear_when, level.moved):
            names.update(dict.fromkeys(_in_order(e)))
    names.update(dict.fromkeys(_in_order(rule.unless)))
    pieces = [*rule.evidence]
    for level in rule.levels:
        pieces += [one for one in level.message.en + level.message.zh if not isinstance(one, str)]
    for piece in pieces:
        names.update(dict.fromkeys(_in_order(piece.expr)))
    if rule.health == "silent":  # it reads none; what was heard before is what helps
        names = dict.fromkeys(cls.signals)
    yield from (cls.signals[name] for name in names if name in cls.signals)


def _in_order(e: Expr | None) -> Iterator[str]:
    for node in walk(e) if e is not None else ():
        if isinstance(node, SignalRef | FrozenRef) or hasattr(node, "codes"):
            yield from signals(node)
        elif isinstance(node, Fn):
            yield from sorted(node.samples)


def _limits(rule: Rule, cls: AssetClass) -> list[Limit]:
    """The limits of a rule, each signal, value and role once, of the highest severity."""
    found: dict[tuple[str, float, Role], Limit] = {}
    for level in rule.levels:
        given: tuple[tuple[Role, Expr | None], ...] = (
            ("raise", level.when), ("gate", level.only_if),
            ("clear", level.clear_when if level.clear_when is not None else level.moved),
        )  # fmt: skip
        for role, e in given:
            for limit in _compared(e, role, level.severity, cls):
                key = (limit.signal, limit.value, limit.role)
                if key not in found or found[key].severity < limit.severity:
                    found[key] = limit
    raised = {(limit.signal, limit.value) for limit in found.values() if limit.role == "raise"}
    return [limit for limit in found.values()
            if limit.role == "raise" or (limit.signal, limit.value) not in raised]  # fmt: skip


def _compared(e: Expr | None, role: Role, severity: int, cls: AssetClass) -> Iterator[Limit]:
    for node in walk(e) if e is not None else ():
        match node:
            case Op(op=op, args=(left, right)) if op in _COMPARED:
                sides = [(left, right), (right, left)]
            case Fn(name="time_to_above" | "time_to_below", args=(left, right)):
                sides = [(left, right)]
            case _:
                continue
        for side, limit in sides:
            names = [name for name in signals(side) if cls.signals[name].kind == "number"]
            if len(names) != 1 or len(signals(side)) != 1 or signals(limit):
                continue
            low, high = interval(limit, cls)
            if low != high or not math.isfinite(low):
                continue
            text = "" if isinstance(limit, Const) else show(limit, cls)
            for value in _solved(side, low, names[0], cls):
                yield Limit(names[0], value, role, severity, text)


def _solved(e: Expr, limit: float, name: str, cls: AssetClass) -> list[float]:
    """The values of a signal at which an expression of it comes to a limit.

    Found where the expression is a straight line on either side of zero (`abs` has two); a level of
    the past, as `mean(x over W)`, counts as the signal itself. Differences and slopes have none.
    """
    found: list[float] = []
    for far in (1.0, -1.0):
        at = [_at(e, x, name, cls) for x in (0.0, far, 2.0 * far)]
        slope = (at[1] - at[0]) / far
        if not math.isfinite(slope) or abs(slope) < _TINY:
            continue
        x = (limit - at[0]) / slope
        back = _at(e, x, name, cls)
        straight = math.isclose(at[2] - at[1], at[1] - at[0], rel_tol=_TINY)
        if straight and math.isclose(back, limit, rel_tol=1e-6, abs_tol=_TINY) and not any(
            math.isclose(x, other, rel_tol=1e-6, abs_tol=_TINY) for other in found
        ):
            found.append(float(number(x)))
    return found


def _at(e: Expr, x: float, name: str, cls: AssetClass) -> float:
    """An expression's value where its only signal stands at `x` and has never moved, or NaN."""
    signal = replace(cls.signals[name], low=x, high=x)
    low, high = interval(e, replace(cls, signals={**cls.signals, name: signal}))
    return low if low == high else math.nan
