"""The `tests:` of the documents become `Case` values: values checked against the classes, lines of
`given` and values of `series` of one asset at one time put into one message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from rules.cases import Case, Moment
from rules.document import CaseDoc, check
from rules.errors import Invalid, Problems
from rules.load_assets import OVERRIDES, AssetReader, Placed
from rules.load_lines import KINDS, Lines, reading, scalars
from rules.load_series import series
from rules.load_values import span
from rules.model import Asset, Pack, Pos, Signal
from rules.reader import Mapping, Node, Scalar, Sequence, describe
from rules.records import Command, Message

ONE = "asset"                # the id of the asset of a test that has one


class CaseReader:
    """Reads the tests of one pack; `zone` is the site's, for `start`."""

    def __init__(self, pack: Pack, zone: tzinfo) -> None:
        self.pack = pack
        self.zone = zone
        self.assets = AssetReader(pack)

    def read(self, node: Node) -> Case:
        """The case of a test; whatever is wrong with it is among its problems."""
        problems = Problems()
        doc = check(CaseDoc, node, problems)
        if doc is not None:
            return _Draft(self, doc, problems).case()
        title = node.values.get("test") if isinstance(node, Mapping) else None
        shown = title.text if isinstance(title, Scalar) else describe(node)
        return Case(shown, 0, 0, problems=tuple(problems.sorted()), at=node.at)


@dataclass
class _Draft:
    """One test on its way to a `Case`. Times are ms from 0 s until the end."""

    reader: CaseReader
    doc: CaseDoc
    problems: Problems
    assets: dict[str, Asset] = field(default_factory=dict)
    values: dict[int, dict[str, dict[str, object]]] = field(default_factory=dict)
    commands: dict[int, list[Command]] = field(default_factory=dict)
    last: int = 0            # the last time named anywhere

    def case(self) -> Case:
        """The whole of it."""
        doc, problems = self.doc, self.problems
        start = self._start()
        self._take_assets()
        self.lines = Lines(self.reader.pack, self.assets, problems)
        if self.assets:
            self._given()
            for key, text in doc.series.items():
                self._series(key, text)
            self._do()
        expect = []
        for node in doc.expect:
            line = self._mapping(node)
            words = scalars(line, ("at", *KINDS, "severity", "asset", "group"), problems)
            t = self._time(words["at"]) if "at" in words else None
            expected = self.lines.expected(line, words, t)
            if expected is not None:
                expect.append(expected)
        for one in doc.never:
            self.lines.known(one)
        until = span(doc.until, "until", problems, least=0)
        return Case(
            name=doc.test.text,
            start=start,
            until=start + (self.last if until is None else until),
            assets=tuple(self.assets.values()),
            moments=tuple(self._moment(t, start)
                          for t in sorted(self.values.keys() | self.commands.keys())),
            expect=tuple(expect),
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
            local: datetime | None = datetime.fromisoformat(text)
        except ValueError:
            local = None
        if local is None or not 1970 <= local.year < 2200:
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
            at = doc.test
            self._take_asset(Scalar(at.file, ONE, at.line, at.column, 0, 0, plain=True), doc.asset)
            return
        for key, node in self._section("assets"):
            self._take_asset(key, node)

    def _take_asset(self, key: Scalar, node: Node | None) -> None:
        cls = self.doc.cls
        attributes: Placed = {}
        overrides: Placed = {}
        if isinstance(node, Mapping):
            for name, value in node:
                if name.text == OVERRIDES and isinstance(value, Mapping):
                    overrides = self._placed(value)
                elif name.text == "class" and isinstance(value, Scalar):
                    cls = value
                else:
                    one = Mapping(name.at, {name.text: name}, {name.text: value})
                    attributes |= self._placed(one)
        elif node is not None and not (isinstance(node, Scalar) and node.is_null):
            self.problems.add(node.at, f"expected attributes, found {describe(node)}",
                              "{rated_speed: 1.75 m/s}")
        if cls is None:
            self.problems.add(self.doc.at, "class missing", "name the class of the asset")
            return
        made = self.reader.assets.asset(key, cls, attributes, overrides, self.problems)
        if made is not None:
            self.assets[made.id] = made

    def _placed(self, node: Mapping) -> Placed:
        found: Placed = {}
        for key, value in node:
            if isinstance(value, Scalar):
                found[key.text] = (key.at, value)
            else:
                self.problems.add(value.at, f"expected one value, found {describe(value)}")
        return found

    def _given(self) -> None:
        """Both `0 s: {L1: {…}}` and `L1: {0 s: {…}}`; with one asset `0 s: {…}`."""
        several = self.doc.assets is not None
        for key, node in self._section("given"):
            if several and key.text in self.assets:
                for time, line in self._mapping(node):
                    self._line(self._time(time), key.text, line)
                continue
            t = self._time(key)
            if not several:
                self._line(t, ONE, node)
                continue
            for asset, line in self._mapping(node):
                if asset.text in self.assets:
                    self._line(t, asset.text, line)
                else:
                    self.lines.unknown_asset(asset.at, asset.text)

    def _line(self, t: int | None, asset: str, node: Node) -> None:
        if t is not None:       # a line without values is a message all the same
            self.values.setdefault(t, {}).setdefault(asset, {})
            self.last = max(self.last, t)
        for key, value in self._mapping(node):
            signal = self.lines.signal(asset, key.text, key.at)
            if signal is not None and t is not None:
                self._put(t, asset, signal, reading(signal, value, self.problems), value.at)

    def _put(self, t: int, asset: str, signal: Signal, value: object, at: Pos) -> None:
        line = self.values.setdefault(t, {}).setdefault(asset, {})
        if signal.name in line:
            self.problems.add(at, f"duplicate: `{signal.name}` has two values at {t} ms",
                              "given and series are one message at one time")
        line[signal.name] = value
        self.last = max(self.last, t)

    def _series(self, key: str, text: Scalar) -> None:
        """The values of SIGNAL or ASSET.SIGNAL."""
        at = self._section("series").keys[key].at
        asset, dot, name = key.rpartition(".")
        if dot and asset not in self.assets:
            self.lines.unknown_asset(at, asset)
            return
        if not dot and len(self.assets) > 1:
            self.problems.add(at, f"asset missing before `{key}`", f"write ASSET.{key}")
            return
        asset = asset or next(iter(self.assets))
        signal = self.lines.signal(asset, name, at)
        if signal is None:
            return

        def constant(word: str) -> object:
            scalar = Scalar(text.file, word, text.line, text.column, 0, 0, plain=True)
            return reading(signal, scalar, self.problems)

        try:
            for t, value in series(text.text, constant):
                self._put(t, asset, signal, value, text.at)
        except Invalid as error:
            self.problems.add(text.at, error.message, error.fix)

    def _do(self) -> None:
        for key, node in self._section("do"):
            t = self._time(key)
            for item in node.items if isinstance(node, Sequence) else (node,):
                command = self.lines.command(self._mapping(item))
                if command is not None and t is not None:
                    self.commands.setdefault(t, []).append(command)

    def _section(self, key: str) -> Mapping:
        """A part of the test that its shape has shown to be a mapping, or an empty one."""
        node = self.doc.node.values.get(key)
        return node if isinstance(node, Mapping) else Mapping(self.doc.at, {}, {})

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
