"""What the group robots of DingTalk and WeCom have in common.

They take markdown as JSON and say in the reply's body whether they took it: HTTP 200 says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from connectors.notify.base import Delivered, Language, Notice, Outcome, Refused, Retry, Status
from connectors.notify.link import Reply, Request, Transport, excerpt, sent
from connectors.notify.text import clipped, details, headline, one_line

_HEADLINE = 300  # bytes
#: What would be markup (a link, a mention, a colour) becomes its wide twin: names of assets and
#: texts of states come from outside.
_WIDE = str.maketrans({mark: chr(ord(mark) + 0xFEE0) for mark in "[]<>*`~|@\\"})


def markdown(
    notice: Notice, status: Status, language: Language, size: int, title: str = "**{}**"
) -> str:
    """A headline, the text, and the details as a quotation, in at most `size` bytes."""
    lines = [title.format(clipped(plain(headline(notice, status, language)), _HEADLINE))]
    said = plain(notice.text[language])
    if said and not notice.ended:
        lines.append(said)
    lines += [f"> {label}: {plain(value)}" for label, value in details(notice, language)]
    return clipped("\n\n".join(lines), size)


def plain(text: str) -> str:
    """The text without markup, in one line; an address in it is no link."""
    return one_line(text).translate(_WIDE).replace("://", "\uff1a//")


def post(
    request: Request, transport: Transport, refused: Collection[int], wait_ms: Mapping[int, int]
) -> Outcome:
    """Sends it once. Codes in `refused` are final, those in `wait_ms` ask for a pause.

    Any other code is taken for a fault that may pass: a notice sent again is better than one lost.
    """
    reply = sent(request, transport)
    if not isinstance(reply, Reply):
        return reply
    code, said = _code(reply)
    if code is None:
        return Retry(f"HTTP {reply.status} without the robot's answer{excerpt(reply)}")
    if code == 0:
        return Delivered()
    why = f"errcode {code}: {said}"
    return Refused(why) if code in refused else Retry(why, wait_ms.get(code))


def _code(reply: Reply) -> tuple[int | None, str]:
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None, ""
    code = answer.get("errcode") if isinstance(answer, dict) else None
    if not isinstance(code, int) or isinstance(code, bool):
        return None, ""
    return code, clipped(one_line(str(answer.get("errmsg", ""))), 160)
