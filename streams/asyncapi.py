"""The contract of the topics as an AsyncAPI 3.0 document: what is on each, in which form. Pure.

`deploy/asyncapi.yaml` is made from this (`tocsin topics contract`), and a test holds it to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from streams.asyncapi_examples import examples
from streams.messages import KINDS, MAX_TEXT, VERSION, content_type
from streams.schemas import schemas
from streams.schemas_parts import TEXT, Schema, ref, text, thing, words
from streams.topics import DAY_MS, TOPICS, Topic

#: Of the contract: the first number changes when readers have to.
CONTRACT = "1.0.0"

INFO = f"""\
Assets are monitored by rules; what comes of it is on these topics. `{{prefix}}` is `kafka.prefix`
of the settings.

An asset's messages, commands and alarms are in one partition of each topic, and in it in the order
in which they happened. The partition is the murmur2 hash of the key's UTF-8 bytes: the default of
Kafka's Java client, of kafka-python and of aiokafka; librdkafka needs `partitioner=murmur2_random`.

Records of `alerts` are a ledger: the header `hash` of each is SHA-256 over the hash before (at
first 32 zero bytes) and the value. Within a partition, records whose `epoch` is less than the
greatest so far were written by a worker that had lost the partition: pass them over.

Envelopes are CloudEvents {VERSION} in binary mode. Values of `alarms`, `assets` and `rules` replace
the earlier one of their key; no value (a tombstone) means that it is there no more. Readers pass
over keys, headers and messages that they do not know; what Tocsin reads has no other keys.
"""

#: What the application does with the topics; those of neither are its own business.
RECEIVED = ("readings", "commands", "rules", "assets")


@dataclass(frozen=True, slots=True)
class Of:
    """A message on a topic: of which kinds (`streams.messages.KINDS`; none: without an envelope),
    with which value (the name of a schema; none: internal, or bytes) and which headers of ours."""

    topic: str
    what: str
    kinds: tuple[str, ...]
    value: str
    key: Schema
    own: Mapping[str, Schema] = field(default_factory=dict)
    may: Mapping[str, Schema] = field(default_factory=dict)     # those not always there


_NO_KEY: Schema = {"type": "null"}
_EPOCH: Mapping[str, Schema] = {
    "epoch": {"type": "string", "pattern": "^[0-9]{1,18}$",
              "description": "the generation of the partition's owner"},
}  # fmt: skip
_CHAINED: Mapping[str, Schema] = {
    "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$",
             "description": "SHA-256 of the hash before and of this value"}, **_EPOCH,
}  # fmt: skip
_SOURCE: Mapping[str, Schema] = {
    "reason": {"type": "string", "pattern": "^[a-z0-9_]{1,40}$",
               "description": "of a closed list: streams/README.md"},
    "topic": TEXT, "partition": {"type": "string", "pattern": "^[0-9]{1,10}$"},
    "offset": {"type": "string", "pattern": "^[0-9]{1,19}$"},
}  # fmt: skip
_KNOWN: Mapping[str, Schema] = {
    "detail": {**text(MAX_TEXT), "description": "what was found"}, "asset": ref("key"),
    "key": {"type": "string", "description": "the bytes of its key"},
    "bytes": {"type": "string", "pattern": "^[0-9]{1,18}$",
              "description": "how many there were, where not all are kept"},
}  # fmt: skip
_POSITION: Schema = {"type": "string", "pattern": "^[^/]+/[0-9]+/[0-9]+$",
                     "description": "topic, partition and offset of what was refused"}  # fmt: skip
_OF_ALERTS = tuple(kind for kind in KINDS if kind.startswith("alert."))

_KEY, _ASSET = ref("key"), ref("asset_id")

MESSAGES: Mapping[str, Of] = {
    "readings": Of("readings", "What an asset says of itself.", (), "readings", _ASSET),
    "order": Of("commands", "What somebody orders.", ("order",), "command", _KEY),
    "alert": Of("alerts", "A change of an alarm.", _OF_ALERTS, "alert", _KEY, _CHAINED),
    "command_record": Of("alerts", "An order and its result.", ("command",), "command_record",
                         _KEY, _CHAINED),
    "activation": Of("alerts", "Rules take effect.", ("activation",), "activation", _NO_KEY,
                     _CHAINED),
    "tick": Of("alerts", "Time went on.", ("tick",), "tick", _NO_KEY, _CHAINED),
    "owner": Of("alerts", "A new owner of the partition.", ("owner",), "owner", _NO_KEY, _EPOCH),
    "alarm": Of("alarms", "The newest state of an alarm.", ("alarm",), "alarm", ref("alarm_id")),
    "snapshot": Of("snapshots", "Internal: states of partitions.", (), "", TEXT),
    "feed": Of("group-feed", "Internal: what groups count.", (), "", _KEY),
    "pack": Of("rules", "Rules, by their name.", ("pack",), "pack",
               {"type": "string", "pattern": "^pack/[0-9a-f]{16}$"}),
    "active": Of("rules", "Which rules are to be in effect.", ("active",), "active",
                 {"const": "active"}),
    "asset": Of("assets", "An asset of the inventory.", ("asset",), "asset", _ASSET),
    "refused": Of("refused", "What could not be used: the bytes as they came, and why. After a "
                  "crash one may come twice, with the same key.", ("refused",), "", _POSITION,
                  _SOURCE, _KNOWN),
}  # fmt: skip
#: Topics on which no value says that the key is there no more.
ENDING = ("alarms", "assets")


def document() -> dict[str, Any]:
    """The document. It is the same at every call."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Tocsin", "version": CONTRACT, "description": INFO},
        "defaultContentType": "application/json",
        "channels": {name: _channel(topic) for name, topic in TOPICS.items()},
        "operations": {name: _operation(name) for name in TOPICS},
        "components": {
            "parameters": {"prefix": {
                "description": "kafka.prefix of the settings", "default": "tocsin"}},
            "messages": _messages(),
            "schemas": schemas(),
        },
    }  # fmt: skip


