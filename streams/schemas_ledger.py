"""The schemas of what Tocsin says: records of the ledger, and rows of the list of alarms. Pure.

They are open: a later version may add keys, and readers pass over those that they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from rules.records import ChangeKind, CommandKind, Held, PointKind
from streams.alarms import MAX_OPEN, Word
from streams.groups import MAX_COUNTED
from streams.schemas_parts import (
    COUNT,
    KEY,
    MS,
    NAMED,
    SEVERITY,
    TEXT,
    YES_NO,
    Schema,
    listed,
    pair,
    ref,
    thing,
    when,
    words,
)

ALERT_KINDS: tuple[str, ...] = tuple(
    kind for kinds in get_args(ChangeKind) for kind in get_args(kinds))

_N: Schema = {"type": "integer", "minimum": 1, "description": "from 1, by partition"}
_NAMES = listed(NAMED)
_ASSET_AND_RULE = pair(KEY, TEXT)


def _record(name: str, needed: Mapping[str, Schema], may: Mapping[str, Schema] | None = None,
            **more: object) -> Schema:  # fmt: skip
    """A record of the ledger: `type`, number, time and position are in each."""
    return {**more, **thing({
        "type": {"const": name}, "n": _N, "t_ms": ref("ms"), "time": ref("time"), **needed,
        "position": ref("position"),
    }, may)}  # fmt: skip


#: Of an alert: what is in each …
_SAID: Mapping[str, Schema] = {
    "alarm": ref("alarm_id"),
    "seq": {**COUNT, "description": "counts the changes of the alarm, or of the point"},
    "kind": words(ALERT_KINDS, description="what has changed"),
    "raised_ms": {**MS, "description": "when it was raised; of a point 0"},
    "since_ms": {**MS, "description": "when its condition began, before any delay"},
    "asset": KEY,
    "group": {**YES_NO, "description": "whether `asset` is the key of a group"},
    "rule": NAMED,
    "severity": ref("severity"),
    "level": {**COUNT, "description": "index of the rule's highest active level"},
    "announced": {**YES_NO, "description": "whether people are told; else `held` may say why not"},
    "title": ref("texts"),
    "text": ref("texts"),
    "evidence": ref("evidence"),
    "class": {"type": "string", "description": "of the asset; empty of a group"},
    "version": {"type": "string", "description": "a hash of all that the rule means"},
}  # fmt: skip
#: … and what is there where it says something.
_MAY: Mapping[str, Schema] = {
    "place": NAMED, "desk": NAMED, "tags": _NAMES, "hazard": {"const": True},
    "first_out": {**_ASSET_AND_RULE, "description": "of a group: what came first"},
    "counted": listed(_ASSET_AND_RULE, maxItems=MAX_COUNTED),
    "held": words([one for one in get_args(Held) if one], description="why it is not announced"),
    "by": NAMED, "reason": NAMED, "request": NAMED, "step": NAMED,
    "fields": {"type": "object", "additionalProperties": TEXT},
    "once": {"const": True, "description": "the shelf ends with the alarm"},
    "until_ms": {**MS, "description": "when the shelf ends; the time limit that a step set"},
    "skipped": {**_NAMES, "description": "steps not done when the loop was closed"},
    "plan": {**NAMED, "description": "the plan that begins"},
    "clocks": {"type": "object", "additionalProperties": ref("ms"),
               "description": "of that plan: by when each step is to be done"},
    "closing": {"const": True, "description": "the plan has to be closed"},
    "notify": {**_NAMES, "description": "roles that hear of a step that is late"},
    "floor": {**SEVERITY, "description": "what the step that is late has raised it to"},
}  # fmt: skip
#: What is said of some kinds only, and of which …
ONLY_OF: Mapping[str, tuple[str, ...]] = {
    "step": ("acknowledged", "step", "overdue", "closed"),
    "fields": ("step", "closed"),
    "once": ("shelved",),
    "until_ms": ("shelved", "step"),
    "skipped": ("closed",),
    "plan": ("raised", "level", "unsuppressed", "unacknowledged"),
    "clocks": ("raised", "level", "unsuppressed", "unacknowledged"),
    "closing": ("raised", "level", "unsuppressed", "unacknowledged"),
    "notify": ("overdue",),
    "floor": ("overdue",),
}
#: … and what is never missing in some.
ALWAYS_OF: Mapping[str, tuple[str, ...]] = {
    "acknowledged": ("by",),
    "comment": ("by", "reason"),
    "step": ("by", "step"),
    "overdue": ("step",),
    "closed": ("by", "step"),
    "superseded": ("reason",),
    "shelved": ("by", "reason", "until_ms"),
    "out_of_service": ("by", "reason"),
}


def _of_kind(kind: str) -> Schema:
    """What holds of one kind of alert beside what holds of all."""
    of_point = kind in get_args(PointKind)
    raised: Schema = {"const": 0} if of_point else {"not": {"const": 0}}
    more: Schema = {"announced": {"const": False}} if of_point else {}
    return {
        "required": list(ALWAYS_OF.get(kind, ())), "properties": {"raised_ms": raised, **more},
    }  # fmt: skip


def _alert() -> Schema:
    """A change of an alarm."""
    return _record(
        "alert", _SAID, _MAY,
        description="A change of an alarm; or of the point, which is the rule on the asset.",
        dependencies={name: {"properties": {"kind": {"enum": list(kinds)}}}
                      for name, kinds in ONLY_OF.items()},
        allOf=[when("kind", kind, _of_kind(kind)) for kind in ALERT_KINDS],
    )  # fmt: skip


def _commanded() -> Schema:
    """An order and its result."""
    alarm: Schema = {"anyOf": [ref("alarm_id"), {"const": ""}]}
    return _record("command", {
        "request": NAMED, "command": words(get_args(CommandKind)), "asset": KEY, "group": YES_NO,
        "rule": {"type": "string", "description": "empty of `set`"}, "by": NAMED, "reason": TEXT,
        "alarm": {**alarm, "description": "the alarm that it was about; empty without one"},
        "result": words(("accepted", "refused")),
        "why": {"type": "string", "description": "why it was refused; else empty"},
    }, {
        "signal": NAMED, "value": {"type": ["number", "string", "boolean", "null"]},
        "against": {"type": "integer"}, "duration_ms": COUNT, "once": {"const": True},
        "step": NAMED, "fields": {"type": "object", "additionalProperties": TEXT},
        "ordered": ref("alarm_id"),
    }, description="An order, with its result. A refused one changed nothing.")  # fmt: skip


def _row() -> Schema:
    """A row of the list of alarms."""
    cover: Mapping[str, Schema] = {"t_ms": ref("ms"), "by": NAMED, "reason": NAMED}
    none: Schema = {"type": "null"}
    step = thing({
        "step": NAMED, "role": TEXT, "do": ref("texts"), "needs": _NAMES,
        "deadline_ms": {"anyOf": [ref("ms"), none]}, "done_ms": {"anyOf": [ref("ms"), none]},
        "by": TEXT, "late": YES_NO,
    })  # fmt: skip
    return thing({
        "seq": {"type": "integer", "minimum": -1,
                "description": "`against` of a command that its author saw this row before"},
        "alarm": ref("alarm_id"), "rule": NAMED, "asset": KEY, "group": YES_NO,
        "severity": ref("severity"), "word": words(get_args(Word)),
        "active": YES_NO, "latched": YES_NO, "stale": YES_NO, "suppressed": YES_NO,
        "raised_ms": ref("ms"), "time": {"anyOf": [ref("time"), {"const": ""}]},
        "acknowledged": {"anyOf": [none, thing({"t_ms": ref("ms"), "by": NAMED})]},
        "shelf": {"anyOf": [none, thing({**cover, "until_ms": ref("ms"), "once": YES_NO})]},
        "service": {"anyOf": [none, thing(cover)]},
        "plan": TEXT, "loop": words(("", "open")), "comments": COUNT,
        "class": TEXT, "place": TEXT, "desk": TEXT,
        "title": ref("texts"), "text": ref("texts"), "evidence": ref("evidence"),
        "hazard": YES_NO, "steps": listed(step), "partition": COUNT,
    }, description=f"The newest state of an alarm; at most {MAX_OPEN} are open of one rule on an "
                   "asset.")  # fmt: skip


def ledger_schemas() -> dict[str, Schema]:
    """Schemas of records and rows, by name."""
    return {
        "alert": _alert(),
        "command_record": _commanded(),
        "activation": _record("activation", {
            "by": TEXT, "request": TEXT, "pack": {
                "type": "string", "pattern": r"^[0-9a-f]{16}(\+shadow)?$",
                "description": "its name; with +shadow people are told of none of its alarms"},
            "inventory": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
            "zone": NAMED, "anew": _NAMES, "gone": _NAMES,
        }, {
            "assets": listed(ref("asset"), description="of a change of the inventory: the assets "
                                                       "that come in, or are changed"),
            "removed": listed(NAMED, description="… and those that are gone"),
        }, description="Rules take effect; those named start anew, or are gone. Or the inventory "
                       "changes (`assets`, `removed`)."),
        "tick": _record("tick", {}, description="The clock had gone on, and readings that came "
                                                "later were late."),
        "owner": thing(
            {"type": {"const": "owner"}, "epoch": COUNT, "partition": COUNT, "t_ms": ref("ms")},
            description="A new owner of the partition begins. No record of the ledger: it has "
                        "neither number nor hash. What comes later with a lesser epoch is void.",
        ),
        "alarm": {"anyOf": [ref("alarm_open"), ref("alarm_ended")]},
        "alarm_open": _row(),
        "alarm_ended": thing({
            "alarm": ref("alarm_id"), "rule": NAMED, "asset": KEY, "word": {"const": "normal"},
            "finished": {"const": True}, "seq": COUNT, "partition": COUNT,
        }, description="The last row of an alarm; some time later it has no row."),
    }  # fmt: skip
