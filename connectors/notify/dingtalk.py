r"""A robot of a DingTalk group (自定义机器人): markdown, signed.

After the robot's documentation: sign = base64(HMAC-SHA256(key=secret, "TIMESTAMP\nSECRET")), sent
with the timestamp (ms, within an hour of theirs) in the address; 20 messages a minute, and who
sends more is shut out for ten minutes.
"""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass
from urllib.parse import urlencode

from pydantic import SecretStr

from connectors.notify.base import HttpSettings, Notice, Outcome
from connectors.notify.link import Request, Transport
from connectors.notify.robot import markdown, plain, post
from connectors.notify.text import clipped, headline

PER_MINUTE = 20
SIZE = 4096        # bytes; the robot's own limit is 5,000 characters
_TITLE = 180       # bytes; what a telephone shows of it
#: No such token, robot stopped or gone, group dissolved, kind of message, parameters, signature,
#: key word or address not allowed, content not allowed.
_REFUSED = frozenset({
    40035, 43004, 300001, 300005, 310000, 400013, 400101, 400102, 400105, 400106,
    430101, 430102, 430103, 430104,
})  # fmt: skip
_SHUT_OUT_MS = 600_000
_WAIT_MS = {130101: _SHUT_OUT_MS, 130102: _SHUT_OUT_MS, 410100: _SHUT_OUT_MS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(HttpSettings):
    """`url` is the robot's with its access_token; `secret` the one that begins with SEC."""


def signature(secret: str, timestamp_ms: int) -> str:
    """The signature before it is encoded for the address."""
    text = f"{timestamp_ms}\n{secret}"
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()


def request(settings: Settings, notice: Notice, now_ms: int) -> Request:
    """The post, signed for this instant."""
    url = settings.url.get_secret_value()
    if settings.secret is not None:
        sign = signature(settings.secret.get_secret_value(), now_ms)
        query = urlencode({"timestamp": now_ms, "sign": sign})
        url += f"{'&' if '?' in url else '?'}{query}"
    title = clipped(plain(headline(notice, settings.status, settings.lang)), _TITLE)
    text = markdown(notice, settings.status, settings.lang, SIZE)
    body = {"msgtype": "markdown", "markdown": {"title": title, "text": text}}
    headers = {"content-type": "application/json; charset=utf-8"}
    return Request(SecretStr(url), headers, json.dumps(body, ensure_ascii=False).encode())


def send(request: Request, transport: Transport) -> Outcome:
    """Sends it once."""
    return post(request, transport, _REFUSED, _WAIT_MS)
