"""Requests by HTTP, and what a reply means before its body is looked at.

Certificates are verified, redirects are not followed, proxies of the environment are not used, one
origin (scheme, host, port) is called and no other, replies are read up to 64 KiB, an exchange takes
30 s at most.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import SecretStr

from connectors.notify.base import (
    ANSWER_S,
    CONNECT_S,
    DEADLINE_S,
    Deadline,
    HttpSettings,
    LinkError,
    Outcome,
    Refused,
    Retry,
    tls,
)
from connectors.notify.text import clipped, one_line

REPLY_BYTES = 64 * 1024
LONGEST_MS = 3_600_000  # a peer that asks for more is asked again after an hour
_SAID = 160             # bytes of a reply that an error quotes

# httpx logs whole addresses, httpcore headers: both hold keys.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted. Address and headers hold secrets and are not shown."""

    url: SecretStr
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: header names in lower case, at most REPLY_BYTES of the body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False  # the body was longer


Transport = Callable[[Request], Reply]


class HttpLink:
    """The transport to one origin. Blocks; raises LinkError. `close` may be called by any thread
    and ends an exchange under way.
    """

    def __init__(self, settings: HttpSettings, deadline_s: float = DEADLINE_S) -> None:
        """Raises OSError when the certificates cannot be used."""
        self._origin = _origin(httpx.URL(settings.url.get_secret_value()))
        self._deadline_s = deadline_s
        self._deadline: Deadline | None = None
        self._closed = False
        self._client = httpx.Client(
            verify=tls(settings.ca_file),
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            # A connection for each: what an idle one would do in between need not be known.
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
            headers={"accept-encoding": "identity", "user-agent": "tocsin"},
        )

    def __call__(self, request: Request) -> Reply:
        """Posts it once."""
        with Deadline(self._deadline_s) as deadline:
            self._deadline = deadline
            try:
                return self._post(request, deadline)
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
                raise LinkError(self._said(error, deadline)) from None
            finally:
                self._deadline = None

    def _post(self, request: Request, deadline: Deadline) -> Reply:
        url = httpx.URL(request.url.get_secret_value())
        if self._closed or _origin(url) != self._origin:
            raise LinkError("not sent: the link is closed, or the address is another one")

        def trace(name: str, info: Mapping[str, object]) -> None:
            if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
                stream = info.get("return_value")
                sock = getattr(stream, "get_extra_info", lambda _: None)("socket")
                if isinstance(sock, socket.socket):
                    deadline.watch(sock)

        with self._client.stream(
            "POST", url, content=request.body, headers=dict(request.headers),
            extensions={"trace": trace},
        ) as response:  # fmt: skip
            self._client.cookies.clear()
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > REPLY_BYTES:
                    break
            headers = {name.lower(): value for name, value in response.headers.items()}
            cut = len(body) > REPLY_BYTES
            return Reply(response.status_code, headers, bytes(body[:REPLY_BYTES]), cut)

    def _said(self, error: Exception, deadline: Deadline) -> str:
        host = self._origin[1]
        if self._closed:
            return "not sent: the link is closed"
        if deadline.passed:
            return f"{host}: no whole answer within {self._deadline_s:g} s"
        if isinstance(error, httpx.ConnectTimeout):
            return f"{host}: no connection within {CONNECT_S:g} s"
        if isinstance(error, httpx.TimeoutException):
            return f"{host}: no answer within {ANSWER_S:g} s"
        if isinstance(error, httpx.ConnectError):
            return f"{host}: no connection: {_short(error)}"
        return f"{host}: {type(error).__name__}: {_short(error)}"

    def close(self) -> None:
        """Ends it."""
        self._closed = True
        deadline = self._deadline
        if deadline is not None:
            deadline.cut()
        else:
            with contextlib.suppress(httpx.HTTPError, OSError):
                self._client.close()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _short(error: Exception) -> str:
    return clipped(one_line(str(error)), _SAID)


def fault(reply: Reply) -> Retry | Refused | None:
    """What a reply's status says; None when it is one of success."""
    status = reply.status
    if 200 <= status < 300:
        return None
    said = f"HTTP {status}{excerpt(reply)}"
    if 300 <= status < 400:
        return Retry(
            f"HTTP {status}: a redirect, which is not followed; configure the final address"
        )
    if 400 <= status < 500 and status not in (408, 425, 429):
        return Refused(said)
    return Retry(said, retry_after(reply.headers))


def excerpt(reply: Reply) -> str:
    """The beginning of a reply's body, for an error."""
    said = clipped(one_line(reply.body[: 4 * _SAID].decode("utf-8", "replace")), _SAID)
    return f": {said}" if said else ""


def retry_after(headers: Mapping[str, str]) -> int | None:
    """`Retry-After` in ms: seconds, or an instant (counted from the reply's own `Date`)."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(int(value[:9]) * 1000, LONGEST_MS)
    until, now = _date(value), _date(headers.get("date", ""))
    if until is None or now is None:
        return None
    return min(max(0, round((until - now).total_seconds() * 1000)), LONGEST_MS)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else None


def sent(request: Request, transport: Transport) -> Reply | Outcome:
    """Sends a request: the reply of a success, else what the failure means."""
    try:
        reply = transport(request)
    except LinkError as error:
        return Retry(str(error))
    return fault(reply) or reply
