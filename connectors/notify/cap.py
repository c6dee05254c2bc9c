"""CAP 1.2 (Common Alerting Protocol, OASIS 2010): an alert in XML, posted.

    raised               Alert
    level, overdue,
    returned             Update, with references to the earlier messages about the alarm
    cleared              Update, with responseType AllClear

Elements stand in the order of the schema. `sent` has whole seconds and a numeric offset, of UTC
-00:00, never Z. `status` is the channel's: an exercise says so in status and headlines.
A message is sent again with the same identifier and the same `sent`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta, timezone
from xml.etree import ElementTree as ET

from connectors.notify.base import (
    Delivered,
    HttpSettings,
    Language,
    Notice,
    Outcome,
    Severity,
)
from connectors.notify.link import Reply, Request, Transport, sent
from connectors.notify.text import clipped, headline, one_line

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
CATEGORIES = (
    "Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra",
    "CBRNE", "Other",
)  # fmt: skip
SCOPES = ("Public", "Restricted", "Private")
_LANGUAGES: tuple[tuple[Language, str], ...] = (("zh", "zh-CN"), ("en", "en-US"))
_HEADLINE = 160  # bytes; after the standard's advice on displays of 160 characters
#: Urgency and severity of the four colours.
_GRADES: dict[Severity, tuple[str, str]] = {
    "red": ("Immediate", "Extreme"),
    "orange": ("Immediate", "Severe"),
    "yellow": ("Expected", "Moderate"),
    "blue": ("Future", "Minor"),
}
_INSTRUCTION = {"zh": "按预案处置：{}", "en": "Carry out the plan {}"}
#: What XML 1.0 has no way to write.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(HttpSettings):
    """`sender` is unique in the world: no spaces, commas, < or &. `restriction` goes with
    Restricted, `addresses` with Private.
    """

    sender: str
    scope: str = "Restricted"
    restriction: str = "For the operator and the authorities it names"
    addresses: tuple[str, ...] = ()
    category: str = "Safety"


def request(settings: Settings, notice: Notice, now_ms: int) -> Request:  # noqa: ARG001 - contract
    """The post."""
    headers = {"content-type": "application/cap+xml"}
    if settings.secret is not None:
        headers["authorization"] = f"Bearer {settings.secret.get_secret_value()}"
    return Request(settings.url, headers, document(settings, notice))


def send(request: Request, transport: Transport) -> Outcome:
    """Sends it once. Any 2xx is success."""
    result = sent(request, transport)
    return Delivered() if isinstance(result, Reply) else result


def document(settings: Settings, notice: Notice) -> bytes:
    """The message as UTF-8 with an XML declaration."""
    earlier = [_reference(settings, notice, seq, t_ms) for seq, t_ms in notice.earlier]
    addresses = " ".join(f'"{a}"' if " " in a else a for a in settings.addresses)
    alert = ET.Element("alert", xmlns=NAMESPACE)
    _fill(alert, (
        ("identifier", notice.id),
        ("sender", settings.sender),
        ("sent", _time(notice, notice.t_ms)),
        ("status", settings.status),
        ("msgType", "Update" if earlier else "Alert"),
        ("scope", settings.scope),
        ("restriction", settings.restriction if settings.scope == "Restricted" else ""),
        ("addresses", addresses if settings.scope == "Private" else ""),
        ("references", " ".join(earlier)),
        ("incidents", notice.alarm),
    ))  # fmt: skip
    for language, code in _LANGUAGES:
        alert.append(_info(settings, notice, language, code))
    made: bytes = ET.tostring(alert, encoding="utf-8", xml_declaration=True)
    return made


def _info(settings: Settings, notice: Notice, language: Language, code: str) -> ET.Element:
    urgency, severity = _GRADES[notice.severity]
    if notice.ended:
        urgency = "Past"
    if notice.kind == "cleared":
        severity, response = "Minor", "AllClear"
    elif notice.kind == "returned":
        response = "Monitor"
    else:
        response = "Execute" if notice.plan else "Assess"
    said = ["" if notice.ended else notice.text[language], notice.evidence[language]]
    plan = "" if notice.ended else notice.plan
    info = ET.Element("info")
    _fill(info, (
        ("language", code),
        ("category", settings.category),
        ("event", one_line(notice.title[language]) or notice.rule),
        ("responseType", response),
        ("urgency", urgency),
        ("severity", severity),
        ("certainty", "Observed"),
        ("onset", _time(notice, notice.since_ms)),
        ("headline", clipped(headline(notice, settings.status, language), _HEADLINE)),
        ("description", "\n".join(one_line(part) for part in said if part)),
        ("instruction", _INSTRUCTION[language].format(plan) if plan else ""),
    ))  # fmt: skip
    for name, value in _parameters(notice):
        _fill(ET.SubElement(info, "parameter"), (("valueName", name), ("value", value)))
    place = f"{notice.place} {notice.asset}" if notice.place else notice.asset
    _fill(ET.SubElement(info, "area"), (("areaDesc", one_line(place) or notice.rule),))
    return info


def _parameters(notice: Notice) -> Iterator[tuple[str, str]]:
    yield "tocsin:kind", notice.kind
    yield "tocsin:colour", notice.severity
    yield "tocsin:rule", notice.rule
    yield "tocsin:asset", notice.asset
    if notice.step:
        yield "tocsin:step", notice.step


def _fill(parent: ET.Element, children: Iterable[tuple[str, str]]) -> None:
    """Appends elements in this order; those without text are left out."""
    for name, text in children:
        if text:
            ET.SubElement(parent, name).text = _ILLEGAL.sub("\ufffd", text)


def _reference(settings: Settings, notice: Notice, seq: int, t_ms: int) -> str:
    return f"{settings.sender},{notice.alarm}-{seq},{_time(notice, t_ms)}"


def _time(notice: Notice, ms: int) -> str:
    at = notice.local(ms)
    offset = at.utcoffset() or timedelta()
    minutes = round(offset.total_seconds() / 60)  # a few zones once had seconds; CAP has none
    if minutes == 0:
        return f"{at - offset:%Y-%m-%dT%H:%M:%S}-00:00"
    return at.astimezone(timezone(timedelta(minutes=minutes))).isoformat(timespec="seconds")
