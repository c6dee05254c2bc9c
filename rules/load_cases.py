"""The `tests:` of the documents become `Case` values: values checked against the classes, lines of
`given` and values of `series` of one asset at one time put into one message."""

from __future__ import annotations

from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
import math
import re
from dataclasses import dataclass, field
from typing import get_args

from rules.cases import Case, Expected, Moment
from rules.document import CaseDoc, check
from rules.errors import Invalid, Problems, near
from rules.load_assets import OVERRIDES, AssetReader
from rules.load_values import integer, span, typed
from rules.model import SEVERITIES, Asset, Pack, Pos, Signal
from rules.reader import Mapping, Node, Scalar, Sequence, describe
from rules.units import milliseconds
from streams.records import Command, Message, TransitionKind

ONE = "asset"                # the id of the asset of a test that has one
MAX_SAMPLES = 1_000_000      # of a test
KINDS: tuple[TransitionKind, ...] = get_args(TransitionKind)
COMMANDS = ("reset", "acknowledge", "step", "set")
_SEGMENT = re.compile(
    r"(?P<first>.+?)(?:\s+(?P<sign>[-+])\s*(?P<step>\S+))?\s+x\s+(?P<count>\d{1,7})"
    r"\s+every\s+(?P<period>.+?)(?:\s+from\s+(?P<start>.+))?"
)
_DECIMAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?")


class CaseReader:
    """Reads the tests of one pack; `zone` is the site's, for `start`."""

    def __init__(self, pack: Pack, zone: tzinfo) -> None:
        self.pack = pack
        self.zone = zone
        self.assets = AssetReader(pack)
        self.groups = {group.id: group for group in pack.groups}
        self.rules = {rule.id for rule in pack.rules}

    def read(self, node: Node) -> Case:
        """The case of a test; whatever is wrong with it is among its problems."""
        problems = Problems()
        doc = check(CaseDoc, node, problems)
        if doc is None:
            title = node.values.get("test") if isinstance(node, Mapping) else None
            shown = title.text if isinstance(title, Scalar) else describe(node)
            return Case(shown, 0, 0, problems=tuple(problems.sorted()), at=node.at)
        return _Draft(self, doc, problems).case()


