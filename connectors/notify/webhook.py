"""A webhook: the alert as JSON, with CloudEvents 1.0 headers (HTTP binding, binary mode).

Any 2xx is success; the reply's body is not looked at. With a secret, `Authorization: Bearer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from connectors.notify.base import Delivered, HttpSettings, Notice, Outcome
from connectors.notify.link import Reply, Request, Transport, sent

#: Printable ASCII that a header of CloudEvents carries as it is; space, " and % are encoded.
_PLAIN = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(HttpSettings):
    """`source` says who speaks: a URI reference, one for each installation."""

    source: str = "/tocsin"


def request(settings: Settings, notice: Notice, now_ms: int) -> Request:  # noqa: ARG001 - contract
    """The post. Receivers tell repetitions by `ce-source` and `ce-id`."""
    at = datetime.fromtimestamp(notice.t_ms // 1000, UTC)
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": notice.id,
        "ce-source": quote(settings.source, safe=_PLAIN),
        "ce-type": f"tocsin.alert.{notice.kind}",
        "ce-time": f"{at:%Y-%m-%dT%H:%M:%S}.{notice.t_ms % 1000:03d}Z",
        "ce-subject": quote(notice.asset, safe=_PLAIN),
        "ce-severity": notice.severity,
        "ce-status": settings.status.lower(),
    }
    if settings.secret is not None:
        headers["authorization"] = f"Bearer {settings.secret.get_secret_value()}"
    return Request(settings.url, headers, notice.body)


def send(request: Request, transport: Transport) -> Outcome:
    """Sends it once."""
    result = sent(request, transport)
    return Delivered() if isinstance(result, Reply) else result
