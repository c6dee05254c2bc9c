"""The documents of `notify.yaml`, as pydantic models with positions (see `rules.document`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field, PlainValidator

from connectors.notify.cap import CATEGORIES, SCOPES
from rules.document import Document
from rules.errors import near
from rules.fields import Flag, List, Raw, Severity, Table, Value, expected, refused
from rules.reader import Scalar, describe
from streams.notices import KINDS, USUAL

#: An address in the web: printable ASCII without spaces.
ADDRESS = re.compile(r"[!-~]{1,2000}")
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_SENDER = re.compile(r"[^\s,<&]{1,200}")
_TEXT = 200  # characters of any other text


def _word(what: str, words: Iterable[str]) -> PlainValidator:
    known = tuple(words)

    def check(value: object) -> str:
        if isinstance(value, Scalar) and value.text in known:
            return value.text
        fix = near(value.text, known) if isinstance(value, Scalar) else ""
        raise refused(f"unknown {what} {describe(value)}, expected {', '.join(known)}", fix)

    return PlainValidator(check)


def _shaped(what: str, shape: re.Pattern[str]) -> PlainValidator:
    def check(value: object) -> str:
        if isinstance(value, Scalar) and shape.fullmatch(value.text):
            return value.text
        raise expected(what, value)

    return PlainValidator(check)


def _count(most: int) -> PlainValidator:
    def check(value: object) -> int:
        said = value.text if isinstance(value, Scalar) else ""
        if said.isascii() and said.isdigit() and len(said) <= 9 and 1 <= int(said) <= most:
            return int(said)
        raise expected(f"a whole number from 1 to {most}", value)

    return PlainValidator(check)


Kind = Annotated[str, _word("kind", KINDS)]
Lang = Annotated[str, _word("language", ("zh", "en"))]
Status = Annotated[str, _word("status", ("Actual", "Exercise", "Test"))]
Scope = Annotated[str, _word("scope", SCOPES)]
Category = Annotated[str, _word("category", CATEGORIES)]
Security = Annotated[str, _word("security", ("tls", "starttls", "none"))]
Sender = Annotated[str, _shaped("a name without spaces, commas, < and &", _SENDER)]
MailAddress = Annotated[str, _shaped("a mail address in ASCII", _MAIL)]
Host = Annotated[str, _shaped("a host's name or address", _HOST)]
Short = Annotated[str, _shaped(f"a text of at most {_TEXT} characters in one line",
                               re.compile(rf"[^\x00-\x1f\x7f]{{1,{_TEXT}}}"))]
PerMinute = Annotated[int, _count(6000)]
Port = Annotated[int, _count(65535)]


class ChannelDoc(Document):
    """What every channel has."""

    type: Value
    severity: Severity = "orange"
    kinds: List[Kind] = Field(list(USUAL))
    rules: List[Value] = Field([])
    tags: List[Value] = Field([])
    places: List[Value] = Field([])
    desks: List[Value] = Field([])
    roles: List[Value] = Field([])
    lang: Lang = "zh"
    status: Status = "Actual"
    per_minute: PerMinute | None = None
    ca_file: Value | None = None

    def own(self) -> dict[str, Any]:
        """What only this type of channel has."""
        return {}


class HttpDoc(ChannelDoc):
    """An address: written here, in a file, or in a variable of the environment."""

    needs: ClassVar[str] = ""  # what the address' query must have
    url: Value | None = None
    url_file: Value | None = None
    url_env: Value | None = None
    insecure: Flag = False


class WebhookDoc(HttpDoc):
    """`type: webhook`."""

    secret_file: Value | None = None
    secret_env: Value | None = None
    source: Annotated[str, _shaped("a URI reference", ADDRESS)] = "/tocsin"

    def own(self) -> dict[str, Any]:
        """Who speaks."""
        return {"source": self.source}


class CapDoc(HttpDoc):
    """`type: cap`."""

    secret_file: Value | None = None
    secret_env: Value | None = None
    sender: Sender
    scope: Scope = "Restricted"
    restriction: Short | None = None
    addresses: List[Short] = Field([])
    category: Category = "Safety"

    def own(self) -> dict[str, Any]:
        """Who speaks, to whom."""
        given: dict[str, Any] = {"sender": self.sender, "scope": self.scope,
                                 "category": self.category, "addresses": tuple(self.addresses)}
        return given if self.restriction is None else given | {"restriction": self.restriction}


class DingTalkDoc(HttpDoc):
    """`type: dingtalk`."""

    needs: ClassVar[str] = "access_token"
    secret_file: Value | None = None
    secret_env: Value | None = None


class WeComDoc(HttpDoc):
    """`type: wecom`."""

    needs: ClassVar[str] = "key"


class EmailDoc(ChannelDoc):
    """`type: email`."""

    host: Host
    port: Port | None = None
    security: Security = "tls"
    user: Short | None = None
    secret_file: Value | None = None
    secret_env: Value | None = None
    sender: MailAddress
    to: List[MailAddress]
    insecure: Flag = False

    def own(self) -> dict[str, Any]:
        """Server, sender, recipients."""
        port = self.port or {"tls": 465, "starttls": 587}.get(self.security, 25)
        return {"host": self.host, "port": port, "security": self.security,
                "user": self.user or "", "sender": self.sender, "to": tuple(self.to)}


class FileDoc(Document):
    """The file."""

    channels: Table[Raw]


DOCUMENTS: dict[str, type[ChannelDoc]] = {
    "webhook": WebhookDoc, "cap": CapDoc, "dingtalk": DingTalkDoc, "wecom": WeComDoc,
    "email": EmailDoc,
}  # fmt: skip


def text(value: Scalar | str | None) -> str:
    """What a value says."""
    return value.text if isinstance(value, Scalar) else value or ""


def texts(values: Iterable[Scalar]) -> tuple[str, ...]:
    """What values say."""
    return tuple(value.text for value in values)
