"""What may be sent to a running `tocsin run`: the bodies of POST requests, checked. Pure.

    command   {request, by, command, alarm | rule + asset, …}, named as in the ledger's records
    pack      {request, by, files: [{path, text}, …]}

Unknown keys are refused, and every size has a bound. What is wrong is said as `Wrong`: where, what
was found, what was expected, the likely fix.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from rules.errors import near
from rules.load_values import MAX_MS
from rules.records import Command, CommandKind
from streams.guards import MAX_FIELDS, MAX_TEXT

MAX_COMMANDS = 1_000       # of one request
MAX_FILES = 1_000          # of a pack
MAX_SHOWN = 20             # errors told of one body
_MAX_QUOTED = 60           # characters of what was found

#: Arguments of each kind of command: those it needs, and those it may have.
ARGUMENTS: dict[CommandKind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "acknowledge": ((), ()),
    "unacknowledge": ((), ()),
    "shelve": (("duration_ms", "reason"), ("once",)),
    "unshelve": ((), ()),
    "reset": ((), ()),
    "out_of_service": (("reason",), ()),
    "in_service": ((), ()),
    "comment": (("reason",), ()),
    "step": (("step",), ("fields",)),
    "set": (("signal", "value", "asset"), ()),
}
_OF_SOME = {name for needed, may in ARGUMENTS.values() for name in (*needed, *may)}
_OF_SOME -= {"reason", "asset"}     # these are allowed everywhere


class Wrong(BaseModel):
    """One thing that is wrong with a request."""

    at: str = ""
    found: str
    expected: str
    fix: str = ""

    def __str__(self) -> str:
        at = f"{self.at}: " if self.at else ""
        return f"{at}found {self.found}, expected {self.expected}" + (
            f"; {self.fix}" if self.fix else ""
        )


class WrongBody(Exception):  # noqa: N818 what is wrong is the body
    """A body that is not understood; all that is wrong with it."""

    def __init__(self, *wrong: Wrong) -> None:
        super().__init__("; ".join(map(str, wrong)))
        self.wrong = wrong


def _one_line(text: str) -> str:
    return _printable(text, "")


def _many_lines(text: str) -> str:
    return _printable(text, "\n\t")


def _printable(text: str, allowed: str) -> str:
    """Control characters would move the cursor of whoever reads the text on a terminal."""
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in allowed for c in text):
        raise PydanticCustomError("control", "text without control characters")
    return text


def _whole(text: str) -> str:
    """JSON can say half a character, which has no bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("half", "text without halves of characters") from None
    return text


def _relative(path: str) -> str:
    parts = PurePosixPath(path).parts
    if "\\" in path or not parts or parts[0] == "/" or ".." in parts:
        raise PydanticCustomError("path", "a relative path such as lifts/rules.yaml")
    return path


_Id = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_one_line)]
_Name = Annotated[str, Field(max_length=256), AfterValidator(_one_line)]
LongText = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_many_lines)]
_Path = Annotated[
    str, Field(min_length=1, max_length=500), AfterValidator(_one_line), AfterValidator(_relative)
]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Word = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_one_line)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    request: _Id
    by: _Id


class CommandBody(_Body):
    """A command. It is about an `alarm`, or about a `rule` on an `asset` (a group: on its key)."""

    command: CommandKind
    alarm: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""
    rule: _Name = ""
    asset: _Name = ""
    group: bool = False
    reason: LongText = ""
    against: Annotated[int | None, Field(ge=-1, lt=2**53)] = None
    duration_ms: Annotated[int | None, Field(gt=0, le=MAX_MS)] = None
    once: bool = False
    step: _Name = ""
    fields: Annotated[dict[_Id, LongText], Field(max_length=MAX_FIELDS)] = {}
    signal: _Name = ""
    value: Annotated[bool | _Number | _Word | None, Field(union_mode="left_to_right")] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Arguments are those of its kind, and it says what it is about."""
        needed, may = ARGUMENTS[self.command]
        given = {name for name in self.model_fields_set if getattr(self, name) not in ("", None)}
        for name in needed:
            if name not in given:
                raise _custom(f"no `{name}`", f"`{name}` with {self.command}")
        for name in sorted(given & _OF_SOME - {*needed, *may}):
            raise _custom(f"`{name}`", f"no such argument with {self.command}", "leave it out")
        if self.command != "set" and not (self.alarm or (self.rule and self.asset)):
            raise _custom("no `alarm`", "the alarm's id, or `rule` and `asset`")
        return self

    def order(self) -> Command:
        """The command for the site."""
        return Command(
            kind=self.command, target=self.signal if self.command == "set" else self.rule,
            asset=self.asset, group=self.group, value=self.value, step=self.step, by=self.by,
            reason=self.reason, request=self.request, against=self.against, alarm=self.alarm,
            duration=self.duration_ms, once=self.once, fields=self.fields,
        )  # fmt: skip


class FileBody(BaseModel):
    """A file of rules: its path for error messages, and its text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: _Path
    text: Annotated[str, AfterValidator(_whole)]


