"""Whatever the engine says fits the schemas, which tell apart what the code takes and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from jsonschema import Draft7Validator

from rules.records import CommandKind
from streams.alarms import Word
from streams.asyncapi_examples import examples
from streams.decode import Reading, decode
from streams.ledger import Chain
from streams.run.control_bodies import WrongBody, commands_of
from streams.schemas import schemas
from streams.schemas_ledger import ALERT_KINDS, ALWAYS_OF, ONLY_OF
from tests.streams.contract_kit import POSITION, as_published, story, strict, superseded, wrong

ID = "0123456789abcdef0123456789abcdef"


def as_written(contents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records as they are on the topic, each with the name of its schema."""
    chain = Chain()
    for content in contents:
        body = json.loads(chain.append({**content, "position": POSITION}).body)
        yield "command_record" if body["type"] == "command" else body["type"], body


def test_schemas_are_schemas() -> None:
    for name, schema in schemas().items():
        Draft7Validator.check_schema(schema)
        assert all(name in schemas() for name in references(schema)), name


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            assert set(part) == {"$ref"}, f"what stands beside a reference is lost: {part}"
            yield part["$ref"].removeprefix("#/components/schemas/")
        for one in part.values():
            yield from references(one)
    elif isinstance(part, list):
        for one in part:
            yield from references(one)


def test_every_record_of_a_life_fits() -> None:
    records = [*as_written(story().records), *as_written(superseded())]
    assert {body["kind"] for name, body in records if name == "alert"} == set(ALERT_KINDS)
    for name, body in records:
        assert wrong(name, body) == []
    said = {key for _, body in records for key in body}
    assert said >= {*ONLY_OF, "first_out", "counted", "tags", "hazard", "place", "desk", "held"}
    assert {body["result"] for name, body in records if name == "command_record"} == {
        "accepted", "refused"}


def test_every_row_fits() -> None:
    rows = [{**row, "partition": 0} for row in story().seen]
    assert {row["word"] for row in rows} >= set(get_args(Word)) - {"returned_unacknowledged"}
    for row in rows:
        assert wrong("alarm", json.loads(json.dumps(row))) == []


def test_what_is_of_some_kinds_only_is_caught_in_others() -> None:
    alerts = [body for name, body in as_written(story().records) if name == "alert"]
    found = {body["kind"]: body for body in alerts}
    for kind, names in ALWAYS_OF.items():
        for name in names if kind in found else ():
            assert wrong("alert", {key: x for key, x in found[kind].items() if key != name})
    for name, kinds in ONLY_OF.items():
        value = next(body[name] for body in alerts if name in body)
        for kind, body in found.items():
            assert bool(wrong("alert", {**body, name: value})) == (kind not in kinds), (name, kind)
    assert wrong("alert", {**found["raised"], "raised_ms": 0})
    assert wrong("alert", {**found["shelved"], "announced": True})


SCHEMA_OF = {"order": "command"}
CLOSED = ("readings", "command", "asset")
SHOWN = [(SCHEMA_OF.get(name, name), one["payload"]) for name, made in examples().items()
         for one in made if name not in ("refused", "tombstone")]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), SHOWN)
def test_an_example_fits_and_a_mistake_in_it_is_caught(
    name: str, value: dict[str, object] | list[dict[str, object]]
) -> None:
    assert wrong(name, value) == []
    for one in value if isinstance(value, list) else [value]:
        for key in one:
            mistaken = {**one, key: [{"no": 1}]}
            assert wrong(name, mistaken), f"{key} may be anything"
        assert wrong(name, {**one, "unknown": 1})
        assert as_published(name).is_valid({**one, "unknown": 1}) == (name not in CLOSED)
        needed = [key for key in one if not strict(name).is_valid(
            {other: x for other, x in one.items() if key != other})]  # fmt: skip
        assert needed, "nothing is needed"
    assert wrong(name, None)
    assert wrong(name, "text")


# What comes in --------------------------------------------------------------------------------

