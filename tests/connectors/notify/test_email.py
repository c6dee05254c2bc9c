from __future__ import annotations

import smtplib
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from pydantic import SecretStr

from connectors.notify import email as module
from connectors.notify.base import Delivered, LinkError, Refused, Retry
from connectors.notify.email import Mail, MailLink, Settings, request, send
from tests.connectors.notify.kit import ALARM, LOCAL, RAISED, T, later, post_office

SETTINGS = Settings(
    name="x", host="127.0.0.1", security="none", sender="tocsin@north.example",
    to=("ana@north.example", "wang@north.example"),
)  # fmt: skip


def parsed(data: bytes) -> EmailMessage:
    found = message_from_bytes(data, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def told(port: int, **changes: object) -> object:
    settings = replace(SETTINGS, port=port, **changes)
    return send(request(settings, RAISED, T), MailLink(settings, 20.0))


def test_a_mail_as_people_get_it() -> None:
    with post_office() as post:
        assert told(post.port) == Delivered()
    ((recipients, data),) = post.mails
    mail = parsed(data)
    assert recipients == ["ana@north.example", "wang@north.example"]
    assert mail["From"] == "tocsin@north.example"
    assert mail["To"] == "ana@north.example, wang@north.example"
    assert mail["Subject"] == "橙 报警：困人，L1"
    assert mail["Message-ID"] == f"<{ALARM}-0@north.example>"
    assert mail["Date"] == "Fri, 02 Jan 2026 08:00:00 +0800"
    assert mail["Auto-Submitted"] == "auto-generated"
    lines = mail.get_content().splitlines()
    assert lines[:3] == ["橙 报警：困人，L1", "", "停在 3 层附近，轿内有人"]
    assert "设备: L1" in lines
    assert post.said[-1].upper() == "QUIT"


def test_the_notices_of_an_alarm_are_one_thread() -> None:
    mail = parsed(request(SETTINGS, later("cleared", 3), T).data)
    assert mail["In-Reply-To"] == mail["References"] == f"<{ALARM}-0@north.example>"
    assert mail["Message-ID"] == f"<{ALARM}-3@north.example>"


def test_red_is_marked_and_a_drill_says_so() -> None:
    settings = replace(SETTINGS, status="Exercise", lang="en")
    mail = parsed(request(settings, replace(RAISED, severity="red"), T).data)
    assert mail["Importance"] == "high"
    assert mail["Subject"].startswith("[EXERCISE] ")
    assert parsed(request(SETTINGS, RAISED, T).data)["Importance"] is None


@pytest.mark.parametrize(
    "hostile", ["L1\r\nBcc: evil@x.example", "L1\nX: y\n\nbody", "\r\n.\r\nMAIL FROM:<a@b>",
                "x" * 999, "\u2028Bcc: a@b", "=?utf-8?q?x?="],
)  # fmt: skip
def test_no_text_adds_a_header_a_recipient_or_a_command(hostile: str) -> None:
    texts = {"zh": hostile, "en": hostile}
    notice = replace(RAISED, asset=hostile, title=texts, text=texts, place=hostile)
    with post_office() as post:
        settings = replace(SETTINGS, port=post.port)
        assert send(request(settings, notice, T), MailLink(settings)) == Delivered()
    ((recipients, data),) = post.mails
    mail = parsed(data)
    assert recipients == list(SETTINGS.to)
    assert sorted(mail.keys()) == sorted([
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version",
    ])  # fmt: skip
    assert [x.split(":")[0] for x in post.said if x.upper().startswith("MAIL")] == ["mail FROM"]


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ({"mail": "550 not you"}, Refused("550 not you")),
        ({"mail": "451 later"}, Retry("451 later")),
        ({"data": "554 no"}, Refused("554 no")),
        ({"end": "552 too big"}, Refused("552 too big")),
        ({"end": "452 disk full"}, Retry("452 disk full")),
        ({"connect": "554 go away"}, Refused("554 go away")),
        ({"connect": "421 busy"}, Retry("421 busy")),
        ({"connect": "hello?"}, Retry("-1 ello?")),
        ({"rcpt": "550 nobody"}, Refused(
            "ana@north.example: 550 nobody; wang@north.example: 550 nobody")),
        ({"rcpt": "450 full"}, Retry("ana@north.example: 450 full; wang@north.example: 450 full")),
        ({"wang@north.example": "550 gone"}, Delivered("wang@north.example: 550 gone")),
        ({"end": "421 closing"}, Retry("421 closing")),
        ({"quit": "421 bye"}, Delivered()),
    ],
)  # fmt: skip
def test_what_a_server_says(replies: dict[str, str], outcome: object) -> None:
    with post_office(**replies) as post:
        found = told(post.port)
    if replies.get("connect") == "hello?":  # how the library reads it is its own matter
        assert isinstance(found, Retry)
    else:
        assert found == outcome


def test_a_server_without_what_is_configured() -> None:
    with post_office() as post:
        assert isinstance(told(post.port, security="starttls"), Refused)
        user = told(post.port, user="u", secret=SecretStr("p4ssword"))
    assert isinstance(user, Refused)
    assert "p4ssword" not in repr(user)


