import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from connectors.notify.base import Delivered, Kind, Notice, Refused, Severity, Status
from connectors.notify.cap import NAMESPACE, Settings, document, request, send
from connectors.notify.link import Reply
from tests.connectors.notify.kit import ALARM, RAISED, T, later, says

SETTINGS = Settings(name="x", url=SecretStr("https://cap/x"), sender="tocsin@north")

#: The schema's sequences: elements in this order; (least, most) occurrences of each.
ONE, MAYBE, ANY = (1, 1), (0, 1), (0, 99)
ORDER: dict[str, list[tuple[str, tuple[int, int]]]] = {
    "alert": [
        ("identifier", ONE), ("sender", ONE), ("sent", ONE), ("status", ONE), ("msgType", ONE),
        ("source", MAYBE), ("scope", ONE), ("restriction", MAYBE), ("addresses", MAYBE),
        ("code", ANY), ("note", MAYBE), ("references", MAYBE), ("incidents", MAYBE), ("info", ANY),
    ],
    "info": [
        ("language", MAYBE), ("category", (1, 99)), ("event", ONE), ("responseType", ANY),
        ("urgency", ONE), ("severity", ONE), ("certainty", ONE), ("audience", MAYBE),
        ("eventCode", ANY), ("effective", MAYBE), ("onset", MAYBE), ("expires", MAYBE),
        ("senderName", MAYBE), ("headline", MAYBE), ("description", MAYBE),
        ("instruction", MAYBE), ("web", MAYBE), ("contact", MAYBE), ("parameter", ANY),
        ("resource", ANY), ("area", ANY),
    ],
    "parameter": [("valueName", ONE), ("value", ONE)],
    "area": [("areaDesc", ONE), ("polygon", ANY), ("circle", ANY), ("geocode", ANY)],
}  # fmt: skip
WORDS = {
    "status": "Actual Exercise System Test Draft",
    "msgType": "Alert Update Cancel Ack Error",
    "scope": "Public Restricted Private",
    "category": "Geo Met Safety Security Rescue Fire Health Env Transport Infra CBRNE Other",
    "responseType": "Shelter Evacuate Prepare Execute Avoid Monitor Assess AllClear None",
    "urgency": "Immediate Expected Future Past Unknown",
    "severity": "Extreme Severe Moderate Minor Unknown",
    "certainty": "Observed Likely Possible Unlikely Unknown",
}
WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d")


def valid(data: bytes) -> ET.Element:
    """The message, once it has kept the rules of the schema and of the standard's text."""
    assert data.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    alert = ET.fromstring(data)
    assert alert.tag == f"{{{NAMESPACE}}}alert"
    for element in alert.iter():
        assert element.tag.startswith(f"{{{NAMESPACE}}}"), element.tag
        element.tag = name = element.tag.partition("}")[2]
        if name in WORDS:
            assert element.text in WORDS[name].split(), (name, element.text)
        if name in ("sent", "effective", "onset", "expires"):
            assert WHEN.fullmatch(element.text or ""), (name, element.text)
            assert not (element.text or "").endswith("+00:00")
        if name not in ORDER:
            assert len(element) == 0
            assert (element.text or "").strip(), name
    for element in alert.iter():
        if element.tag not in ORDER:
            continue
        names = [name for name, _ in ORDER[element.tag]]
        found = [child.tag for child in element]
        assert found == sorted(found, key=names.index), found
        for name, (least, most) in ORDER[element.tag]:
            assert least <= found.count(name) <= most, (element.tag, name)
    for name in ("identifier", "sender"):
        assert not re.search(r"[\s,<&]", alert.findtext(name) or "")
    assert (alert.findtext("scope") == "Restricted") == (alert.find("restriction") is not None)
    assert (alert.findtext("scope") == "Private") == (alert.find("addresses") is not None)
    assert (alert.findtext("msgType") == "Alert") == (alert.find("references") is None)
    return alert


def texts(alert: ET.Element, *names: str) -> list[Any]:
    return [alert.findtext(name) for name in names]


def test_a_raise_is_an_alert_in_two_languages() -> None:
    alert = valid(document(SETTINGS, RAISED))
    assert texts(alert, "identifier", "sender", "sent", "status", "msgType", "incidents") == [
        f"{ALARM}-0", "tocsin@north", "2026-01-02T08:00:00+08:00", "Actual", "Alert", ALARM,
    ]  # fmt: skip
    zh, en = alert.findall("info")
    assert texts(zh, "language", "event", "headline", "description", "instruction") == [
        "zh-CN", "困人", "橙 报警：困人，L1", "停在 3 层附近，轿内有人\n楼层 3 · 有人 是",
        "按预案处置：lift.rescue",
    ]  # fmt: skip
    assert texts(en, "language", "headline", "onset", "category", "responseType") == [
        "en-US", "ORANGE raised: Passengers trapped, L1", "2026-01-02T07:59:45+08:00", "Safety",
        "Execute",
    ]  # fmt: skip
    assert en.findtext("area/areaDesc") == "东区 L1"


