"""What a rule does, in a sentence, and what it comes to for one asset.

`explain` gives lines of text: the sentence, the limits with their numbers, the signals that are
read, and the bytes of state an asset needs for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from rules import layout
from rules.compile import compile_class
from rules.errors import Invalid, near
from rules.intervals import interval
from rules.model import (
    SEVERITY_NAMES,
    Asset,
    AssetClass,
    Attribute,
    Group,
    Level,
    Pack,
    Rule,
    Samples,
    Text,
)
from rules.show import fixed, immediate, number, show, show_delay, span, unit_of
from rules.tree import Const, Expr, Fn, Op, functions, signals, walk

_SEVERITY_ZH = {1: "蓝色", 2: "黄色", 3: "橙色", 4: "红色"}

#: The sentences, by what they say.
_SAYS: dict[str, Text] = {
    "raised": Text(
        "当 {when}{delay}{gate} 时，发出{severity_zh}报警",
        "A {severity} alarm is raised when {when}{delay}{gate}",
    ),
    "delay": Text(" 持续 {delay}", " has been true for {delay}"),
    "at_once": Text("", " is true"),
    "gate": Text(" 且 {gate}", ", as long as {gate}"),
    "ends": Text("；{ends}{delay} 后恢复。", "; it ends when {ends}{delay}."),
    "ends_at_once": Text("；{ends} 时恢复。", "; it ends when {ends} is true."),
    "ends_plain": Text("；不再如此时恢复。", "; it ends when that is no longer so."),
    "ends_plain_after": Text(
        "；不再如此 {delay} 后恢复。", "; it ends when that has not been so for {delay}.",
    ),
    "latch": Text("恢复后须由操作员复位。", "Once it has ended, an operator must reset it."),
    "unless": Text("{unless} 时按设计抑制。", "It is suppressed by design while {unless}."),
    "shadow": Text("只记录，不发出。", "It is recorded only, never announced."),
    "disabled": Text("已停用。", "It is not evaluated (`enabled: false`)."),
    "raise": Text("条件未知时按真处理。", "While its condition is unknown it counts as true."),
    "clear": Text("条件未知时按假处理。", "While its condition is unknown it counts as false."),
    "escalate": Text(
        "{after} 后未{until}则升为{severity_zh}。",
        "It rises to {severity} {after} after the raise, unless {until} comes first.",
    ),
    "plan": Text("预案：{plan}。", "Plan: {plan}."),
    "by": Text(
        "按 {by} 统计 {count} 条规则的报警{within}。",
        "It counts the alarms of {count} rules by {by}{within}.",
    ),
    "within": Text("，窗口 {within}", ", within {within}"),
}

#: Words of headings and tables.
_WORDS: dict[str, Text] = {
    "limits": Text("限值", "Limits"),
    "signals": Text("读取的信号", "Signals"),
    "attributes": Text("属性", "Attributes"),
    "state": Text("状态", "State"),
    "bytes": Text("每台设备 {fixed} 字节", "{fixed} bytes an asset"),
    "windows": Text(
        "，窗口另需至多 {windows} 字节", ", and up to {windows} bytes for windows",
    ),
    "panes": Text(
        "{function} 样本超过 {most} 个：分为 {most} 格，每格 {pane}，窗口边缘误差至多一格",
        "{function} sees more than {most} samples: it keeps {most} panes of {pane}, "
        "so its edges may be off by one",
    ),
    "newest": Text(
        "{function} 样本超过 {most} 个：只用最新的 {most} 个",
        "{function} sees more than {most} samples: it uses the newest {most}",
    ),
    "default": Text("缺省值", "the default"),
    "end": Text("结束", "the end"),
}  # fmt: skip

#: Bytes of a sample in a window's ring: time and value.
_SAMPLE_BYTES = 16


@dataclass(frozen=True)
class _Teller:
    language: str

    def say(self, key: str, **words: object) -> str:
        """One of the sentences in the language."""
        return _SAYS[key].get(self.language).format(**words)

    def word(self, key: str, **words: object) -> str:
        """One of the words in the language."""
        return _WORDS[key].get(self.language).format(**words)


def explain(pack: Pack, name: str, asset: Asset | None = None, language: str = "en") -> str:
    """A rule or group in words, as it is for an asset if one is given.

    Raises Invalid for a name that the pack does not have, or an asset of another class.
    """
    rules = [rule for rule in pack.rules if rule.id == name]
    group = next((group for group in pack.groups if group.id == name), None)
    teller = _Teller("zh" if language == "zh" else "en")
    if group is not None:
        return "\n".join(_group(group, teller))
    if not rules:
        names = [rule.id for rule in pack.rules] + [group.id for group in pack.groups]
        raise Invalid(f"there is no rule {name}", near(name, names))
    if asset is not None:
        rules = [rule for rule in rules if rule.cls == asset.cls]
        if not rules:
            raise Invalid(f"{name} is not a rule of {asset.id}, which is a {asset.cls}")
    return "\n\n".join("\n".join(_rule(pack, rule, asset, teller)) for rule in rules)


def _group(group: Group, teller: _Teller) -> Iterator[str]:
    yield _header(group.id, group.title, teller)
    within = teller.say("within", within=span(group.within)) if group.within is not None else ""
    yield teller.say("by", by=group.by, count=len(group.over), within=within)
    for level in group.levels:
        yield _level(level, None, teller)
    if group.latch:
        yield teller.say("latch")


def _header(name: str, title: Text, teller: _Teller) -> str:
    text = title.get(teller.language)
    return f"{name}: {text}" if text else name


def _rule(pack: Pack, rule: Rule, asset: Asset | None, teller: _Teller) -> Iterator[str]:
    cls = pack.classes[rule.cls]
    if asset is not None:
        cls, rule = with_attributes(cls, asset), pack.variant(rule, asset.overrides)
    yield _header(rule.id, rule.title, teller) + f" ({rule.cls})"
    for level in rule.levels:
        yield _level(level, cls, teller)
    yield from _more(rule, cls, teller)
    yield from _table(teller.word("limits"), _limits(rule, cls))
    yield from _table(teller.word("signals"), _signals(rule, cls, teller))
    yield f"{teller.word('state')}: {_state(pack, rule, teller)}"
    yield from _crowded(rule, cls, teller)


def _table(title: str, rows: list[str]) -> Iterator[str]:
    if rows:
        yield f"{title}:"
        yield from (f"  {row}" for row in rows)


def _level(level: Level, cls: AssetClass | None, teller: _Teller) -> str:
    severity = {"severity": SEVERITY_NAMES[level.severity],
                "severity_zh": _SEVERITY_ZH[level.severity]}  # fmt: skip
    gate = teller.say("gate", gate=show(level.only_if, cls)) if level.only_if is not None else ""
    now = immediate(level.delay)
    delay = teller.say("at_once") if now else _lasting(level, cls, teller)
    raised = teller.say("raised", when=show(level.when, cls), delay=delay, gate=gate, **severity)
    return raised + _ending(level, cls, teller)


def _ending(level: Level, cls: AssetClass | None, teller: _Teller) -> str:
    at_once, delay = immediate(level.clear_delay), show_delay(level.clear_delay, cls)
    if level.clear_when is None and level.moved is None:
        return teller.say("ends_plain" if at_once else "ends_plain_after", delay=delay)
    if level.clear_when is not None:
        ends = show(level.clear_when, cls)
    else:
        ends = show(Op("not", (level.moved or level.when,)), cls)
    lasting = teller.say("delay", delay=delay)
    return teller.say("ends_at_once" if at_once else "ends", ends=ends, delay=lasting)


def _lasting(level: Level, cls: AssetClass | None, teller: _Teller) -> str:
    delay = level.delay
    if not isinstance(delay, Samples) and cls is not None and fixed(delay) is None:
        low, high = interval(delay, cls)
        if low == high:
            return teller.say("delay", delay=f"{span(low)} ({show_delay(delay, cls)})")
    return teller.say("delay", delay=show_delay(delay, cls))


def _more(rule: Rule, cls: AssetClass, teller: _Teller) -> Iterator[str]:
    if rule.escalate is not None:
        until = rule.escalate.until
        yield teller.say(
            "escalate",
            after=show_delay(rule.escalate.after, cls),
            until=teller.word("end") if until == "end" else until,
            severity=SEVERITY_NAMES[rule.escalate.to],
            severity_zh=_SEVERITY_ZH[rule.escalate.to],
        )
    if rule.latch:
        yield teller.say("latch")
    if rule.unless is not None:
        yield teller.say("unless", unless=show(rule.unless, cls))
    if rule.on_unknown != "keep":
        yield teller.say(rule.on_unknown)
    if rule.shadow:
        yield teller.say("shadow")
    if not rule.enabled:
        yield teller.say("disabled")
    plans = dict.fromkeys(level.plan for level in rule.levels if level.plan)
    if plans:
        yield teller.say("plan", plan=", ".join(plans))


def with_attributes(cls: AssetClass, asset: Asset) -> AssetClass:
    """The class as it is for one asset: each attribute's value in the place of its default."""
    attributes: dict[str, Attribute] = {}
    for name, attribute in cls.attributes.items():
        value = asset.attributes.get(name, attribute.default)
        attributes[name] = replace(attribute, default=value)
    for name, attribute in attributes.items():
        if attribute.by is not None and attribute.by in attributes:
            key = _key(attributes[attribute.by])
            attributes[name] = replace(attribute, default=attribute.table.get(key))
    return replace(cls, attributes=attributes)