def text_of(made: Mapping[str, Any]) -> str:
    """A document as YAML."""
    head = "# Made by `tocsin topics contract` from streams/asyncapi.py; do not edit.\n"
    said: str = yaml.dump(made, Dumper=_Dumper, sort_keys=False, allow_unicode=True,
                          default_flow_style=None, width=100)  # fmt: skip
    return head + said


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # yaml has no types
    """Blocks for texts of several lines, and no anchors: they are for programs."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _lines(dumper: yaml.SafeDumper, said: str) -> yaml.Node:
    style = "|" if "\n" in said else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", said, style=style)


_Dumper.add_representer(str, _lines)


def _on(topic: str) -> list[str]:
    """The names of the messages on a topic."""
    ending = ["tombstone"] if topic in ENDING else []
    return [name for name, one in MESSAGES.items() if one.topic == topic] + ending


def _channel(topic: Topic) -> Schema:
    kept = "the newest of each key, for ever"
    if topic.days is not None:
        kept = f"{topic.days:,} days"
    spread = "spread over the partitions by key" if topic.spread else "one partition"
    binding: Schema = {
        "topicConfiguration": {
            "cleanup.policy": ["compact" if topic.compacted else "delete"],
            "retention.ms": -1 if topic.days is None else topic.days * DAY_MS,
            "max.message.bytes": topic.message_bytes,
        },
        "bindingVersion": "0.5.0",
    }
    return {
        "address": f"{{prefix}}.{topic.name}",
        "summary": topic.what,
        "description": f"Key: {topic.key}; {spread}. Kept: {kept}.",
        "parameters": {"prefix": {"$ref": "#/components/parameters/prefix"}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _on(topic.name)},
        "bindings": {"kafka": binding if topic.spread else {"partitions": 1, **binding}},
    }  # fmt: skip


def _operation(topic: str) -> Schema:
    channel = f"#/channels/{topic}"
    return {
        "action": "receive" if topic in RECEIVED else "send",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in _on(topic)],
    }


def _messages() -> dict[str, Schema]:
    shown = examples()
    made = {name: _message(one) for name, one in MESSAGES.items()}
    made["tombstone"] = {
        "summary": "No value: what has this key is there no more.", "payload": {"type": "null"},
    }  # fmt: skip
    return {
        name: {"name": name, **one, **({"examples": shown[name]} if name in shown else {})}
        for name, one in made.items()
    }


def _message(one: Of) -> Schema:
    made: Schema = {"summary": one.what}
    if one.kinds:
        made |= {"contentType": content_type(one.kinds[0]), "headers": envelope_schema(one)}
    if one.value:
        made["payload"] = ref(one.value)
    return made | {"bindings": {"kafka": {"key": one.key, "bindingVersion": "0.5.0"}}}


def envelope_schema(one: Of) -> Schema:
    """The schema of the headers of a message, as texts by their names. What others write to Tocsin
    needs none."""
    said: Mapping[str, Schema] = {
        "ce_specversion": {"const": VERSION},
        "ce_id": ref("event_id"),
        "ce_source": ref("source"),
        "ce_type": words(f"tocsin.{kind}" for kind in one.kinds),
        "ce_time": ref("time"),
        "content-type": {"const": content_type(one.kinds[0])},
        **one.own,
    }
    about = {"ce_subject": ref("key"), **one.may}
    return thing({}, {**said, **about}) if one.topic in RECEIVED else thing(said, about)
