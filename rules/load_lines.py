"""The lines of a test: commands under `do`, transitions under `expect`."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from typing import cast, get_args

from rules.cases import Expected
from rules.errors import Problems, near
from rules.load_values import integer, typed
from rules.model import SEVERITIES, Asset, Pack, Pos, Signal
from rules.reader import Mapping, Node, Scalar, Sequence, describe
from rules.records import Command, EngineCommand, TransitionKind

KINDS: tuple[TransitionKind, ...] = get_args(TransitionKind)
COMMANDS: tuple[EngineCommand, ...] = get_args(EngineCommand)


def reading(signal: Signal, node: Node, problems: Problems) -> object:
    """A value as an engine takes it: number, bool, code, list of codes, None for a bad one."""
    if isinstance(node, Sequence) and signal.kind == "events":
        return [reading(signal, item, problems) for item in node.items]
    if not isinstance(node, Scalar):
        problems.add(node.at, f"expected a value, found {describe(node)}")
        return None
    if node.is_null or node.text == "bad":
        return None
    if signal.kind in {"states", "events"} and node.text not in signal.names:
        code = integer(node.text)
        if code is not None or signal.kind == "events":
            return code if code is not None else node.text    # not listed: as a site may send
    found = typed(node, signal, signal.name, problems)
    if signal.kind == "bool":
        return bool(found)
    return int(found) if signal.kind != "number" and isinstance(found, float) else found


def scalars(node: Mapping, known: tuple[str, ...], problems: Problems) -> dict[str, Scalar]:
    """The values of a line by its known keys; two kinds in one line are noted."""
    found: dict[str, Scalar] = {}
    for key, value in node:
        if key.text not in known:
            problems.add(key.at, f"unknown key `{key.text}`",
                         near(key.text, known) or "known here: " + ", ".join(known))
        elif not isinstance(value, Scalar) or (value.is_null and key.text != "to"):
            problems.add(value.at, f"expected one value, found {describe(value)}")
        else:
            found[key.text] = value
    kinds = [name for name in found if name in KINDS or name in COMMANDS]
    for extra in kinds[1:]:
        problems.add(node.keys[extra].at, f"`{kinds[0]}` and `{extra}`, not both",
                     "write two lines")
    return found


class Lines:
    """Reads the lines of one test, whose assets are known."""

    def __init__(self, pack: Pack, assets: Dict[str, Asset], problems: Problems) -> None:
        self.pack = pack
        self.assets = assets
        self.problems = problems
        self.groups = {group.id for group in pack.groups}
        self.rules = {rule.id for rule in pack.rules} | self.groups

    def known(self, rule: Scalar) -> bool:
        """Whether that is a rule or group; if not, it is noted."""
        if rule.text not in self.rules:
            self.problems.add(rule.at, f"unknown rule {describe(rule)}",
                              near(rule.text, self.rules))
        return rule.text in self.rules

    def signal(self, asset: str, name: str, at: Pos) -> Signal | None:
        """A signal of an asset's class; None if there is none, which is noted."""
        cls = self.pack.classes[self.assets[asset].cls]
        if name not in cls.signals:
            self.problems.add(at, f"unknown signal `{name}` of class `{cls.name}`",
                              near(name, cls.signals))
        return cls.signals.get(name)

    def unknown_asset(self, at: Pos, name: str) -> None:
        """Notes an asset that the test does not have."""
        self.problems.add(at, f"unknown asset `{name}`",
                          near(name, self.assets) or "name it under `assets`")

    def command(self, node: Mapping) -> Command | None:
        """An operator's command."""
        words = scalars(node, (*COMMANDS, "of", "to", "by", "asset", "group"), self.problems)
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
        if not self.known(rule):
            return None
        group = rule.text in self.groups
        if group and "group" not in words:
            self.problems.add(node.at, "group missing", "name the group: `group: north`")
            return None
        if "group" in words and not group:
            self.problems.add(words["group"].at, f"`{rule.text}` is not a group", "name its asset")
        asset = words["group"].text if group else self._which(node, words)
        step = words["step"].text if kind == "step" else ""
        if asset is None:
            return None
        return Command(kind, rule.text, asset, group=group, step=step, by=by)

    def _set(self, node: Mapping, words: dict[str, Scalar], by: str) -> Command | None:
        asset = self._which(node, words)
        name = words["set"]
        signal = self.signal(asset, name.text, name.at) if asset is not None else None
        if asset is None or signal is None:
            return None
        if not signal.operator:
            self.problems.add(name.at, f"`{signal.name}` is not entered by operators",
                              "declare it with `set_by: operator`")
            return None
        if "to" not in words:
            self.problems.add(node.at, "to missing", "{set: SIGNAL, to: VALUE}")
            return None
        value = cast("float | str | bool | None", reading(signal, words["to"], self.problems))
        return Command("set", signal.name, asset, value=value, by=by)

    def _which(self, node: Mapping, words: dict[str, Scalar]) -> str | None:
        """The asset of a command."""
        if "asset" in words:
            found = words["asset"]
            if found.text in self.assets:
                return found.text
            self.unknown_asset(found.at, found.text)
            return None
        if len(self.assets) == 1:
            return next(iter(self.assets))
        self.problems.add(node.at, "asset missing", "there are several: name one")
        return None

    def expected(self, line: Mapping, words: dict[str, Scalar], t: int | None) -> Expected | None:
        """A transition that must come, at `t` ms from 0 s."""
        kind = next((one for one in KINDS if one in words), None)
        if kind is None or "at" not in words:
            self.problems.add(line.at, "at missing" if kind else "expected a kind of transition",
                              "for example {at: 25 s, raised: RULE}")
            return None
        severity = words.get("severity")
        if severity is not None and severity.text not in SEVERITIES:
            self.problems.add(severity.at, f"unknown severity {describe(severity)}",
                              near(severity.text, SEVERITIES))
            return None
        asset, group = words.get("asset"), words.get("group")
        if asset is not None and asset.text not in self.assets:
            self.unknown_asset(asset.at, asset.text)
            return None
        if not self.known(words[kind]) or t is None:
            return None
        rule = words[kind].text
        if group is not None and rule not in self.groups:
            self.problems.add(group.at, f"`{rule}` is not a group", "name its asset")
        key = group or asset
        return Expected(
            at=t,
            kind=kind,
            rule=rule,
            severity=SEVERITIES[severity.text] if severity is not None else None,
            key=key.text if key is not None else None,
            pos=line.at,
        )
