"""Every type of channel: its settings, how a notice becomes a request, how that is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from connectors.notify import cap, dingtalk, email, webhook, wecom
from connectors.notify.base import Notice, Outcome, Settings
from connectors.notify.link import HttpLink

S = TypeVar("S", bound=Settings)
R = TypeVar("R")
T = TypeVar("T", bound="Link")


class Link(Protocol):
    """A transport that can be closed, by any thread."""

    def close(self) -> None:
        """Ends it, and what is under way."""
        ...


@dataclass(frozen=True, slots=True)
class Connector(Generic[S, R, T]):
    """A type of channel. `per_minute` is the most that it takes by its own rules."""

    settings: type[S]
    request: Callable[[S, Notice, int], R]
    send: Callable[[R, T], Outcome]
    open: Callable[[S], T]
    per_minute: int

    def deliver(self, settings: S, notice: Notice, now_ms: int, link: T) -> Outcome:
        """Tells of a notice once. Blocks."""
        return self.send(self.request(settings, notice, now_ms), link)


CONNECTORS: Mapping[str, Connector[Any, Any, Any]] = {
    "webhook": Connector(webhook.Settings, webhook.request, webhook.send, HttpLink, 600),
    "cap": Connector(cap.Settings, cap.request, cap.send, HttpLink, 600),
    "dingtalk": Connector(
        dingtalk.Settings, dingtalk.request, dingtalk.send, HttpLink, dingtalk.PER_MINUTE
    ),
    "wecom": Connector(wecom.Settings, wecom.request, wecom.send, HttpLink, wecom.PER_MINUTE),
    "email": Connector(email.Settings, email.request, email.send, email.MailLink, 60),
}
