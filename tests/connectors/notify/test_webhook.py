from dataclasses import replace
from urllib.parse import unquote

import pytest
from pydantic import SecretStr

from connectors.notify.base import Delivered, Refused, Retry
from connectors.notify.link import Reply
from connectors.notify.webhook import Settings, request, send
from tests.connectors.notify.kit import ALARM, RAISED, T, broken, later, says

URL = SecretStr("https://x.example/hook")
SETTINGS = Settings(name="x", url=URL, source="/plants/north")


def test_the_alert_is_the_body_and_cloudevents_the_headers() -> None:
    made = request(SETTINGS, RAISED, T)
    assert made.body == RAISED.body
    assert made.url == URL
    assert made.headers == {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": f"{ALARM}-0",
        "ce-source": "/plants/north",
        "ce-type": "tocsin.alert.raised",
        "ce-time": "2026-01-02T00:00:00.250Z",
        "ce-subject": "L1",
        "ce-severity": "orange",
        "ce-status": "actual",
    }


def test_the_same_notice_has_the_same_id_whenever_it_is_sent() -> None:
    notice = later("cleared", 3)
    assert request(SETTINGS, notice, T) == request(SETTINGS, notice, T + 5_000)


@pytest.mark.parametrize("asset", ["一号梯", 'a "b" 100%', "x\r\nevil: 1", "line\u2028end"])
def test_a_header_carries_any_asset_and_no_second_header(asset: str) -> None:
    subject = request(SETTINGS, replace(RAISED, asset=asset), T).headers["ce-subject"]
    assert all(0x21 <= ord(c) < 0x7F for c in subject)
    assert '"' not in subject
    assert unquote(subject) == asset


def test_a_secret_is_a_bearer_token_and_never_shown() -> None:
    settings = Settings(name="x", url=SecretStr("https://x/hook-s3cret"), secret=SecretStr("t0ken"))
    made = request(settings, RAISED, T)
    assert made.headers["authorization"] == "Bearer t0ken"
    for shown in (repr(made), str(made), repr(settings), str(settings)):
        assert "s3cret" not in shown
        assert "t0ken" not in shown


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(200, {}, b"not JSON at all"), Delivered()),
        (Reply(204), Delivered()),
        (Reply(202, {}, b"x" * 10, cut=True), Delivered()),
        (Reply(400, {}, b"no such field"), Refused("HTTP 400: no such field")),
        (Reply(401), Refused("HTTP 401")),
        (Reply(413), Refused("HTTP 413")),
        (Reply(408), Retry("HTTP 408")),
        (Reply(425), Retry("HTTP 425")),
        (Reply(429, {"retry-after": "17"}), Retry("HTTP 429", 17_000)),
        (Reply(429), Retry("HTTP 429")),
        (Reply(500, {}, b"oops\r\n\x1b[31m"), Retry("HTTP 500: oops [31m")),
        (Reply(503, {"retry-after": "999999"}), Retry("HTTP 503", 3_600_000)),
        (Reply(302), Retry("HTTP 302: a redirect, which is not followed; "
                           "configure the final address")),
    ],
)  # fmt: skip
def test_what_a_reply_means(reply: Reply, outcome: object) -> None:
    assert send(request(SETTINGS, RAISED, T), says(reply)) == outcome


def test_without_a_connection_it_is_tried_again() -> None:
    outcome = send(request(SETTINGS, RAISED, T), broken)
    assert outcome == Retry("127.0.0.1: no connection: refused")
