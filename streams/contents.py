"""What the records of the ledger say. Pure.

    activation   rules take effect: hash of the pack, of the inventory, what starts anew; or the
                 inventory changes (`assets`, `removed`)
    command      what an operator ordered, and its result; a refused one is recorded, too
    alert        a change of an alarm (`rules.records.Change`): what consumers are given

An alert says all that its change says, so that the alerts of a ledger, in order, make the state of
all alarms again: `change_of` reads what `Contents.alert` wrote. Keys that say nothing are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rules.model import SEVERITIES, SEVERITY_NAMES, Asset, Group, Pack, Rule
from rules.records import Change, Command, Transition
from streams.alarms import alarm_id
from streams.ledger import meaning
from streams.render import LANGUAGES, alert, catalogue, rfc3339, title_of

#: Text of an asset's attribute: (asset, attribute) -> text or None.
AttributeOf = Callable[[str, str], str | None]
ClassOf = Callable[[str], str | None]
Content = dict[str, Any]

#: Of a change: names in the record that are as in the change, where they say something.
_PLAIN = ("held", "by", "reason", "request", "step", "fields", "once", "plan", "clocks", "closing")
_CONDITION = frozenset({
    "raised", "level", "returned", "cleared", "stale", "fresh", "suppressed", "unsuppressed",
})  # fmt: skip
#: What the later records of an alarm repeat of the last one about its condition.
_SAID = ("since_ms", "level", "title", "text", "evidence", "version", "class", "place", "desk",
         "tags", "hazard", "first_out", "counted")


class Contents:
    """Makes contents for the rules of a pack. `said` is what alarms said last, by id."""

    def __init__(self, pack: Pack, class_of: ClassOf, attribute_of: AttributeOf) -> None:
        self.said: dict[str, Content] = {}
        self._class_of, self._attribute_of = class_of, attribute_of
        self.use(pack)

    def use(self, pack: Pack) -> None:
        """From now on for the rules of this pack."""
        self._pack = pack
        self._known = catalogue(pack)
        self._versions: dict[tuple[str, str], str] = {}

    def alert(self, change: Change, position: object) -> Content:
        """The content of a change. `position`: how many messages had been taken by then; in a
        partition, see `streams.partition.Position`."""
        alarm = alarm_id(change.rule, change.asset, change.raised)
        if change.condition is not None:
            said = self._condition(change, change.condition, alarm)
            self.said[alarm] = {key: said[key] for key in _SAID if key in said}
        else:
            said = self.said.get(alarm) or self._point(change)
        content: Content = {
            **said,
            "type": "alert", "alarm": alarm, "seq": change.seq, "kind": change.kind,
            "t_ms": change.t, "time": rfc3339(change.t), "raised_ms": change.raised,
            "asset": change.asset, "group": change.group, "rule": change.rule,
            "severity": SEVERITY_NAMES[change.severity], "announced": change.announced,
            "position": position,
        }  # fmt: skip
        content |= {name: value for name in _PLAIN if (value := getattr(change, name))}
        if change.until is not None:
            content["until_ms"] = change.until
        if change.skipped:
            content["skipped"] = list(change.skipped)
        if change.notify:
            content["notify"] = list(change.notify)
        if change.floor:
            content["floor"] = SEVERITY_NAMES[change.floor]
        return content

    def _condition(self, change: Change, tr: Transition, alarm: str) -> Content:
        cls = "" if tr.group else self._class_of(tr.asset) or ""
        rule = self._known[tr.rule, cls]
        shown = msgspec.structs.replace(tr, severity=change.severity, announced=change.announced)
        signals = self._pack.classes[cls].signals if cls else {}
        said = alert(rule, shown, alarm, change.seq, signals) | self._about(rule, tr.asset, cls)
        if tr.first_out is not None:
            said["first_out"] = list(tr.first_out)
        if tr.counted:
            said["counted"] = [list(pair) for pair in tr.counted]
        return said

    def _point(self, change: Change) -> Content:
        """Of the point, or of an alarm whose rule is no more."""
        cls = "" if change.group else self._class_of(change.asset) or ""
        rule = self._known.get((change.rule, cls))
        title = {lang: title_of(rule, lang) if rule else change.rule for lang in LANGUAGES}
        return {
            "since_ms": 0, "level": 0, "title": title, "text": title, "evidence": [], "version": "",
            **(self._about(rule, change.asset, cls) if rule else {"class": cls}),
        }  # fmt: skip

    def _about(self, rule: Rule | Group, asset: str, cls: str) -> Content:
        """What is said of rule and asset."""
        said: Content = {"class": cls, "version": self._version(rule, cls)}
        for name in ("place", "desk"):
            value = self._attribute_of(asset, name) if cls else None
            if value:
                said[name] = value
        if isinstance(rule, Rule) and rule.tags:
            said["tags"] = list(rule.tags)
        if isinstance(rule, Group) and rule.hazard:
            said["hazard"] = True
        return said

    def _version(self, rule: Rule | Group, cls: str) -> str:
        key = rule.id, cls
        if key not in self._versions:
            self._versions[key] = meaning(rule)
        return self._versions[key]


def command_content(command: Command, t: int, result: Mapping[str, object]) -> Content:
    """The content of an order with its result (`result`, `why`, `alarm`)."""
    content: Content = {
        "type": "command", "t_ms": t, "time": rfc3339(t), "request": command.request,
        "command": command.kind, "asset": command.asset, "group": command.group,
        "rule": "" if command.kind == "set" else command.target, "by": command.by,
        "reason": command.reason, "alarm": command.alarm, **result,
    }  # fmt: skip
    if command.kind == "set":
        content |= {"signal": command.target, "value": command.value}
    given = {
        "against": command.against, "duration_ms": command.duration, "once": command.once or None,
        "step": command.step or None, "fields": dict(command.fields) or None,
        "ordered": command.alarm or None,
    }  # fmt: skip
    return content | {key: value for key, value in given.items() if value is not None}


def command_of(content: Mapping[str, Any]) -> Command:
    """The command that a record holds."""
    kind = content["command"]
    return Command(
        kind, content["signal"] if kind == "set" else content["rule"], content["asset"],
        group=content["group"], value=content.get("value"), step=content.get("step", ""),
        by=content["by"], reason=content["reason"], request=content["request"],
        against=content.get("against"), alarm=content.get("ordered", ""),
        duration=content.get("duration_ms"), once=content.get("once", False),
        fields=content.get("fields", {}),
    )  # fmt: skip


def asset_content(asset: Asset) -> Content:
    """An asset in a record of a change of the inventory."""
    return {"id": asset.id, "class": asset.cls, "attributes": asset.attributes,
            "overrides": asset.overrides}


def asset_of(content: Mapping[str, Any]) -> Asset:
    """The asset that a record holds."""
    return Asset(
        content["id"], content["class"], content["attributes"], content["overrides"])


def change_of(content: Mapping[str, Any]) -> Change:
    """The change that an alert records; of the condition no more than alarms need."""
    condition = None
    if content["kind"] in _CONDITION:
        loud = content.get("held", "") not in ("suppressed", "shadow")
        condition = Transition(
            content["t_ms"], content["asset"], content["rule"], content["kind"],
            SEVERITIES[content["severity"]], loud, content["group"], content["raised_ms"],
            content["since_ms"], content["level"],
        )  # fmt: skip
    return Change(
        t=content["t_ms"], asset=content["asset"], rule=content["rule"], kind=content["kind"],
        severity=SEVERITIES[content["severity"]], announced=content["announced"],
        group=content["group"], raised=content["raised_ms"], seq=content["seq"],
        skipped=tuple(content.get("skipped", ())), until=content.get("until_ms"),
        notify=tuple(content.get("notify", ())),
        floor=SEVERITIES[content["floor"]] if "floor" in content else 0, condition=condition,
        **{name: content[name] for name in _PLAIN if name in content},
    )  # fmt: skip