def test_a_password_that_is_wrong() -> None:
    with post_office(ehlo="250-here\n250 AUTH PLAIN", auth="535 wrong p4ss") as post:
        assert told(post.port, user="u", secret=SecretStr("x")) == Refused("535 wrong p4ss")


def test_nobody_listens_or_somebody_drips() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert isinstance(told(taken.getsockname()[1]), Retry)
    with post_office(connect="220-" + "x" * 10) as post:  # more lines are promised and never come
        settings = replace(SETTINGS, port=post.port)
        outcome = send(request(settings, RAISED, T), MailLink(settings, 0.3))
        assert outcome == Retry("127.0.0.1: not done in time")


def test_closing_ends_what_is_under_way() -> None:
    with post_office(connect="220-wait") as post:
        settings = replace(SETTINGS, port=post.port)
        link = MailLink(settings)
        found: list[object] = []
        thread = threading.Thread(
            target=lambda: found.append(send(request(settings, RAISED, T), link))
        )
        thread.start()
        while link._deadline is None or link._deadline._socket is None:
            assert thread.is_alive()
        link.close()
        thread.join(5)
        assert found == [Retry("127.0.0.1: not done in time")]
        assert isinstance(send(request(settings, RAISED, T), link), Retry)


def test_a_plain_server_is_not_taken_for_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 2.0)
    with post_office() as post:
        assert isinstance(told(post.port, security="tls"), Retry)
    assert not post.mails


def test_tls_from_the_start_or_by_starttls() -> None:
    offers = {"ehlo": "250-here\n250-AUTH PLAIN\n250 STARTTLS", "auth": "235 welcome",
              "starttls": "220 go"}  # fmt: skip
    account = {"user": "u", "secret": SecretStr("p4ss"), "ca_file": str(LOCAL)}
    with post_office(tls=True, **offers) as post:
        assert told(post.port, security="tls", **account) == Delivered()
    with post_office(**offers) as post:
        assert told(post.port, security="starttls", **account) == Delivered()
        assert [x for x in post.said if x.upper().startswith(("STARTTLS", "AUTH"))] == [
            "STARTTLS", "AUTH PLAIN AHUAcDRzcw==",
        ]  # fmt: skip


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_nobody_trusts(security: str) -> None:
    tls = security == "tls"
    offers = {"ehlo": "250-here\n250 STARTTLS", "starttls": "220 go"}
    with post_office(tls=tls, **offers) as post:
        outcome = told(post.port, security=security, user="u", secret=SecretStr("p4ss"))
    assert isinstance(outcome, Retry)
    assert "certificate verify failed" in outcome.why
    assert not [x for x in post.said if "AUTH" in x.upper()]
    assert not post.mails


def test_the_deadline_holds_after_starttls_too() -> None:
    offers = {"ehlo": "250-here\n250 STARTTLS", "starttls": "220 go", "mail": "250-wait"}
    with post_office(**offers) as post:
        settings = replace(SETTINGS, port=post.port, security="starttls", ca_file=str(LOCAL))
        began = time.monotonic()
        outcome = send(request(settings, RAISED, T), MailLink(settings, 0.5))
        assert outcome == Retry("127.0.0.1: not done in time")
        assert time.monotonic() - began < 5


#: Every exception of the library.
FAILURES: list[tuple[Exception, type]] = [
    (smtplib.SMTPServerDisconnected("x"), Retry),
    (smtplib.SMTPResponseException(599, b"x"), Refused),
    (smtplib.SMTPResponseException(-1, b"x"), Retry),
    (smtplib.SMTPSenderRefused(553, b"x", "a"), Refused),
    (smtplib.SMTPRecipientsRefused({"a": (550, b"x"), "b": (450, b"y")}), Retry),
    (smtplib.SMTPRecipientsRefused({}), Retry),
    (smtplib.SMTPDataError(554, b"x"), Refused),
    (smtplib.SMTPConnectError(421, b"x"), Retry),
    (smtplib.SMTPHeloError(501, b"x"), Refused),
    (smtplib.SMTPNotSupportedError("x"), Refused),
    (smtplib.SMTPAuthenticationError(535, b"x"), Refused),
    (smtplib.SMTPException("x"), Retry),
    (TimeoutError(), Retry),
    (OSError(113, "no route"), Retry),
    (LinkError("x"), Retry),
]


@pytest.mark.parametrize(("error", "kind"), FAILURES)
def test_every_exception_of_the_library_means_something(error: Exception, kind: type) -> None:
    def transport(_mail: Mail) -> Mapping[str, tuple[int, bytes]]:
        raise error

    assert isinstance(send(request(SETTINGS, RAISED, T), transport), kind)


def test_the_list_of_failures_is_whole() -> None:
    ours = {type(error) for error, _ in FAILURES}
    theirs = {x for x in vars(smtplib).values()
              if isinstance(x, type) and issubclass(x, smtplib.SMTPException)}
    assert theirs <= ours


def test_nothing_shows_a_secret() -> None:
    settings = replace(SETTINGS, user="u", secret=SecretStr("p4ssword"))
    assert "p4ssword" not in repr(settings) + repr(request(settings, RAISED, T))
