"""The envelope of what Tocsin writes to Kafka: CloudEvents 1.0 in binary mode. Pure.

    ce_specversion  1.0
    ce_id           with ce_source it names the event; a record that is written twice has one name
    ce_source       /PREFIX/worker/PARTITION, or /PREFIX/cli
    ce_type         tocsin.KIND; KINDS lists them
    ce_time         RFC 3339, ms
    ce_subject      the asset, or the key of a group, where there is one
    content-type    application/json; of `refused` application/octet-stream
    hash, epoch     of the ledger: 64 hex digits (`streams.ledger.link`), the owner's generation
    others          of `refused`; OWN lists all

The body of a message is JSON of its own (`streams.schemas`): whoever needs no envelope reads on.
Values are UTF-8 and not escaped, as the Kafka binding of CloudEvents says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from rules.records import ChangeKind
from streams.decode import Refuse, time_ms
from streams.render import rfc3339

Headers = list[tuple[str, bytes]]

VERSION = "1.0"
JSON, BYTES = "application/json", "application/octet-stream"
#: What an event is about; `ce_type` is one of these after "tocsin.".
KINDS: tuple[str, ...] = (
    *(f"alert.{kind}" for kinds in get_args(ChangeKind) for kind in get_args(kinds)),
    "command", "activation", "tick", "owner", "order", "alarm", "pack", "active", "asset",
    "refused",
)  # fmt: skip
#: Those whose value is no JSON of ours.
_BYTES = frozenset({"refused"})
#: Headers of ours beside those of CloudEvents.
OWN = ("hash", "epoch", "reason", "detail", "topic", "partition", "offset", "asset")

MAX_HEADERS = 64        # of a record: ours are 8 to 15, tracers and mirrors add a few
MAX_TEXT = 1_000        # characters of a value as written; longer texts are cut
MAX_VALUE = 4_096       # bytes of a value as read: as many characters of four bytes, and some

NotOursReason = Literal[
    "too_many", "too_large", "twice", "missing", "not_text", "version", "type", "time", "epoch",
    "hash",
]  # fmt: skip
_NEEDED = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time")
_KNOWN = frozenset((*_NEEDED, "ce_subject", "content-type", *OWN))
_EPOCH = re.compile(r"[0-9]{1,18}")
_HASH = re.compile(r"[0-9a-f]{64}")


class NotOurs(ValueError):  # noqa: N818 - what was found, not an error of ours
    """A record whose headers are not those that Tocsin writes: why, of a closed list."""

    def __init__(self, reason: NotOursReason, found: str = "") -> None:
        super().__init__(f"{reason}: {found}" if found else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the headers of a record say. `hash` is empty and `epoch` None where there is none."""

    source: str
    kind: str                       # one of KINDS
    ident: str
    t_ms: int
    subject: str = ""
    hash: bytes = b""
    epoch: int | None = None
    more: Mapping[str, str] = field(default_factory=dict)   # the rest of OWN


# Written --------------------------------------------------------------------------------------


def worker_source(prefix: str, partition: int) -> str:
    """`ce_source` of the owner of a partition."""
    return f"/{prefix}/worker/{partition}"


def cli_source(prefix: str) -> str:
    """`ce_source` of the command."""
    return f"/{prefix}/cli"


def envelope(
    source: str, kind: str, ident: str, t_ms: int, subject: str = "", **more: str
) -> Headers:
    """The headers of a message. `kind` is one of KINDS, `ident` names it among those of `source`.

    `more` are headers of ours (OWN). What a header cannot hold is replaced, and long texts are cut:
    the body has the whole.
    """
    assert kind in KINDS, kind
    assert ident, "an event has a name"
    assert more.keys() <= set(OWN), sorted(more)
    said = {
        "ce_specversion": VERSION, "ce_id": ident, "ce_source": source, "ce_type": f"tocsin.{kind}",
        "ce_time": rfc3339(t_ms), "ce_subject": subject,
        "content-type": content_type(kind), **more,
    }  # fmt: skip
    return [(name, _fit(text)) for name, text in said.items() if text]


