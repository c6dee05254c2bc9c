import base64
import hashlib
import hmac
import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from connectors.notify.base import Delivered, Refused, Retry
from connectors.notify.dingtalk import SIZE, Settings, request, send, signature
from connectors.notify.link import Reply
from tests.connectors.notify.kit import ALARM, RAISED, T, answers, broken, later, says

SECRET = "SEC0123456789"
SETTINGS = Settings(
    name="x", url=SecretStr("https://d.example/robot/send?access_token=t0ken"),
    secret=SecretStr(SECRET),
)  # fmt: skip


def content(settings: Settings = SETTINGS, notice: object = RAISED) -> dict[str, str]:
    body = json.loads(request(settings, notice, T).body)  # type: ignore[arg-type]
    assert body["msgtype"] == "markdown"
    found: dict[str, str] = body["markdown"]
    return found


def test_the_signature_is_that_of_the_robots_documentation() -> None:
    # the documentation's steps; then a value made with `openssl dgst -sha256 -hmac`
    digest = hmac.new(SECRET.encode(), f"{T}\n{SECRET}".encode(), hashlib.sha256).digest()
    assert signature(SECRET, T) == base64.b64encode(digest).decode()
    assert signature("this is secret", 1577262236757) == (
        "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="
    )


def test_the_address_carries_timestamp_and_signature_encoded() -> None:
    url = request(SETTINGS, RAISED, T).url.get_secret_value()
    assert parse_qs(urlsplit(url).query) == {
        "access_token": ["t0ken"], "timestamp": [str(T)], "sign": [signature(SECRET, T)],
    }  # fmt: skip
    assert not set("+/ ") & set(url.split("sign=")[1])


def test_a_repetition_is_signed_anew() -> None:
    assert request(SETTINGS, RAISED, T).url != request(SETTINGS, RAISED, T + 1).url
    assert request(SETTINGS, RAISED, T).body == request(SETTINGS, RAISED, T + 1).body


def test_without_a_secret_nothing_is_signed() -> None:
    assert request(replace(SETTINGS, secret=None), RAISED, T).url == SETTINGS.url


def test_what_people_read() -> None:
    assert content() == {
        "title": "橙 报警：困人，L1",
        "text": "\n\n".join([
            "**橙 报警：困人，L1**",
            "停在 3 层附近，轿内有人",
            "> 时间: 2026-01-02 08:00:00 +0800",
            "> 设备: L1",
            "> 位置: 东区",
            "> 依据: 楼层 3 · 有人 是",
            "> 预案: lift.rescue",
            "> 规则: lift.entrapment",
            f"> 编号: {ALARM}-0",
        ]),
    }


def test_an_end_does_not_repeat_what_was_wrong() -> None:
    text = content(replace(SETTINGS, lang="en"), later("cleared", 1))["text"]
    assert "Stopped near floor 3" not in text
    assert "**ORANGE raised: Passengers trapped, L1**" in text  # the kit's words stay


def test_a_drill_says_so_first() -> None:
    made = content(replace(SETTINGS, status="Exercise"))
    assert made["title"].startswith("【演练】")
    assert made["text"].startswith("**【演练】")


@pytest.mark.parametrize(
    "hostile",
    ["[click](http://evil.example)", "<font color=red>x</font>", "@all @13800000000", "**x** `y`",
     "a\n\n# heading\n- list", "![i](https://evil.example/i.png)", "x\u202eevil\x1b[0m"],
)  # fmt: skip
def test_no_text_from_outside_is_markup(hostile: str) -> None:
    notice = replace(RAISED, asset=hostile, text={"zh": hostile, "en": hostile}, place=hostile)
    text = content(notice=notice)["text"]
    assert not set("[]<`@\\\x1b\u202e") & set(text)
    assert "://" not in text
    assert text.count("*") == 4
    assert not [line for line in text.split("\n") if line.startswith(("#", "-", "!"))][1:]


@pytest.mark.parametrize("letter", ["x", "困", "😀"])
def test_a_long_text_is_cut_between_characters(letter: str) -> None:
    made = content(notice=replace(RAISED, text={"zh": letter * 9_000, "en": ""}))
    assert len(made["text"].encode()) <= SIZE
    assert made["text"].endswith("…")
    long = content(notice=replace(RAISED, asset=letter * 999))
    assert len(long["title"].encode()) <= 180


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, Delivered()),
        (310000, Refused("errcode 310000: said")),   # signature, key word, address
        (300001, Refused("errcode 300001: said")),   # no such token
        (400102, Refused("errcode 400102: said")),   # robot stopped
        (130101, Retry("errcode 130101: said", 600_000)),   # too fast: shut out for ten minutes
        (410100, Retry("errcode 410100: said", 600_000)),
        (-1, Retry("errcode -1: said")),             # busy
        (987654, Retry("errcode 987654: said")),     # what it means, nobody knows: not lost
    ],
)
def test_a_refusal_inside_http_200(code: int, outcome: object) -> None:
    assert send(request(SETTINGS, RAISED, T), answers(code, "said")) == outcome


@pytest.mark.parametrize(
    "body", [b"", b"<html>login</html>", b"[]", b"{}", b'{"errcode": "0"}', b'{"errcode": false}',
             b'{"errcode": 0', b"[" * 100_000, b"\xff\xfe"],
)  # fmt: skip
def test_without_the_robots_answer_it_counts_as_not_sent(body: bytes) -> None:
    outcome = send(request(SETTINGS, RAISED, T), says(Reply(200, {}, body)))
    assert isinstance(outcome, Retry)
    assert outcome.why.startswith("HTTP 200 without the robot's answer")
    assert len(outcome.why) < 250


def test_a_status_of_failure_is_one_whatever_the_body_says() -> None:
    made = request(SETTINGS, RAISED, T)
    assert isinstance(send(made, says(Reply(502, {}, b'{"errcode":0}'))), Retry)
    assert isinstance(send(made, says(Reply(404, {}, b'{"errcode":0}'))), Refused)
    assert isinstance(send(made, broken), Retry)
