"""The schema of every body on the topics, by name. Pure.

What Tocsin takes is closed (unknown keys are refused), what it says is open. A schema says less
than the code that reads: a key that comes twice, a time such as 25:61, more than 1,024 codes of
events in all are refused, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from streams.decode import MAX_MESSAGES, MAX_VALUES, NS_BELOW
from streams.guards import MAX_TEXT
from streams.run.control_bodies import ARGUMENTS, MAX_FILES, CommandBody
from streams.schemas_ledger import ledger_schemas
from streams.schemas_parts import (
    ASSET,
    CONTROL,
    CONTROL_BUT_LINES,
    NAMED,
    PARTS,
    TEXT,
    YES_NO,
    Schema,
    listed,
    pair,
    ref,
    text,
    thing,
    when,
)

_RFC3339 = (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,18})?"
            r"([Zz]|[+-][0-9]{2}:[0-9]{2})$")
#: Arguments that may come with any command.
_ALWAYS = frozenset({"reason", "asset"})


def schemas() -> dict[str, Schema]:
    """All schemas, and the parts that they refer to."""
    return {
        **_readings(),
        "command": _command(),
        **ledger_schemas(),
        **_tables(),
        **PARTS,
    }


def _readings() -> dict[str, Schema]:
    """Messages of assets (`streams.decode`)."""
    one: Schema = {"type": ["number", "boolean", "string", "null"]}
    word: Schema = {
        **one, "description": 'good is true, "good", "Good", "GOOD" or 192; all else is bad'}
    value: Schema = {
        "description": "a number; true or false; a state's name or code; an event's, or a list of "
                       "them; null: no value",
        "anyOf": [one, listed({"type": ["number", "string"]}, maxItems=MAX_VALUES)],
    }  # fmt: skip
    both = {"class": {**NAMED, "description": "needed when the asset is first heard"},
            "arrival": ref("source_time"),
            "historical": {**YES_NO, "description": "true: archived only"}}  # fmt: skip
    wide = thing({
        "asset": ASSET, "t": ref("source_time"),
        "values": {"type": "object", "additionalProperties": value, "maxProperties": MAX_VALUES},
    }, {
        "quality": {"anyOf": [word, {"type": "object", "additionalProperties": word}]}, **both,
    }, closed=True, description="Signals of an asset at one time.")  # fmt: skip
    narrow = thing(
        {"asset": ASSET, "t": ref("source_time"), "signal": NAMED, "v": value},
        {"q": word, **both}, closed=True, description="One signal of an asset.",
    )  # fmt: skip
    either = [ref("reading_wide"), ref("reading_narrow")]
    return {
        "readings": {
            "description": "One message of an asset, or a list of them.",
            "anyOf": [*either, listed({"anyOf": either}, maxItems=MAX_MESSAGES)],
        },
        "reading_wide": wide,
        "reading_narrow": narrow,
        "source_time": {
            "description": "ms, µs or ns since 1970 (told apart by their size), or RFC 3339",
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": -NS_BELOW, "exclusiveMaximum": NS_BELOW},
                {"type": "string", "pattern": _RFC3339},
            ],
        },
    }  # fmt: skip


def _command() -> Schema:
    """An order: the model that reads it, and what its checks add."""
    made = CommandBody.model_json_schema()
    properties: dict[str, Schema] = made["properties"]
    for name, one in properties.items():
        properties[name] = _plain(one, CONTROL_BUT_LINES if name == "reason" else CONTROL)
    return thing(
        {name: properties[name] for name in made["required"]},
        {name: one for name, one in properties.items() if name not in made["required"]},
        closed=True,
        description="What somebody orders. The result is the record of the ledger with its "
                    "`request`; a request that comes again is not carried out again.",
        allOf=[when("command", kind, _with(kind)) for kind in ARGUMENTS],
    )  # fmt: skip


def _plain(one: Mapping[str, object], control: str) -> Schema:
    """A schema of pydantic's without its titles, with what its validators refuse."""
    made: Schema = {key: part for key, part in one.items() if key not in ("title", "default")}
    if made.get("type") == "string" and "enum" not in made and "pattern" not in made:
        made["not"] = {"pattern": control}
    if "anyOf" in made:
        made["anyOf"] = [_plain(part, control) for part in made["anyOf"]]
    if isinstance(made.get("additionalProperties"), dict):     # fields of a step
        made["additionalProperties"] = _plain(made["additionalProperties"], CONTROL_BUT_LINES)
        made["propertyNames"] = _plain(made["propertyNames"] | {"type": "string"}, CONTROL)
    return made


def _with(kind: str) -> Schema:
    """What holds of one kind of command: its arguments, and that it says what it is about."""
    needed, may = ARGUMENTS[kind]     # type: ignore[index] # the kinds are its keys
    of_some = {name for one, other in ARGUMENTS.values() for name in (*one, *other)} - _ALWAYS
    about = () if kind == "set" else ("rule", "asset")
    said = dict.fromkeys((*needed, *about))     # in order, once
    properties: dict[str, Schema] = dict.fromkeys(said, ref("something"))
    properties |= dict.fromkeys(sorted(of_some - {*needed, *may}), ref("nothing"))
    return {"required": list(said), "properties": properties}


def _tables() -> dict[str, Schema]:
    """Rules and assets, as the topics of these names keep them."""
    return {
        "pack": thing(
            {"files": listed(pair(text(500, 1), TEXT), minItems=1, maxItems=MAX_FILES)},
            description="The texts of rules: path and text of each file.",
        ),
        "active": thing(
            {"pack": ref("pack_name")},
            {"by": text(200), "reason": text(MAX_TEXT, lines=True), "request": text(200),
             "shadow": {**YES_NO, "description": "people are told of none of its alarms"}},
            description="Which pack is to be in effect; each partition answers with an activation "
                        "of this request.",
        ),
        "asset": thing(
            {"id": ASSET, "class": NAMED,
             "attributes": _named({"type": ["number", "string"]}),
             "overrides": _named({"type": ["number", "string", "boolean"]})},
            closed=True, description="An asset of the inventory; no value: it is there no more.",
        ),
    }  # fmt: skip


def _named(of: Schema) -> Schema:
    """A table of values by their names."""
    return {"type": "object", "propertyNames": NAMED, "additionalProperties": of}