def content_type(kind: str) -> str:
    """What the value of such a message is."""
    return BYTES if kind in _BYTES else JSON


def alert_headers(source: str, content: Mapping[str, Any], hash: bytes, epoch: int) -> Headers:  # noqa: A002 - its name in the ledger
    """The headers of a record on `alerts`. `hash` (32 bytes) is empty of an owner's fence.

    A record is named by its hash: written by two owners, it is the same one only if all before it
    is the same, too.
    """
    kind = content["type"]
    more = {"hash": hash.hex()} if hash else {}
    return envelope(
        source, f"alert.{content['kind']}" if kind == "alert" else kind,
        hash.hex()[:32] or f"{kind}-{epoch}", content["t_ms"], content.get("asset", ""),
        **more, epoch=str(epoch),
    )  # fmt: skip


def _fit(text: str) -> bytes:
    """Bytes of a text that CloudEvents allows: no control characters, no halves of characters."""
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    if not text.isprintable():
        text = "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    return text.encode()


# Read -----------------------------------------------------------------------------------------


def parse(headers: Iterable[tuple[str, bytes | None]]) -> Envelope:
    """The envelope of a record that came. Raises NotOurs.

    Headers that others added are passed over; of ours none may come twice.
    """
    found = _texts(headers)
    for name in _NEEDED:
        if not found.get(name):
            raise NotOurs("missing", name)
    if found["ce_specversion"] != VERSION:
        raise NotOurs("version", found["ce_specversion"][:20])
    brand, _, kind = found["ce_type"].partition(".")
    if brand != "tocsin" or kind not in KINDS:
        raise NotOurs("type", found["ce_type"][:60])
    try:
        t_ms = time_ms(found["ce_time"])
    except Refuse as refuse:
        raise NotOurs("time", refuse.found) from None
    epoch, chained = found.get("epoch"), found.get("hash", "")
    if epoch is not None and not _EPOCH.fullmatch(epoch):
        raise NotOurs("epoch", epoch[:20])
    if chained and not _HASH.fullmatch(chained):
        raise NotOurs("hash", chained[:20])
    return Envelope(
        source=found["ce_source"], kind=kind, ident=found["ce_id"], t_ms=t_ms,
        subject=found.get("ce_subject", ""), hash=bytes.fromhex(chained),
        epoch=None if epoch is None else int(epoch),
        more={name: found[name] for name in OWN[2:] if name in found},
    )  # fmt: skip


def _texts(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """Those of the headers that are known here."""
    found: dict[str, str] = {}
    for count, (name, value) in enumerate(headers):
        if count >= MAX_HEADERS:
            raise NotOurs("too_many", f"more than {MAX_HEADERS} headers")
        if name not in _KNOWN:
            continue
        if name in found:
            raise NotOurs("twice", name)
        if value is not None and len(value) > MAX_VALUE:
            raise NotOurs("too_large", f"{name}: {len(value):,} bytes; the limit is {MAX_VALUE:,}")
        try:
            found[name] = (value or b"").decode()
        except UnicodeDecodeError:
            raise NotOurs("not_text", name) from None
    return found


class Living:
    """Says which records of `alerts` count: those of an owner that no later one has fenced off.

    An owner's first record has its epoch, so whoever reads a partition from its beginning knows
    each epoch in time. A reader that goes on in the middle keeps `greatest` with its offsets.
    """

    def __init__(self, greatest: Mapping[int, int] | None = None) -> None:
        self.greatest: dict[int, int] = dict(greatest or {})    # partition -> epoch

    def envelope(
        self, partition: int, headers: Iterable[tuple[str, bytes | None]]
    ) -> Envelope | None:
        """The envelope of the next record of a partition, None of one that does not count. Raises
        NotOurs also where it has no epoch.
        """
        said = parse(headers)
        if said.epoch is None:
            raise NotOurs("missing", "epoch")
        return said if self.counts(partition, said.epoch) else None

    def counts(self, partition: int, epoch: int) -> bool:
        """Whether the next record of a partition counts; in the order of its offsets."""
        if epoch < self.greatest.get(partition, 0):
            return False
        self.greatest[partition] = epoch
        return True