@pytest.mark.parametrize(
    ("severity", "grade"),
    [
        ("red", ["Immediate", "Extreme", "Observed"]),
        ("orange", ["Immediate", "Severe", "Observed"]),
        ("yellow", ["Expected", "Moderate", "Observed"]),
        ("blue", ["Future", "Minor", "Observed"]),
    ],
)
def test_the_four_colours(severity: Severity, grade: list[str]) -> None:
    alert = valid(document(SETTINGS, replace(RAISED, severity=severity)))
    for info in alert.findall("info"):
        assert texts(info, "urgency", "severity", "certainty") == grade


@pytest.mark.parametrize(
    ("kind", "response", "urgency", "severity"),
    [
        ("level", "Execute", "Immediate", "Severe"),
        ("overdue", "Execute", "Immediate", "Severe"),
        ("returned", "Monitor", "Past", "Severe"),
        ("cleared", "AllClear", "Past", "Minor"),
    ],
)
def test_what_follows_is_an_update(kind: Kind, response: str, urgency: str, severity: str) -> None:
    alert = valid(document(SETTINGS, later(kind, 2)))
    assert alert.findtext("msgType") == "Update"
    assert alert.findtext("references") == (
        f"tocsin@north,{ALARM}-0,2026-01-02T08:00:00+08:00"
    )
    for info in alert.findall("info"):
        assert texts(info, "responseType", "urgency", "severity") == [response, urgency, severity]
        ended = kind in ("returned", "cleared")
        assert (info.find("instruction") is None) == ended, "an end repeats no order"


def test_an_update_refers_to_all_earlier_messages_by_what_they_said_of_themselves() -> None:
    second = later("level", 1)
    notice = later("cleared", 4, earlier=((0, RAISED.t_ms), (1, second.t_ms)))
    references = (valid(document(SETTINGS, notice)).findtext("references") or "").split(" ")
    sent = [valid(document(SETTINGS, earlier)) for earlier in (RAISED, second)]
    assert references == [",".join(texts(x, "sender", "identifier", "sent")) for x in sent]


def test_what_nobody_heard_of_is_an_alert_whatever_its_kind() -> None:
    alert = valid(document(SETTINGS, later("level", 1, earlier=())))
    assert alert.findtext("msgType") == "Alert"


@pytest.mark.parametrize(
    ("zone", "sent"),
    [
        ("UTC", "2026-01-02T00:00:00-00:00"),
        ("Europe/London", "2026-01-02T00:00:00-00:00"),
        ("America/New_York", "2026-01-01T19:00:00-05:00"),
        ("Asia/Kolkata", "2026-01-02T05:30:00+05:30"),
    ],
)
def test_times_have_the_offset_of_the_site(zone: str, sent: str) -> None:
    alert = valid(document(SETTINGS, replace(RAISED, zone=ZoneInfo(zone))))
    assert alert.findtext("sent") == sent


def test_an_offset_with_seconds_is_rounded_and_the_instant_kept() -> None:
    notice = replace(RAISED, zone=ZoneInfo("Africa/Monrovia"), t_ms=0, since_ms=0)  # -00:44:30
    assert valid(document(SETTINGS, notice)).findtext("sent") == "1969-12-31T23:16:00-00:44"


@pytest.mark.parametrize(("status", "mark"), [("Exercise", "[EXERCISE] "), ("Test", "[TEST] ")])
def test_a_drill_says_so_first(status: Status, mark: str) -> None:
    alert = valid(document(replace(SETTINGS, status=status), RAISED))
    assert alert.findtext("status") == status
    assert (alert.findall("info")[1].findtext("headline") or "").startswith(mark)


def test_private_messages_name_whom_they_are_for() -> None:
    settings = replace(SETTINGS, scope="Private", addresses=("north", "fire brigade"))
    assert valid(document(settings, RAISED)).findtext("addresses") == 'north "fire brigade"'
    assert valid(document(replace(SETTINGS, scope="Public"), RAISED)) is not None


@pytest.mark.parametrize("hostile", ["<b>&amp;]]>", "\x00\x08\x1b\ufffe", "a\r\nb", "😀" * 500])
def test_any_text_makes_a_valid_message(hostile: str) -> None:
    texts = {"zh": hostile, "en": hostile}
    notice = replace(RAISED, asset=hostile, text=texts, title=texts, place=hostile)
    alert = valid(document(SETTINGS, notice))
    assert all(len((x.findtext("headline") or "").encode()) <= 160 for x in alert.findall("info"))


def test_optional_things_may_be_missing() -> None:
    none = {"zh": "", "en": ""}
    bare = replace(RAISED, place="", plan="", evidence=none, text=none)
    info = valid(document(SETTINGS, bare)).findall("info")[0]
    assert texts(info, "responseType", "instruction", "description", "area/areaDesc") == [
        "Assess", None, None, "L1",
    ]  # fmt: skip


def test_it_is_posted_as_cap_and_any_2xx_is_success() -> None:
    made = request(replace(SETTINGS, secret=SecretStr("t0ken")), RAISED, T)
    assert made.headers == {
        "content-type": "application/cap+xml", "authorization": "Bearer t0ken",
    }  # fmt: skip
    assert send(made, says(Reply(201))) == Delivered()
    assert send(made, says(Reply(422, {}, b"bad sender"))) == Refused("HTTP 422: bad sender")


def test_sent_again_it_is_the_same_message() -> None:
    notice: Notice = later("cleared", 2)
    assert request(SETTINGS, notice, T) == request(SETTINGS, notice, T + 99_000)
