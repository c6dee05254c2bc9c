"""What the schemas of messages are built from. Pure.

Schemas are of JSON Schema draft 7, the one that AsyncAPI documents take as they are. What is named
here stands once in a document, and is referred to as `#/components/schemas/NAME`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from rules.model import SEVERITIES
from streams.assets import MAX_ID
from streams.messages import MAX_TEXT
from streams.partition import Driver

Schema = dict[str, Any]

#: Characters that texts hold none of: they would move the cursor of whoever reads it on a terminal.
CONTROL = r"[\u0000-\u001f\u007f-\u009f]"
CONTROL_BUT_LINES = r"[\u0000-\u0008\u000b-\u001f\u007f-\u009f]"


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def thing(
    needed: Mapping[str, Schema], may: Mapping[str, Schema] | None = None, *, closed: bool = False,
    **more: object,
) -> Schema:
    """An object. `closed`: other keys are refused; else a reader passes over those unknown."""
    properties = {**needed, **(may or {})}
    made: Schema = {**more, "type": "object", "properties": properties}
    if needed:
        made["required"] = list(needed)
    return made | {"additionalProperties": False} if closed else made


def words(of: Iterable[str], **more: object) -> Schema:
    """One of these words."""
    return {**more, "type": "string", "enum": list(of)}


def text(longest: int, least: int = 0, *, lines: bool = False) -> Schema:
    """Text of so many characters, none of them a control character (but of lines)."""
    made: Schema = {"type": "string", "maxLength": longest}
    if least:
        made["minLength"] = least
    return made | {"not": {"pattern": CONTROL_BUT_LINES if lines else CONTROL}}


def listed(items: Schema, **more: object) -> Schema:
    """A list of such."""
    return {"type": "array", "items": items, **more}


def pair(first: Schema, second: Schema) -> Schema:
    """A list of these two."""
    return {"type": "array", "items": [first, second], "minItems": 2, "additionalItems": False}


def when(key: str, value: str, then: Schema) -> Schema:
    """What holds where a key has a value."""
    return {"if": {"required": [key], "properties": {key: {"const": value}}}, "then": then}


NAMED: Schema = {"type": "string", "minLength": 1}
TEXT: Schema = {"type": "string"}
YES_NO: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ASSET, KEY = ref("asset_id"), ref("key")
SEVERITY = words(SEVERITIES, description="from the lowest")
MS: Schema = {"type": "integer", "description": "ms since 1970, UTC"}

#: What several schemas refer to.
PARTS: Mapping[str, Schema] = {
    "asset_id": text(MAX_ID, 1),
    "key": {**TEXT, "description": "an asset's id, or the key of a group"},
    "event_id": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT,
                 "description": "with the source it names the event"},
    "source": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT,
               "description": "who wrote it: /PREFIX/worker/PARTITION or /PREFIX/cli of Tocsin"},
    "nothing": {"description": "an argument that says nothing", "enum": ["", None]},
    "something": {"description": "an argument that is needed", "not": {"enum": ["", None]}},
    "ms": MS,
    "time": {
        "description": "the same instant as RFC 3339, in UTC", "type": "string",
        "pattern": r"^-?[0-9]+-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
    },
    "severity": SEVERITY,
    "alarm_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "pack_name": {
        "description": "of rules: 64 bits of the hash of their files",
        "type": "string", "pattern": "^[0-9a-f]{16}$",
    },
    "texts": thing({"zh": TEXT, "en": TEXT}, description="for people, in each language"),
    "evidence": listed(thing({
        "name": {"type": "string", "description": "as the rule has it"},
        "value": {"anyOf": [{"type": "number"}, {"enum": [None, "inf", "-inf"]}],
                  "description": "null is unknown"},
        "unit": TEXT, "zh": TEXT, "en": TEXT,
    })),
    "position": thing(
        {"beat": words(get_args(Driver)), "from": COUNT, "readings": COUNT, "commands": COUNT,
         "group-feed": COUNT, "clock_ms": MS},
        description="of which beat it is: what drove it, from which offset on; of each topic the "
                    "next offset by then, and the system's clock",
    ),
}  # fmt: skip
