"""E-mail by SMTP (RFC 5321), with TLS from the start, after STARTTLS, or none.

The notices of one alarm are one thread: the first is the others' `In-Reply-To`. Message-ID is made
of the notice's id, so a repetition can be told.
"""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal

from pydantic import SecretStr

from connectors.notify.base import (
    ANSWER_S,
    CONNECT_S,
    DEADLINE_S,
    Deadline,
    Delivered,
    LinkError,
    Notice,
    Outcome,
    Refused,
    Retry,
    tls,
)
from connectors.notify.base import Settings as Common
from connectors.notify.text import clipped, details, headline, one_line

Security = Literal["tls", "starttls", "none"]
_SUBJECT = 200  # bytes
_SAID = 160     # bytes of a server's answer that an error quotes


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Common):
    """`secret` is the password of `user`; without a user nobody logs in."""

    host: str
    port: int = 465
    security: Security = "tls"
    user: str = ""
    secret: SecretStr | None = None
    sender: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mail:
    """What is handed to the server."""

    sender: str
    to: tuple[str, ...]
    data: bytes = field(repr=False)


#: Hands over a mail; returns the recipients that were not taken, with the server's reply to each.
#: Raises what smtplib raises (OSError, smtplib.SMTPException), or LinkError.
Transport = Callable[[Mail], Mapping[str, tuple[int, bytes]]]


def request(settings: Settings, notice: Notice, now_ms: int) -> Mail:
    """The mail."""
    domain = settings.sender.rpartition("@")[2]
    message = EmailMessage(policy=SMTP)
    subject = headline(notice, settings.status, settings.lang)
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.to)
    message["Subject"] = clipped(one_line(subject), _SUBJECT)
    message["Date"] = format_datetime(notice.local(now_ms))
    message["Message-ID"] = f"<{notice.id}@{domain}>"
    if notice.earlier:
        first = f"<{notice.alarm}-{notice.earlier[0][0]}@{domain}>"
        message["In-Reply-To"] = first
        message["References"] = first
    message["Auto-Submitted"] = "auto-generated"
    if notice.severity == "red" and not notice.ended:
        message["Importance"] = "high"
    message.set_content(_text(settings, notice), cte="base64")
    return Mail(settings.sender, settings.to, message.as_bytes())


def _text(settings: Settings, notice: Notice) -> str:
    lines = [headline(notice, settings.status, settings.lang), ""]
    said = one_line(notice.text[settings.lang])
    if said and not notice.ended:
        lines += [said, ""]
    lines += [f"{label}: {value}" for label, value in details(notice, settings.lang)]
    return "\n".join(lines) + "\n"


def send(request: Mail, transport: Transport) -> Outcome:
    """Sends it once. Taken for some recipients counts as delivered, and says for whom not."""
    try:
        missed = transport(request)
    except smtplib.SMTPRecipientsRefused as error:
        return _judged([code for code, _ in error.recipients.values()], _missed(error.recipients))
    except smtplib.SMTPResponseException as error:  # greeting, login, sender, data
        return _judged([error.smtp_code], f"{error.smtp_code} {_said(error.smtp_error)}")
    except smtplib.SMTPNotSupportedError as error:
        return Refused(f"the server cannot do what is configured: {_said(error)}")
    except LinkError as error:
        return Retry(str(error))
    except (smtplib.SMTPException, OSError) as error:  # cut off, no answer, no connection
        return Retry(f"no connection: {_said(error) or type(error).__name__}")
    return Delivered(_missed(missed))


def _judged(codes: list[int], why: str) -> Outcome:
    """5xx is final (RFC 5321, 4.2.1); when only some recipients are, it is tried again."""
    return Refused(why) if codes and all(500 <= code < 600 for code in codes) else Retry(why)


def _missed(recipients: Mapping[str, tuple[int, bytes]]) -> str:
    said = [f"{name}: {code} {_said(reply)}" for name, (code, reply) in recipients.items()]
    return clipped("; ".join(said), 3 * _SAID)


def _said(answer: object) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    return clipped(one_line(text), _SAID)


class MailLink:
    """The transport to one server: a connection for each mail. Blocks."""

    def __init__(self, settings: Settings, deadline_s: float = DEADLINE_S) -> None:
        """Raises OSError when the certificates cannot be used."""
        self._settings = settings
        self._tls = tls(settings.ca_file) if settings.security != "none" else None
        self._deadline_s = deadline_s
        self._deadline: Deadline | None = None
        self._closed = False

    def __call__(self, mail: Mail) -> Mapping[str, tuple[int, bytes]]:
        """Hands over a mail (see Transport)."""
        if self._closed:
            raise LinkError("not sent: the link is closed")
        with Deadline(self._deadline_s) as deadline:
            self._deadline = deadline
            try:
                return self._hand_over(mail, deadline)
            except (smtplib.SMTPException, OSError):
                if deadline.passed:
                    raise LinkError(f"{self._settings.host}: not done in time") from None
                raise
            finally:
                self._deadline = None

    def _hand_over(self, mail: Mail, deadline: Deadline) -> Mapping[str, tuple[int, bytes]]:
        settings = self._settings
        smtp = _Smtp(deadline, self._tls if settings.security == "tls" else None)
        try:
            code, said = smtp.connect(settings.host, settings.port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, said)
            if settings.security == "starttls":
                smtp.ehlo_or_helo_if_needed()
                smtp.starttls(context=self._tls)
                if smtp.sock is not None:
                    deadline.watch(smtp.sock)
            if settings.user:
                smtp.login(settings.user, settings.secret.get_secret_value()
                           if settings.secret is not None else "")
            missed = smtp.sendmail(mail.sender, mail.to, mail.data)
            with suppress(smtplib.SMTPException, OSError):  # it has been taken
                smtp.quit()
            return missed
        finally:
            smtp.close()

    def close(self) -> None:
        """Ends it; may be called by any thread."""
        self._closed = True
        deadline = self._deadline
        if deadline is not None:
            deadline.cut()


class _Smtp(smtplib.SMTP):
    """A client whose socket is watched from its first byte, in TLS if there is a context."""

    def __init__(self, deadline: Deadline, context: object) -> None:
        super().__init__(timeout=ANSWER_S)
        self._watched, self._context = deadline, context

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), CONNECT_S)
        sock.settimeout(timeout)
        self._watched.watch(sock)
        self._host = host  # what STARTTLS verifies
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_hostname=host)  # type: ignore[attr-defined]
            self._watched.watch(sock)
        return sock