def _key(by: Attribute) -> str:
    """The value of an attribute as the text that tables are looked up by."""
    if isinstance(by.default, str) or by.default is None:
        return by.default or ""
    names = {code: name for name, code in by.names.items()}
    return names.get(int(by.default), number(by.default))


def _limits(rule: Rule, cls: AssetClass) -> list[str]:
    """Each comparison with an attribute, with the number it comes to."""
    found: dict[str, None] = {}
    for e in _conditions(rule):
        for node in walk(e):
            if isinstance(node, Op) and node.op in {"lt", "le", "gt", "ge", "eq", "ne"}:
                left, right = node.args
                limit, other = (right, left) if signals(left) else (left, right)
                low, high = interval(limit, cls)
                plain = isinstance(limit, Const) or bool(signals(limit))
                if not plain and low == high:
                    unit = unit_of(limit, cls) or unit_of(other, cls)
                    found.setdefault(f"{show(limit, cls)} = {number(low, unit)}")
    return list(found)


def _conditions(rule: Rule) -> Iterator[Expr]:
    for level in rule.levels:
        given = (level.when, level.only_if, level.clear_when, level.moved)
        yield from (e for e in given if e is not None)
        yield from (e for e in (level.delay, level.clear_delay) if not isinstance(e, Samples))
    if rule.unless is not None:
        yield rule.unless


