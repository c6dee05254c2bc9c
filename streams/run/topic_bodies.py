"""What stands on the topics `rules`, `assets` and `alarms`: their bodies, checked. Pure.

    rules    pack/HASH -> Pack, active -> Active
    assets   ID -> AssetEntry
    alarms   alarm's id -> AlarmRow, which may have more keys: those of later versions

Each is JSON in UTF-8. `read` raises BodyError, which says what was found and what was expected.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from rules.model import Asset
from streams.alarms import Word
from streams.assets import MAX_ID
from streams.decode import BAD_BYTES
from streams.run.control_bodies import MAX_FILES, LongText, PackBody

ACTIVE = b"active"
PACK = b"pack/"
MAX_PACK = 7 << 20         # bytes of a body: the topic takes 8 MiB, with what is around it
MAX_ASSET = 1 << 20        # bytes of a body, likewise
MAX_ENTRIES = 1_000        # attributes of an asset, and overrides


class BodyError(ValueError):
    """A body that is not as it should be."""


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Known keys only."""


class Pack(_Body, frozen=True):
    """The texts of a pack: path and text of each file."""

    files: Annotated[list[tuple[str, str]], Meta(min_length=1, max_length=MAX_FILES)]

    @property
    def texts(self) -> list[tuple[str, bytes]]:
        """As the loader of rules takes them."""
        return [(path, text.encode()) for path, text in self.files]

    @property
    def name(self) -> str:
        """The hash that names it."""
        from streams.duty import pack_hash  # noqa: PLC0415 - the engine takes a second to import

        return pack_hash(self.texts)


class Active(_Body, frozen=True):
    """Which pack is to be in effect. `shadow`: its rules only record what they would raise."""

    pack: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    by: Annotated[str, Meta(min_length=1, max_length=128)]
    request: Annotated[str, Meta(min_length=1, max_length=128)]
    reason: str = ""
    shadow: bool = False


_Values = Annotated[dict[str, float | str], Meta(max_length=MAX_ENTRIES)]


class AssetEntry(_Body, frozen=True, rename={"cls": "class"}):
    """An asset of the inventory. Values are those of `rules.model.Asset`."""

    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    cls: Annotated[str, Meta(min_length=1, max_length=256)]
    attributes: _Values = {}
    overrides: _Values = {}

    @classmethod
    def of(cls, asset: Asset) -> AssetEntry:
        """The entry of an asset."""
        overrides = {key: x if isinstance(x, int | float) else str(x)
                     for key, x in asset.overrides.items()}  # fmt: skip
        return cls(asset.id, asset.cls, dict(asset.attributes), overrides)


class ActivationOrder(PackBody):
    """What is checked of an activation before any of it is sent."""

    reason: LongText = ""
    shadow: bool = False


class _Texts(msgspec.Struct, frozen=True):
    zh: str
    en: str


class _Who(msgspec.Struct, frozen=True):
    t_ms: int
    by: str


class _Out(_Who, frozen=True):
    reason: str


class _Shelf(_Out, frozen=True):
    until_ms: int
    once: bool


class _Step(msgspec.Struct, frozen=True):
    step: str
    role: str
    do: _Texts
    needs: list[str]
    deadline_ms: int | None
    done_ms: int | None
    by: str
    late: bool


class AlarmRow(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """A row of the list of alarms, as `streams.listing` makes it."""

    alarm: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    seq: int
    rule: str
    asset: str
    group: bool
    severity: Literal["blue", "yellow", "orange", "red"]
    word: Word
    active: bool
    latched: bool
    stale: bool
    suppressed: bool
    raised_ms: int
    time: str
    acknowledged: _Who | None
    shelf: _Shelf | None
    service: _Out | None
    plan: str
    loop: Literal["", "open"]
    comments: int
    title: _Texts
    text: _Texts
    cls: str
    place: str
    desk: str
    hazard: bool
    evidence: list[_Texts]
    steps: list[_Step]


class _Finished(msgspec.Struct, frozen=True):
    """What there is of an alarm that is no more in the list; soon its record will be gone, too."""

    finished: bool = False


T = TypeVar("T")


def read(data: bytes, kind: type[T], limit: int) -> T:
    """The body in these bytes. Raises BodyError."""
    if len(data) > limit:
        raise BodyError(f"found {len(data):,} bytes, expected at most {limit:,}")
    try:
        return msgspec.json.decode(data, type=kind, strict=True)
    except BAD_BYTES as error:
        raise BodyError(f"not as Tocsin writes it: {error}") from None


def row_of(data: bytes, limit: int) -> dict[str, Any] | None:
    """A row of the list with all its keys; None of one that is finished. Raises BodyError."""
    if read(data, _Finished, limit).finished:
        return None
    read(data, AlarmRow, limit)
    found: dict[str, Any] = msgspec.json.decode(data)
    return found


