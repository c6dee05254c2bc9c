"""Notices to send, and peers on this machine that answer as a test wants."""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.notify.base import Kind, LinkError, Notice
from connectors.notify.link import Reply, Request

ALARM = "0123456789abcdef0123456789abcdef"
T = 1_767_312_000_000  # 2026-01-02T00:00:00Z
LOCAL = Path(__file__).parent / "local.pem"  # key and certificate of 127.0.0.1
SHANGHAI = ZoneInfo("Asia/Shanghai")

RAISED = Notice(
    alarm=ALARM, seq=0, kind="raised", severity="orange", t_ms=T + 250, since_ms=T - 15_000,
    zone=SHANGHAI, asset="L1", rule="lift.entrapment",
    title={"zh": "困人", "en": "Passengers trapped"},
    text={"zh": "停在 3 层附近，轿内有人", "en": "Stopped near floor 3"},
    kind_word={"zh": "报警", "en": "raised"}, severity_word={"zh": "橙", "en": "ORANGE"},
    evidence={"zh": "楼层 3 · 有人 是", "en": "floor 3 · passenger yes"},
    place="东区", plan="lift.rescue", body=b'{"alarm":"0123","seq":0}',
)  # fmt: skip


def later(kind: Kind, seq: int, **changes: object) -> Notice:
    """A later notice of the same alarm; the raise has been delivered."""
    given: dict[str, Any] = {"earlier": ((0, RAISED.t_ms),), "t_ms": RAISED.t_ms + 60_000 * seq}
    given |= changes
    return replace(RAISED, kind=kind, seq=seq, **given)


def says(reply: Reply) -> Callable[[Request], Reply]:
    """A transport that always replies so."""
    return lambda _request: reply


def answers(errcode: object, errmsg: str = "") -> Callable[[Request], Reply]:
    """A transport to a robot that says this in HTTP 200."""
    return says(Reply(200, {}, json.dumps({"errcode": errcode, "errmsg": errmsg}).encode()))


def broken(_request: Request) -> Reply:
    """A transport to nobody."""
    raise LinkError("127.0.0.1: no connection: refused")


@dataclass
class Got:
    """A request that a peer was sent."""

    path: str
    headers: dict[str, str]
    body: bytes


#: (status, headers, body), or a function that has the handler to itself.
Answer = tuple[int, dict[str, str], bytes] | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Peer:
    """A web server: `answer` says what to answer to a request."""

    answer: Callable[[Got], Answer] = lambda _got: (200, {}, b"")
    got: list[Got] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ended: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    def wait(self, count: int = 1) -> None:
        """Until so many more requests have come."""
        for _ in range(count):
            assert self.arrived.acquire(timeout=20), f"only {len(self.got)} came"

    def hang(self, _handler: BaseHTTPRequestHandler) -> None:
        """An answer that never comes."""
        self.ended.wait(30)


@contextmanager
def peer(answer: Callable[[Got], Answer] | None = None, *, tls: bool = False) -> Iterator[Peer]:
    """A web server on a free port; with TLS its certificate is LOCAL."""
    made = Peer() if answer is None else Peer(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            got = Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            made.got.append(got)
            answer = made.answer(got)
            made.arrived.release()
            if callable(answer):
                answer(self)
                return
            status, headers, reply = answer
            try:
                self.send_response(status)
                for name, value in {"content-length": str(len(reply)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply)
            except OSError:  # whoever asked is gone
                return

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    if tls:
        made.scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(LOCAL)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        made.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Post:
    """A mail server: `replies` overrides what it says to a command (its first word)."""

    replies: dict[str, str] = field(default_factory=dict)
    mails: list[tuple[list[str], bytes]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    port: int = 0


@contextmanager
def post_office(*, tls: bool = False, **replies: str) -> Iterator[Post]:
    """A mail server on a free port; with TLS, from the start or by STARTTLS, as LOCAL."""
    made = Post({name.upper(): reply for name, reply in replies.items()})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(LOCAL)

    class Handler(socketserver.StreamRequestHandler):
        def secure(self) -> None:
            self.connection = context.wrap_socket(self.request, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", 0)

        def handle(self) -> None:
            if tls:
                self.secure()
            self.say(made.replies.get("CONNECT", "220 here"))
            recipients: list[str] = []
            while line := self.rfile.readline():
                text = line.decode().strip()
                made.said.append(text)
                word = text.split(":")[0].split(" ")[0].upper()
                reply = made.replies.get(text.upper().split("<")[-1].rstrip(">"),
                                         made.replies.get(word, "250 ok"))
                if word == "DATA" and reply == "250 ok":
                    self.say("354 go on")
                    data = b""
                    while (more := self.rfile.readline()) not in (b".\r\n", b""):
                        data += more
                    made.mails.append((recipients, data))
                    reply = made.replies.get("END", "250 taken")
                elif word == "RCPT" and reply.startswith("250"):
                    recipients.append(text.split("<")[1].rstrip(">"))
                self.say(reply)
                if word == "STARTTLS":
                    self.secure()
                if word == "QUIT" or reply.startswith("421"):
                    return

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def say(self, text: str) -> None:
            self.wfile.write(text.replace("\n", "\r\n").encode() + b"\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