class PackBody(_Body):
    """Rules that are to take effect, in place of all that are in effect now."""

    files: Annotated[list[FileBody], Field(min_length=1, max_length=MAX_FILES)]

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        paths = [file.path for file in self.files]
        if len(set(paths)) < len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise _custom(f"`{twice}` twice", "each path once")
        return self

    def texts(self) -> list[tuple[str, bytes]]:
        """The files for the loader of rules."""
        return [(file.path, file.text.encode()) for file in self.files]


def _custom(found: str, expected: str, fix: str = "") -> PydanticCustomError:
    return PydanticCustomError("said", "{expected}", {
        "found": found, "expected": expected, "fix": fix,
    })  # fmt: skip


def commands_of(data: bytes) -> tuple[list[CommandBody], bool]:
    """The commands of a body, and whether they came as a list. Raises WrongBody."""
    found = _parsed(data)
    if not isinstance(found, list):
        return [_checked(_COMMAND, found, CommandBody)], False
    if not 1 <= len(found) <= MAX_COMMANDS:
        raise WrongBody(Wrong(
            found=f"{len(found):,} commands", expected=f"1 to {MAX_COMMANDS:,}",
            fix="send the others in another request" if found else "",
        ))  # fmt: skip
    return _checked(_COMMANDS, found, CommandBody), True


def pack_of(data: bytes) -> PackBody:
    """The pack of a body. Raises WrongBody."""
    return _checked(_PACK, _parsed(data), PackBody)


T = TypeVar("T")
_COMMAND, _COMMANDS = TypeAdapter(CommandBody), TypeAdapter(list[CommandBody])
_PACK = TypeAdapter(PackBody)


def _parsed(data: bytes) -> object:
    """JSON as RFC 8259 has it, no key twice."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        said = "a nesting too deep" if isinstance(error, RecursionError) else str(error)[:200]
        raise WrongBody(Wrong(found=said, expected="one JSON value in UTF-8")) from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key twice in one object")
    return made


def _no_constant(name: str) -> object:
    raise ValueError(f"{name}, which is no number of JSON")


def _checked(adapter: TypeAdapter[T], found: object, model: type[BaseModel]) -> T:
    try:
        return adapter.validate_python(found)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise WrongBody(*(_wrong(one, model) for one in details[:MAX_SHOWN])) from None


def _wrong(error: ErrorDetails, model: type[BaseModel]) -> Wrong:
    """An error of pydantic in our words."""
    at = "".join(f"[{x}]" if isinstance(x, int) else f".{x}" for x in error["loc"]).lstrip(".")
    at = at[:200].encode("utf-8", "backslashreplace").decode()
    context = error.get("ctx", {})
    match error["type"]:
        case "said":
            return Wrong(at=at, found=context["found"], expected=context["expected"],
                         fix=context["fix"])  # fmt: skip
        case "extra_forbidden":
            known = FileBody.model_fields if "files" in error["loc"][:-1] else model.model_fields
            key = quoted(error["loc"][-1])
            return Wrong(at=at, found=f"the unknown key {key}", expected=", ".join(known),
                         fix=near(str(error["loc"][-1])[:200], known))  # fmt: skip
        case "missing":
            return Wrong(at=at, found="nothing", expected="a value: this key is needed")
        case "literal_error" if error["loc"][-1:] == ("command",):
            kinds = get_args(CommandKind)
            return Wrong(at=at, found=quoted(error["input"]), expected=", ".join(kinds),
                         fix=near(str(error["input"])[:200], kinds))  # fmt: skip
    return Wrong(at=at, found=quoted(error["input"]), expected=error["msg"])


def quoted(value: object) -> str:
    """The beginning of what was found."""
    if isinstance(value, Sequence | dict) and not isinstance(value, str):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    said = repr(value[: _MAX_QUOTED + 1] if isinstance(value, str) else value)
    return said if len(said) <= _MAX_QUOTED else f"{said[:_MAX_QUOTED]}…"
