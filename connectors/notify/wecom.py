"""A robot of a WeCom group (企业微信群机器人): markdown of 4,096 bytes, 20 messages a minute."""

from __future__ import annotations

import json
from dataclasses import dataclass

from connectors.notify.base import HttpSettings, Notice, Outcome, Severity
from connectors.notify.link import Request, Transport
from connectors.notify.robot import markdown, post

PER_MINUTE = 20
SIZE = 4096  # bytes of the content
_COLOUR: dict[Severity, str] = {  # it knows three: orange-red, grey, green
    "red": "warning", "orange": "warning", "yellow": "comment", "blue": "comment",
}  # fmt: skip
#: Kind of message, parameters, content (empty, too long), key; robot gone or stopped.
_REFUSED = frozenset({40008, 40035, 40058, 44004, 45002, 93000, 93004, 93008})
_WAIT_MS = {45009: 60_000, 45033: 60_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(HttpSettings):
    """`url` is the robot's with its key."""


def request(settings: Settings, notice: Notice, now_ms: int) -> Request:  # noqa: ARG001 - contract
    """The post."""
    colour = "info" if notice.ended else _COLOUR[notice.severity]
    title = f'<font color="{colour}">{{}}</font>'
    text = markdown(notice, settings.status, settings.lang, SIZE, title)
    body = {"msgtype": "markdown", "markdown": {"content": text}}
    headers = {"content-type": "application/json; charset=utf-8"}
    return Request(settings.url, headers, json.dumps(body, ensure_ascii=False).encode())


def send(request: Request, transport: Transport) -> Outcome:
    """Sends it once."""
    return post(request, transport, _REFUSED, _WAIT_MS)
