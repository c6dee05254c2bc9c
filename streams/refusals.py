"""The topic `refused`: what came in and could not be used, whole, with the reason. Pure.

    key       TOPIC/PARTITION/OFFSET: where it had come; the same key twice is the same refusal
    value     its bytes as they came
    headers   the envelope (`streams.messages`), reason, detail, topic, partition, offset, asset;
              `key`: its key as it came; `bytes`: how many there were, where not all are kept

Sent again, it goes to its topic: to where its asset is where that can be read from the bytes, else
to the partition it was in, under the key that it had. Its header `retried` says whence it comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from rules.model import Text
from streams.assets import MAX_ID, is_asset_id
from streams.decode import decode
from streams.messages import Headers, NotOurs, envelope
from streams.messages import parse as envelope_of
from streams.reasons import Reason
from streams.topics import name_of

#: Bytes kept of a value. Batches of a topic are bounded as they are compressed: one of 2 MiB can
#: hold a message that is far larger.
MAX_BYTES = 2 << 20
MAX_KEY = 1_024     # bytes of its key; a longer one is left out
SHOWN = 100         # characters of a value that people are shown
AGAIN = ("readings", "commands", "rules", "assets")  # where something may be sent again
_BY_ASSET = ("readings", "commands")

#: Reasons that not the messages of assets have, but commands.
_OTHER = {
    "not_a_command": Text("不是一条可理解的命令", "not a command that is understood"),
    "not_a_fact": Text("不是分区之间的通报", "not what partitions tell each other for groups"),
}
_POSITION = re.compile(r"([A-Za-z0-9._-]{1,249})/([0-9]{1,9})/([0-9]{1,18})")

Message = tuple[bytes, bytes, Headers]  # key, value, headers


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that was refused: whence it came, why, and what it was.

    `topic` is the whole name; `key` None: it had none. `size` is the bytes that there were where
    `value` has only the first of them, else 0.
    """

    topic: str
    partition: int
    offset: int
    reason: str                         # a word of `Reason`, or of commands
    detail: str = ""                    # what was found
    asset: str = ""                     # where it is known
    value: bytes = field(default=b"", repr=False)
    key: bytes | None = None
    size: int = 0

    @property
    def position(self) -> str:
        """Where it had come: TOPIC/PARTITION/OFFSET."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def text(self) -> Text:
        """The reason in a sentence; a word that is not known, as it is."""
        return text_of(self.reason)

    def message(self, source: str, t_ms: int) -> Message:
        """Key, value and headers of its record on `refused`. `t_ms`: when it was refused."""
        headers = envelope(
            source, "refused", self.position, t_ms, self.asset[:MAX_ID], reason=self.reason,
            detail=self.detail, topic=self.topic, partition=str(self.partition),
            offset=str(self.offset), asset=self.asset[:MAX_ID],
        )  # fmt: skip
        if self.key is not None and len(self.key) <= MAX_KEY:
            headers.append(("key", self.key))
        size = self.size or len(self.value)
        if size > MAX_BYTES:
            headers.append(("bytes", b"%d" % size))
        return self.position.encode(), self.value[:MAX_BYTES], headers


def text_of(reason: str) -> Text:
    """The sentence of a reason's word; the word itself where it is not known."""
    try:
        return Reason(reason).text
    except ValueError:
        return _OTHER.get(reason, Text(reason, reason))


def parse(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> Refusal | None:
    """The refusal of a record of the topic; None for a record that is none."""
    given = tuple(headers)
    try:
        said = envelope_of(given)
        position = (key or b"").decode()
    except (NotOurs, UnicodeDecodeError):
        return None
    found = _POSITION.fullmatch(position)
    named = "/".join(said.more.get(name, "") for name in ("topic", "partition", "offset"))
    if said.kind != "refused" or found is None or named != position or value is None:
        return None
    others = {name: content for name, content in given if name in ("key", "bytes")}
    size = others.get("bytes") or b""
    return Refusal(
        topic=found[1], partition=int(found[2]), offset=int(found[3]),
        reason=said.more.get("reason", ""), detail=said.more.get("detail", ""),
        asset=said.more.get("asset", ""), value=value, key=others.get("key"),
        size=int(size) if re.fullmatch(rb"[0-9]{1,18}", size) else 0,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Again:
    """How a refusal is sent again; `partition` None: as its key says. Or `why` it is not."""

    topic: str
    value: bytes = field(repr=False)
    key: bytes | None
    partition: int | None
    headers: Headers
    why: str = ""

    def __str__(self) -> str:
        if self.why:
            return self.why
        if self.partition is None and self.key is not None:
            return f"{self.topic}, by its asset {self.key.decode()}"
        return f"{self.topic}, partition {self.partition}"


def again(refusal: Refusal, prefix: str) -> Again:
    """How this is sent again in a deployment."""
    topics = {name_of(prefix, name): name for name in AGAIN}
    why = ""
    if refusal.topic not in topics:
        why = f"found the topic {refusal.topic}, expected one of {', '.join(topics)}"
    elif refusal.size > len(refusal.value):
        why = (f"only {len(refusal.value):,} of its {refusal.size:,} bytes are kept; "
               "have its sender send it again, in smaller messages")
    asset = asset_of(refusal.value) if topics.get(refusal.topic) in _BY_ASSET else ""
    return Again(
        refusal.topic, refusal.value,
        key=asset.encode() if asset else refusal.key,
        partition=None if asset else refusal.partition,
        headers=[("retried", refusal.position.encode())], why=why,
    )  # fmt: skip


def asset_of(value: bytes) -> str:
    """The one asset (or group) that a message, an array of them or a command is about; else ""."""
    assets = {one.asset for one in decode(value)}
    asset = assets.pop() if len(assets) == 1 else ""
    return asset if is_asset_id(asset) else ""


def shown(value: bytes, size: int = 0) -> str:
    """The beginning of a value for people: nothing in it moves a terminal's cursor."""
    text = value[: SHOWN * 4].decode("utf-8", "backslashreplace")
    cut = len(text) > SHOWN or len(value) > SHOWN * 4
    return printable(text[:SHOWN]) + (f"… ({max(size, len(value)):,} bytes)" if cut else "")


def printable(text: str) -> str:
    """A text with its control characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