VALUES: dict[str, tuple[object, ...]] = {
    "alarm": (ID, "", "x", None),
    "rule": ("p.high", "", "a\nb", "x" * 257, None),
    "asset": ("P1", "", "x" * 257, 7),
    "group": (True, False, None, 1),
    "reason": ("why", "", "two\nlines", "\x1b[2J", "x" * 2_001),
    "against": (0, -1, -2, 2**53, None, True, "1"),
    "duration_ms": (1, 0, -1, 10**18, None, "1", True),
    "once": (True, False, None),
    "step": ("look", "", None),
    "fields": ({}, {"a": "b"}, {"a": 1}, {"": "b"}, {"a": "\x00"}, {str(i): "" for i in range(33)}),
    "signal": ("service", "", None),
    "value": (True, 1.5, "on", "", None, [1], {}),
    "by": ("ana", "", None, "x" * 129),
    "request": ("r1", "", 1, "\x7f"),
    "command": (*get_args(CommandKind), "explode", None),
    "else": (1,),
}
GOOD: dict[str, dict[str, object]] = {
    "shelve": {"duration_ms": 60_000, "reason": "repair"}, "out_of_service": {"reason": "repair"},
    "comment": {"reason": "seen"}, "step": {"step": "look"},
    "set": {"signal": "service", "value": True},
}  # fmt: skip


def taken(body: dict[str, object]) -> bool:
    """Whether the code takes it as an order on the topic: there, rule and asset are needed."""
    try:
        commands_of(json.dumps(body).encode())
    except WrongBody:
        return False
    return body["command"] == "set" or bool(body.get("rule") and body.get("asset"))


@pytest.mark.parametrize("kind", get_args(CommandKind))
def test_orders_are_told_apart_as_by_the_code(kind: CommandKind) -> None:
    good = {"request": "r1", "by": "ana", "command": kind, "rule": "p.high", "asset": "P1",
            **GOOD.get(kind, {})}  # fmt: skip
    assert taken(good)
    bodies = [good] + [{**good, key: x} for key, values in VALUES.items() for x in values]
    bodies += [{other: x for other, x in good.items() if other != key} for key in good]
    for body in bodies:
        assert as_published("command").is_valid(body) == taken(body), body


WIDE = {"asset": "L1", "t": 1, "values": {"x": 1}}
NARROW = {"asset": "L1", "t": 1, "signal": "x", "v": 1}


@pytest.mark.parametrize("message", [
    WIDE, NARROW, {**WIDE, "values": {}}, {**WIDE, "class": "c", "historical": True, "arrival": 2},
    {**NARROW, "v": ["a", 2]}, {**NARROW, "v": None}, {**NARROW, "q": 192}, {**NARROW, "q": "bad"},
    {**WIDE, "quality": {"x": "good"}}, {**WIDE, "t": "2026-01-01T08:00:00.25+08:00"},
    {**WIDE, "quality": True, "q": True}, {**NARROW, "quality": True}, {**WIDE, "signal": "x"},
    {**WIDE, "asset": ""}, {**WIDE, "asset": "a\tb"}, {**WIDE, "asset": "a" * 129},
    {**WIDE, "t": 1.5}, {**WIDE, "t": True}, {**WIDE, "t": 1 << 63}, {**WIDE, "t": "2026-01-01"},
    {**WIDE, "historical": 1}, {**WIDE, "class": ""}, {**NARROW, "signal": ""},
    {**WIDE, "values": [1]}, {**WIDE, "values": {str(i): 1 for i in range(1_025)}},
    {"asset": "L1", "t": 1}, {"asset": "L1", "values": {}}, {"t": 1, "values": {}},
    {"asset": "L1", "t": 1, "signal": "x"}, {**WIDE, "arrival": None}, "text", 1, None,
])  # fmt: skip
def test_readings_are_told_apart_as_by_the_code(message: object) -> None:
    good = all(isinstance(one, Reading) for one in decode(json.dumps(message).encode()))
    assert as_published("readings").is_valid(message) == good
    assert as_published("readings").is_valid([WIDE, message]) == good
