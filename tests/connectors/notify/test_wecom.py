import json
from dataclasses import replace

import pytest
from pydantic import SecretStr

from connectors.notify.base import Delivered, Notice, Refused, Retry
from connectors.notify.wecom import SIZE, Settings, request, send
from tests.connectors.notify.kit import RAISED, T, answers, later

SETTINGS = Settings(name="x", url=SecretStr("https://w.example/send?key=k3y"))


def content(settings: Settings, notice: Notice) -> str:
    body = json.loads(request(settings, notice, T).body)
    assert body["msgtype"] == "markdown"
    text: str = body["markdown"]["content"]
    return text


@pytest.mark.parametrize(
    ("notice", "colour"),
    [
        (replace(RAISED, severity="red"), "warning"),
        (RAISED, "warning"),
        (replace(RAISED, severity="yellow"), "comment"),
        (later("cleared", 1), "info"),
    ],
)
def test_the_headline_has_a_colour(notice: Notice, colour: str) -> None:
    assert content(SETTINGS, notice).startswith(f'<font color="{colour}">橙 报警：困人，L1</font>')


@pytest.mark.parametrize("letter", ["x", "困", "😀"])
def test_the_content_fits_4096_bytes_and_its_markup_stays_whole(letter: str) -> None:
    long = {"zh": letter * 5_000, "en": letter * 5_000}
    notice = replace(RAISED, title=long, text=long, evidence=long, asset=letter * 128)
    text = content(SETTINGS, notice)
    assert len(text.encode()) <= SIZE
    assert text.count("<font") == text.count("</font>") == 1


def test_nobody_is_called_by_a_text() -> None:
    notice = replace(RAISED, asset="<@all>", text={"zh": "<@zhang> [x](http://y)", "en": ""})
    text = content(SETTINGS, notice).partition("</font>")[2]
    assert "<" not in text
    assert "[" not in text


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, Delivered()),
        (93000, Refused("errcode 93000: said")),          # key
        (45002, Refused("errcode 45002: said")),          # too long
        (45009, Retry("errcode 45009: said", 60_000)),    # more than 20 a minute
        (-1, Retry("errcode -1: said")),
    ],
)
def test_a_refusal_inside_http_200(code: int, outcome: object) -> None:
    assert send(request(SETTINGS, RAISED, T), answers(code, "said")) == outcome