@dataclass
class _Draft:
    """One test on its way to a `Case`. Times are ms from 0 s until the end."""

    reader: CaseReader
    doc: CaseDoc
    problems: Problems
    values: dict[int, dict[str, dict[str, object]]] = field(default_factory=dict)
    commands: dict[int, list[Command]] = field(default_factory=dict)
    assets: dict[str, Asset] = field(default_factory=dict)
    samples: int = 0
    last: int = 0                # the last time named anywhere

    def case(self) -> Case:
        doc, problems = self.doc, self.problems
        start = self._start()
        self._take_assets()
        if self.assets:
            self._given()
            for key, series in doc.series.items():
                self._series(key, series)
            self._do()
        expect = tuple(line for item in doc.expect if (line := self._expected(item)) is not None)
        for one in doc.never:
            self._known(one)
        until = span(doc.until, "until", problems, least=0)
        return Case(
            name=doc.test.text,
            start=start,
            until=start + (self.last if until is None else until),
            assets=tuple(self.assets.values()),
            moments=tuple(self._moment(t, start)
                          for t in sorted(self.values.keys() | self.commands.keys())),
            expect=expect,
            never=tuple(one.text for one in doc.never),
            problems=tuple(problems.sorted()),
            at=doc.test.at,
        )

    def _moment(self, t: int, start: int) -> Moment:
        messages = tuple(
            Message(asset, self.assets[asset].cls, start + t, values)
            for asset, values in self.values.get(t, {}).items()
        )
        return Moment(start + t, messages, tuple(self.commands.get(t, ())))

    def _start(self) -> int:
        """0 s in ms since 1970."""
        text = self.doc.start.text if self.doc.start is not None else "1970-01-01T00:00:00"
        try:
            local = datetime.fromisoformat(text)
            if not 1970 <= local.year < 2200:
                raise ValueError(text)
        except ValueError:
            at = self.doc.start.at if self.doc.start is not None else self.doc.at
            self.problems.add(at, f"start: expected a local time, found `{text[:40]}`",
                              "for example 2026-03-01T06:00:00")
            return 0
        placed = local if local.tzinfo is not None else local.replace(tzinfo=self.reader.zone)
        return round(placed.timestamp() * 1000)

    def _take_assets(self) -> None:
        doc = self.doc
        if doc.assets is not None and doc.asset is not None:
            self.problems.add(doc.key_at("asset"), "asset and assets, not both")
            return
        if doc.assets is None:
            key = Scalar(doc.test.file, ONE, doc.test.line, doc.test.column, 0, 0, plain=True)
            self._take_asset(key, doc.asset)
            return
        table = doc.node.values["assets"]
        assert isinstance(table, Mapping)
        for key, node in table:
            self._take_asset(key, node)

    def _take_asset(self, key: Scalar, node: Node | None) -> None:
        cls = self.doc.cls
        attributes: dict[str, tuple[Pos, Scalar]] = {}
        overrides: dict[str, tuple[Pos, Scalar]] = {}
        if isinstance(node, Mapping):
            for name, value in node:
                if name.text == OVERRIDES and isinstance(value, Mapping):
                    overrides = self._scalars(value)
                elif name.text == "class" and isinstance(value, Scalar):
                    cls = value
                else:
                    attributes |= self._scalars(Mapping(
                        name.at, {name.text: name}, {name.text: value}))
        elif node is not None and not (isinstance(node, Scalar) and node.is_null):
            self.problems.add(node.at, f"expected attributes, found {describe(node)}",
                              "{rated_speed: 1.75 m/s}")
        if cls is None:
            self.problems.add(self.doc.at, "class missing", "name the class of the asset")
            return
        made = self.reader.assets.asset(key, cls, attributes, overrides, self.problems)
        if made is not None:
            self.assets[made.id] = made

    def _scalars(self, node: Mapping) -> dict[str, tuple[Pos, Scalar]]:
        found: dict[str, tuple[Pos, Scalar]] = {}
        for key, value in node:
            if isinstance(value, Scalar):
                found[key.text] = (key.at, value)
            else:
                self.problems.add(value.at, f"expected one value, found {describe(value)}")
        return found

    def _given(self) -> None:
        table = self.doc.node.values.get("given")
        if not isinstance(table, Mapping):
            return
        for key, node in table:
            if key.text in self.assets and self.doc.assets is not None:
                for time, line in self._mapping(node):
                    self._line(self._time(time), key, line)
                continue
            t = self._time(key)
            if self.doc.assets is None:
                self._line(t, None, node)
                continue
            for asset, line in self._mapping(node):
                self._line(t, asset, line)

    def _line(self, t: int | None, asset: Scalar | None, node: Node) -> None:
        name = asset.text if asset is not None else ONE
        if asset is not None and name not in self.assets:
            self._unknown_asset(asset.at, name)
            return
        for key, value in self._mapping(node):
            signal = self._signal(name, key.text, key.at)
            if signal is not None and t is not None:
                self._put(t, name, signal, self._reading(signal, value), value.at)

    def _mapping(self, node: Node) -> Mapping:
        if isinstance(node, Mapping):
            return node
        self.problems.add(node.at, f"expected a mapping, found {describe(node)}")
        return Mapping(node.at, {}, {})

    def _time(self, key: Scalar) -> int | None:
        t = span(key, "time", self.problems, least=0)
        if t is not None:
            self.last = max(self.last, t)
        return t

    def _signal(self, asset: str, name: str, at: Pos) -> Signal | None:
        cls = self.reader.pack.classes[self.assets[asset].cls]
        if name not in cls.signals:
            self.problems.add(at, f"unknown signal `{name}` of class `{cls.name}`",
                              near(name, cls.signals))
        return cls.signals.get(name)

    def _put(self, t: int, asset: str, signal: Signal, value: object, at: Pos) -> None:
        line = self.values.setdefault(t, {}).setdefault(asset, {})
        if signal.name in line:
            self.problems.add(at, f"duplicate: `{signal.name}` has two values at {t} ms",
                              "given and series are one message at one time")
        line[signal.name] = value
        self.last = max(self.last, t)

    def _reading(self, signal: Signal, node: Node) -> object:
        """A value as an engine takes it: number, bool, code, list of codes, None for a bad one."""
        if isinstance(node, Sequence) and signal.kind == "events":
            return [self._reading(signal, item) for item in node.items]
        if not isinstance(node, Scalar):
            self.problems.add(node.at, f"expected a value, found {describe(node)}")
            return None
        if node.is_null or node.text == "bad":
            return None
        if signal.kind in {"states", "events"} and node.text not in signal.names:
            code = integer(node.text)
            if code is not None or signal.kind == "events":
                return code if code is not None else node.text    # not listed: as a site may send
        found = typed(node, signal, signal.name, self.problems)
        if signal.kind == "bool":
            return bool(found)
        return int(found) if signal.kind != "number" and isinstance(found, float) else found

    def _series(self, key: str, series: Scalar) -> None:
        """`40 + 0.5 x 120 every 1 s; …` for SIGNAL or ASSET.SIGNAL."""
        table = self.doc.node.values["series"]
        assert isinstance(table, Mapping)
        at = table.keys[key].at
        asset, dot, name = key.rpartition(".")
        if dot and asset not in self.assets:
            self._unknown_asset(at, asset)
            return
        if not dot and self.doc.assets is not None and len(self.assets) > 1:
            self.problems.add(at, f"asset missing before `{key}`", f"write ASSET.{key}")
            return
        asset = asset or next(iter(self.assets))
        signal = self._signal(asset, name, at)
        t = 0
        for text in series.text.split(";") if signal is not None else ():
            found = _SEGMENT.fullmatch(text.strip())
            try:
                if found is None or signal is None:
                    raise Invalid(f"series: not understood: `{text.strip()[:60]}`",
                                  "for example 40 + 0.5 x 120 every 1 s from 10 s")
                t = self._segment(asset, signal, series, found, t)
            except Invalid as error:
                self.problems.add(series.at, error.message, error.fix)
                return

    def _segment(self, asset: str, signal: Signal, series: Scalar, found: re.Match[str],
                 t: int) -> int:
        """Adds the values of one segment; gives the time at which the next one goes on."""
        period = milliseconds(found["period"])
        if period < 1:
            raise Invalid("series: the period must be longer than 0 s")
        if found["start"] is not None:
            t = milliseconds(found["start"])
        count = int(found["count"])
        self.samples += count
        if self.samples > MAX_SAMPLES:
            raise Invalid(f"series: more than {MAX_SAMPLES} values in one test")
        first = Scalar(series.file, found["first"], series.line, series.column, 0, 0, plain=True)
        if found["step"] is None:
            value = self._reading(signal, first)
            for index in range(count):
                self._put(t + index * period, asset, signal, value, series.at)
        else:
            begin = _decimal(found["first"])
            step = _decimal(found["step"]) * (1 if found["sign"] == "+" else -1)
            for index in range(count):
                number = float(begin + index * step)
                self._put(t + index * period, asset, signal, number, series.at)
        return t + count * period

    def _do(self) -> None:
        table = self.doc.node.values.get("do")
        if not isinstance(table, Mapping):
            return
        for key, node in table:
            t = self._time(key)
            for item in node.items if isinstance(node, Sequence) else (node,):
                command = self._command(self._mapping(item))
                if command is not None and t is not None:
                    self.commands.setdefault(t, []).append(command)

    def _command(self, node: Mapping) -> Command | None:
        words = self._words(node, (*COMMANDS, "of", "to", "by", "asset", "group"))
        kind = next((one for one in COMMANDS if one in words), None)
        if kind is None:
            self.problems.add(node.at, "expected a command", "one of " + ", ".join(COMMANDS))
            return None
        by = words["by"].text if "by" in words else ""
        if kind == "set":
            return self._set(node, words, by)
        rule = words.get("of") if kind == "step" else words[kind]
        if rule is None:
            self.problems.add(node.at, "of missing", "{step: NAME, of: RULE}")
            return None
        if not self._known(rule):
            return None
        group = rule.text in self.reader.groups
        if group and "group" not in words:
            self.problems.add(node.at, "group missing", "name the group: `group: north`")
            return None
        asset = words["group"].text if group else self._which(node, words)
        step = words["step"].text if kind == "step" else ""
        if asset is None:
            return None
        return Command(kind, rule.text, asset, group=group, step=step, by=by)

    def _set(self, node: Mapping, words: dict[str, Scalar], by: str) -> Command | None:
        asset = self._which(node, words)
        if asset is None:
            return None
        name = words["set"]
        signal = self._signal(asset, name.text, name.at)
        if signal is None:
            return None
        if not signal.operator:
            self.problems.add(name.at, f"`{signal.name}` is not entered by operators",
                              "declare it with `set_by: operator`")
            return None
        if "to" not in words:
            self.problems.add(node.at, "to missing", "{set: SIGNAL, to: VALUE}")
            return None
        value = self._reading(signal, words["to"])
        assert value is None or isinstance(value, float | str | bool | int)
        return Command("set", signal.name, asset, value=value, by=by)

    def _which(self, node: Mapping, words: dict[str, Scalar]) -> str | None:
        """The asset of a command."""
        if "asset" in words:
            found = words["asset"]
            if found.text in self.assets:
                return found.text
            self._unknown_asset(found.at, found.text)
            return None
        if len(self.assets) == 1:
            return next(iter(self.assets))
        self.problems.add(node.at, "asset missing", "there are several: name one")
        return None

    def _expected(self, node: Node) -> Expected | None:
        line = self._mapping(node)
        words = self._words(line, ("at", *KINDS, "severity", "asset", "group"))
        kind = next((one for one in KINDS if one in words), None)
        if kind is None or "at" not in words:
            self.problems.add(line.at, "at missing" if kind else "expected a kind of transition",
                              "for example {at: 25 s, raised: RULE}")
            return None
        t = self._time(words["at"])
        severity = words.get("severity")
        if severity is not None and severity.text not in SEVERITIES:
            self.problems.add(severity.at, f"unknown severity {describe(severity)}",
                              near(severity.text, SEVERITIES))
            return None
        asset = words.get("asset")
        if asset is not None and asset.text not in self.assets:
            self._unknown_asset(asset.at, asset.text)
            return None
        key = words.get("group") or asset
        if not self._known(words[kind]) or t is None:
            return None
        rule = words[kind].text
        if "group" in words and rule not in self.reader.groups:
            self.problems.add(words["group"].at, f"`{rule}` is not a group", "name its asset")
        return Expected(t, kind, rule, SEVERITIES[severity.text] if severity is not None else None,
                        key.text if key is not None else None, line.at)

    def _words(self, node: Mapping, known: tuple[str, ...]) -> dict[str, Scalar]:
        """The values of a line; unknown keys, and two kinds in one line, are noted."""
        found: dict[str, Scalar] = {}
        for key, value in node:
            if key.text not in known:
                self.problems.add(key.at, f"unknown key `{key.text}`",
                                  near(key.text, known) or "known here: " + ", ".join(known))
            elif not isinstance(value, Scalar) or value.is_null and key.text != "to":
                self.problems.add(value.at, f"expected one value, found {describe(value)}")
            else:
                found[key.text] = value
        kinds = [name for name in found if name in KINDS or name in COMMANDS]
        for extra in kinds[1:]:
            self.problems.add(node.keys[extra].at, f"`{kinds[0]}` and `{extra}`, not both",
                              "write two lines")
        return found

    def _known(self, rule: Scalar) -> bool:
        if rule.text in self.reader.rules or rule.text in self.reader.groups:
            return True
        names = self.reader.rules | self.reader.groups.keys()
        self.problems.add(rule.at, f"unknown rule {describe(rule)}", near(rule.text, names))
        return False

    def _unknown_asset(self, at: Pos, name: str) -> None:
        self.problems.add(at, f"unknown asset `{name}`", near(name, self.assets)
                          or "name it under `assets`")


def _decimal(text: str) -> Decimal:
    """A number exactly as written."""
    if not _DECIMAL.fullmatch(text):
        raise Invalid(f"series: expected a number, found `{text[:40]}`")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Invalid(f"series: expected a number, found `{text[:40]}`") from None
    if not math.isfinite(float(number)):
        raise Invalid(f"series: number too large: `{text[:40]}`")
    return number
