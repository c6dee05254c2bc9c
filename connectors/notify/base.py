"""What every channel of notices keeps to.

    request(settings, notice, now_ms)   what is to be sent; pure
    send(request, transport)            sends it once, blocks, and says what came of it

    Outcome
    ├── Delivered   taken by the peer; `partly` says who did not get it
    ├── Retry       not taken now: no connection, no answer, overload, a limit on the rate
    └── Refused     never taken as it is: wrong key, wrong format, no such robot

A transport is a function from a request to a reply. It raises LinkError for whatever goes wrong on
the way; no exception of a library comes through, and no text holds an address's path or a secret.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Self
from zoneinfo import ZoneInfo

import certifi
from pydantic import SecretStr

Language = Literal["zh", "en"]
Severity = Literal["blue", "yellow", "orange", "red"]
Kind = Literal["raised", "level", "overdue", "returned", "cleared"]
Status = Literal["Actual", "Exercise", "Test"]
Texts = Mapping[str, str]  # by language

CONNECT_S = 5.0    # until a connection stands
ANSWER_S = 10.0    # without a byte
DEADLINE_S = 30.0  # of a whole exchange, however the peer drips

_NO_TEXTS: Texts = {"zh": "", "en": ""}


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert as it is told. `body` is the ledger's record, canonical JSON in UTF-8.

    `earlier` are (seq, t_ms) of the notices of the same alarm that this channel has delivered:
    the first, and the newest of the others, in order.
    """

    alarm: str
    seq: int
    kind: Kind
    severity: Severity
    t_ms: int
    since_ms: int
    zone: ZoneInfo
    asset: str
    rule: str
    title: Texts
    text: Texts
    kind_word: Texts
    severity_word: Texts
    evidence: Texts = field(default_factory=lambda: dict(_NO_TEXTS))  # one line
    place: str = ""
    plan: str = ""
    step: str = ""
    body: bytes = b"{}"
    earlier: tuple[tuple[int, int], ...] = ()

    @property
    def id(self) -> str:
        """The same whenever and wherever this is sent, so that a receiver can tell repetitions."""
        return f"{self.alarm}-{self.seq}"

    @property
    def ended(self) -> bool:
        """Whether it says that the condition is over."""
        return self.kind in ("returned", "cleared")

    def local(self, ms: int) -> datetime:
        """An instant in the site's zone."""
        return datetime.fromtimestamp(ms // 1000, UTC).astimezone(self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all channels have. `lang` is for people; systems are given both languages."""

    name: str
    lang: Language = "zh"
    status: Status = "Actual"
    ca_file: str = ""  # further certificates to trust (PEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings(Settings):
    """A channel by HTTP. The whole address is a secret: robots have their key in it."""

    url: SecretStr
    secret: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """Taken. `partly` names what was not, and why; empty when all of it was."""

    partly: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again, not before `after_ms` from now where the peer said so (at most an hour)."""

    why: str
    after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Trying again is of no use."""

    why: str


Outcome = Delivered | Retry | Refused


class LinkError(Exception):
    """The peer could not be reached, or did not answer in its protocol."""


class Deadline:
    """Ends an exchange when its time is up, or when `cut` is called by another thread.

    Timeouts of libraries count from the last byte, so a peer that drips would hold them for ever;
    a socket that is shut down makes every read end.
    """

    def __init__(self, seconds: float = DEADLINE_S) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.passed = False
        self._timer = threading.Timer(seconds, self.cut)
        self._timer.daemon = True

    def watch(self, sock: socket.socket) -> None:
        """From now on this is the exchange's socket."""
        with self._lock:
            self._socket = sock
            if self.passed:
                _shut(sock)

    def cut(self) -> None:
        """The exchange ends now."""
        with self._lock:
            self.passed = True
            if self._socket is not None:
                _shut(self._socket)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._socket = None


def _shut(sock: socket.socket) -> None:
    try:
        # Of a TLS socket the plain one beneath: a proper TLS goodbye waits for the peer.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:  # it was closed meanwhile
        return


def tls(ca_file: str = "") -> ssl.SSLContext:
    """Verifies hosts by the system's certificates, certifi's, and those of `ca_file` (PEM).

    Raises OSError (ssl.SSLError is one) when the file cannot be used.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca_file:
        context.load_verify_locations(ca_file)
    return context