def _signals(rule: Rule, cls: AssetClass, teller: _Teller) -> list[str]:
    names = sorted(frozenset[str]().union(*map(signals, _conditions(rule))))
    rows = []
    for name in names:
        signal = cls.signals[name]
        about = [signal.unit or signal.kind]
        if signal.low > -np.inf or signal.high < np.inf:
            about.append(f"[{signal.low:g}, {signal.high:g}]")
        times: Mapping[str, int | None] = {
            "period": signal.period, "stale_after": signal.stale_after, "expires": signal.expires,
        }  # fmt: skip
        about += [f"{key} {span(ms)}" for key, ms in times.items() if ms is not None]
        if signal.default is not None:
            about.append(f"{teller.word('default')} {signal.default:g}")
        rows.append(f"{name}: {', '.join(about)}")
    return rows


def _state(pack: Pack, rule: Rule, teller: _Teller) -> str:
    cls = pack.classes[rule.cls]
    zone = (np.zeros(1, np.int64), np.zeros(1, np.int64))
    running = [one for one in pack.rules_of(rule.cls) if one.enabled or one.id == rule.id]
    chosen = [replace(rule, enabled=True) if one.id == rule.id else one for one in running]
    compiled = compile_class(cls, chosen, zone)
    index = [one.id for one in compiled.rules].index(rule.id)
    part = compiled.parts[index]
    text = teller.word("bytes", fixed=8 * (part.end - part.start))
    windows = sum(_ring(of, cls) for of in _windows(rule))
    return text + (teller.word("windows", windows=windows) if windows else "")


def _windows(rule: Rule) -> tuple[Fn, ...]:
    """The windows that a rule keeps, equal ones once."""
    pieces = [piece.expr for piece in rule.evidence if piece.expr is not None]
    every = (of for e in (*_conditions(rule), *pieces) for of in functions(e))
    return tuple(dict.fromkeys(of for of in every if of.form == "over" or of.name == "delta"))


def _expected(of: Fn, cls: AssetClass) -> float | None:
    """How many samples a window will see, going by the shortest period; None if there is none."""
    periods = [cls.signals[name].period for name in of.samples if name in cls.signals]
    known = [period for period in periods if period]
    reach = _reach(of, cls)
    return reach / min(known) if known and reach is not None else None


def _reach(of: Fn, cls: AssetClass) -> float | None:
    """How far back a window looks, W + D in ms; None where that is not the same for every asset."""
    ends = [interval(duration, cls) for duration in of.durations]
    return sum(high for _, high in ends) if all(low == high for low, high in ends) else None


def _ring(of: Fn, cls: AssetClass) -> int:
    """Bytes of the ring of a window, which doubles as it fills and may turn into panes."""
    most = layout.WINDOW_TIMES if of.name == "times" else layout.WINDOW_SAMPLES
    expected = _expected(of, cls)
    if of.name not in ("times", "median") and (expected is None or expected > most):
        return layout.WINDOW_SAMPLES * layout.PANE_WIDTH * 8
    entries = most if expected is None else min(most, int(expected) + 1)
    size = layout.RING_START
    while size < entries:
        size *= 2
    return size * _SAMPLE_BYTES


def _crowded(rule: Rule, cls: AssetClass, teller: _Teller) -> Iterator[str]:
    for of in _windows(rule):
        expected = _expected(of, cls)
        if of.name != "times" and expected is not None and expected > layout.WINDOW_SAMPLES:
            key = "newest" if of.name == "median" else "panes"
            pane = span(-(-(_reach(of, cls) or 0.0) // layout.PANES))
            yield teller.word(
                key, function=show(of, cls), most=layout.WINDOW_SAMPLES, pane=pane
            )
