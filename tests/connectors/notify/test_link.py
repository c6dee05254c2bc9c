"""Real sockets: what a peer can do to us, and what must not leave this machine."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import ssl
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import httpx
import pytest
from pydantic import SecretStr

from connectors.notify import link as module
from connectors.notify.base import Delivered, LinkError, Outcome, Retry
from connectors.notify.link import (
    REPLY_BYTES,
    HttpLink,
    Reply,
    Request,
    fault,
    retry_after,
)
from connectors.notify.webhook import Settings, request, send
from tests.connectors.notify.kit import LOCAL, RAISED, Answer, T, peer

KEY = "k3y-that-nobody-may-see"


def settings(url: str) -> Settings:
    return Settings(name="x", url=SecretStr(f"{url}?key={KEY}"), secret=SecretStr(f"bearer-{KEY}"))


def told(url: str, deadline_s: float = 20.0, ca_file: str = "") -> Outcome:
    """One notice, sent by a link of its own."""
    made = replace(settings(url), ca_file=ca_file)
    link = HttpLink(made, deadline_s)
    try:
        return send(request(made, RAISED, T), link)
    finally:
        link.close()


def test_a_notice_arrives_whole() -> None:
    with peer() as server:
        assert told(server.url) == Delivered()
    (got,) = server.got
    assert got.path == f"/hook?key={KEY}"
    assert got.body == RAISED.body
    assert got.headers["ce-id"] == RAISED.id
    assert got.headers["authorization"] == f"Bearer bearer-{KEY}"
    assert "cookie" not in got.headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with peer() as elsewhere:
        with peer(lambda _: (status, {"location": elsewhere.url}, b"")) as server:
            outcome = told(server.url)
        assert isinstance(outcome, Retry)
        assert outcome.why.startswith(f"HTTP {status}: a redirect")
        assert not elsewhere.got


def test_a_huge_reply_is_not_read_to_its_end() -> None:
    size = 1 << 28
    poured = 0

    def pour(handler: BaseHTTPRequestHandler) -> None:
        nonlocal poured
        handler.send_response(200)
        handler.send_header("content-length", str(size))
        handler.end_headers()
        with contextlib.suppress(OSError):
            while poured < size:
                poured += handler.wfile.write(b"x" * 65_536)

    with peer(lambda _: pour) as server:
        link = HttpLink(settings(server.url))
        reply = link(request(settings(server.url), RAISED, T))
        link.close()
    assert (reply.status, len(reply.body), reply.cut) == (200, REPLY_BYTES, True)
    assert poured < size / 4  # what the kernel had taken for us


def test_a_compressed_reply_is_not_unpacked() -> None:
    bomb = (200, {"content-encoding": "gzip"}, b"\x1f\x8b" + b"\0" * 40)
    with peer(lambda _: bomb) as server:
        link = HttpLink(settings(server.url))
        assert link(request(settings(server.url), RAISED, T)).body == bomb[2]
        link.close()
    assert server.got[0].headers["accept-encoding"] == "identity"


def test_silence_ends_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.2)
    with peer() as server:
        server.answer = lambda _: server.hang
        assert told(server.url) == Retry("127.0.0.1: no answer within 0.2 s")


@pytest.mark.parametrize("drip", [b"x", b"HTTP/1.1 200 OK\r\nx: y\r\n" + b"z"])
def test_a_peer_that_drips_is_cut_off(drip: bytes) -> None:
    """Each byte comes in time, so only the deadline of the whole ends it."""
    stop = threading.Event()

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(drip)
            while not stop.wait(0.02):
                handler.wfile.write(b"x")
        except OSError:
            return

    with peer(lambda _: slowly) as server:
        began = time.monotonic()
        outcome = told(server.url, deadline_s=0.3)
        assert time.monotonic() - began < 5
        stop.set()
    assert outcome == Retry("127.0.0.1: no whole answer within 0.3 s")


def test_closing_ends_what_is_under_way() -> None:
    with peer() as server:
        server.answer = lambda _: server.hang
        made = settings(server.url)
        link = HttpLink(made)
        outcomes: list[Outcome] = []
        thread = threading.Thread(
            target=lambda: outcomes.append(send(request(made, RAISED, T), link))
        )
        thread.start()
        server.wait()
        began = time.monotonic()
        link.close()
        thread.join(5)
        assert time.monotonic() - began < 1
        assert outcomes == [Retry("not sent: the link is closed")]
        again = send(request(made, RAISED, T), link)
        assert again == Retry("not sent: the link is closed, or the address is another one")


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        outcome = told(f"http://127.0.0.1:{port}/hook")
    assert isinstance(outcome, Retry)
    assert outcome.why.startswith("127.0.0.1: no connection: ")


def test_a_name_that_nobody_has() -> None:
    outcome = told("http://no-such-host.invalid/hook")
    assert isinstance(outcome, Retry)
    assert outcome.why.startswith("no-such-host.invalid: no connection: ")


def test_a_peer_that_does_not_speak_http() -> None:
    def garbage(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"220 mail.example ESMTP\r\n" * 10)

    def nothing(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    for answer in (garbage, nothing):
        with peer(lambda _, answer=answer: answer) as server:  # type: ignore[misc]
            outcome = told(server.url)
        assert isinstance(outcome, Retry)
        assert "RemoteProtocolError" in outcome.why


def test_a_certificate_that_nobody_trusts() -> None:
    with peer(tls=True) as server:
        outcome = told(server.url)
        assert isinstance(outcome, Retry)
        assert outcome.why.startswith("127.0.0.1: no connection: ")
        assert "certificate verify failed" in outcome.why
        assert not server.got


def test_a_certificate_for_another_host() -> None:
    with peer(tls=True) as server:
        outcome = told(server.url.replace("127.0.0.1", "127.0.0.2"), ca_file=str(LOCAL))
    assert isinstance(outcome, Retry)
    assert not server.got


def test_a_certificate_that_is_configured() -> None:
    with peer(tls=True) as server:
        assert told(server.url, ca_file=str(LOCAL)) == Delivered()
        assert server.got[0].body == RAISED.body


def test_the_deadline_holds_for_tls_too() -> None:
    with peer(tls=True) as server:
        server.answer = lambda _: server.hang
        outcome = told(server.url, deadline_s=0.5, ca_file=str(LOCAL))
    assert outcome == Retry("127.0.0.1: no whole answer within 0.5 s")


def test_only_the_configured_origin_is_called() -> None:
    with peer() as configured, peer() as other:
        link = HttpLink(settings(configured.url))
        for url in (other.url, configured.url.replace("http:", "https:"), "http://localhost/"):
            with pytest.raises(LinkError, match="the address is another one"):
                link(Request(SecretStr(url), {}, b""))
        link.close()
        assert not other.got
        assert not configured.got


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with peer() as proxy, peer() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        told(server.url)
        assert len(server.got) == 1
        assert not proxy.got


def test_a_cookie_is_not_kept() -> None:
    with peer(lambda _: (200, {"set-cookie": "a=b; path=/"}, b"")) as server:
        made = settings(server.url)
        link = HttpLink(made)
        for _ in range(2):
            send(request(made, RAISED, T), link)
        link.close()
    assert all("cookie" not in got.headers for got in server.got)


def test_nothing_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Not the log at its most talkative, not an error, not a representation."""
    said: list[str] = []
    answers: list[Answer] = [
        (200, {}, b""), (404, {}, b"no"), (500, {}, b""), (302, {"location": "/x"}, b""),
    ]  # fmt: skip
    with caplog.at_level(logging.DEBUG), peer() as server:
        for answer in answers:
            server.answer = lambda _, answer=answer: answer  # type: ignore[misc]
            said.append(repr(told(server.url)))
        made = settings(server.url)
        said += [repr(told("http://127.0.0.1:9/")), repr(made), repr(request(made, RAISED, T))]
    assert KEY not in caplog.text + "".join(said)


#: Every failure that httpx has, and what a socket has beside them.
FAILURES: list[Exception] = [
    httpx.ConnectTimeout(KEY), httpx.ReadTimeout(KEY), httpx.WriteTimeout(KEY),
    httpx.PoolTimeout(KEY), httpx.ConnectError("x"), httpx.ReadError("x"), httpx.WriteError("x"),
    httpx.CloseError("x"), httpx.ProxyError("x"), httpx.UnsupportedProtocol("x"),
    httpx.LocalProtocolError("x"), httpx.RemoteProtocolError("x"), httpx.DecodingError("x"),
    httpx.TooManyRedirects("x"), httpx.InvalidURL("x"), httpx.StreamConsumed(),
    OSError(28, "no space"), ssl.SSLError("x"), ConnectionResetError(),
]  # fmt: skip


@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
def test_every_exception_of_the_library_becomes_ours(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    made = settings("http://127.0.0.1:1/")
    link = HttpLink(made)
    monkeypatch.setattr(link._client, "stream", fail)
    outcome = send(request(made, RAISED, T), link)
    assert isinstance(outcome, Retry)
    assert KEY not in outcome.why
    assert len(outcome.why) < 250


def test_the_list_of_failures_is_whole() -> None:
    """So that a new httpx with a new exception is noticed."""
    ours = {type(error) for error in FAILURES}
    for value in vars(httpx).values():
        if isinstance(value, type) and issubclass(value, httpx.HTTPError):
            assert any(issubclass(one, value) for one in ours) or value is httpx.HTTPStatusError


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 120 "}, 120_000),
        ({"retry-after": "99999999999999999999"}, 3_600_000),
        ({"retry-after": "Fri, 02 Jan 2026 00:01:30 GMT",
          "date": "Fri, 02 Jan 2026 00:00:00 GMT"}, 90_000),
        ({"retry-after": "Fri, 02 Jan 2026 00:00:00 GMT",
          "date": "Fri, 02 Jan 2026 01:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 02 Jan 2026 00:01:30 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "١٢"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], wait: int | None) -> None:
    assert retry_after(headers) == wait


def test_every_status_means_something() -> None:
    for status in range(100, 600):
        found = fault(Reply(status))
        assert (found is None) == (200 <= status < 300)
        assert isinstance(found, Retry) or found is None or 400 <= status < 500


def test_ten_notices_need_ten_connections_and_no_thread_is_left() -> None:
    before = threading.active_count()
    with peer(lambda got: (200, {}, json.dumps(len(got.body)).encode())) as server:
        made = settings(server.url)
        link = HttpLink(made)
        for seq in range(10):
            send(request(made, replace(RAISED, seq=seq), T), link)
        link.close()
        assert [got.headers["ce-id"][-2:] for got in server.got] == [f"-{n}" for n in range(10)]
    assert threading.active_count() <= before + 1
