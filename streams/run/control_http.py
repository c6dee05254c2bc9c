"""The HTTP face of `Control`, on the loopback only. One request a connection, a thread each.

    GET  /health            is it alive, how old is what it shows
    GET  /alarms            the list (?state=WORD, as often as wanted)    /alarms/ID   one of them
    POST /commands          one command or a list                         → result, or list of them
    POST /packs             rules to activate                             → result
    GET  /requests/ID       the result of a request

Every request needs `Authorization: Bearer TOKEN` and the right `Host` (a page in a browser that got
our address by a false name has another one). Answers are JSON. 202: it is still on its way.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import compare_digest
from socketserver import TCPServer
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import parse_qsl, unquote

import msgspec

from streams.alarms import Word
from streams.run.control import Control, Full, Order, Ticket, View
from streams.run.control_bodies import Wrong, WrongBody, commands_of, pack_of, quoted

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HOST = "127.0.0.1"
THREADS = 32                # requests at a time
READ_S = 5.0                # for all of a request to come in
WRITE_S = 10.0              # for all of an answer to go out
ANSWER_S = 10.0             # for an order to be carried out; then the request has to ask again
LINGER_S = 1.0              # for what a refused request still sends
MAX_HEAD = 16 * 1024        # bytes of the request's line and headers
MAX_COMMAND = 64 * 1024     # bytes of a body with one command
MAX_LIST = 1024 * 1024      # with a list of them
MAX_PACK = 8 * 1024 * 1024  # with rules
_METHODS = {"/health": "GET", "/alarms": "GET", "/requests": "GET", "/commands": "POST",
            "/packs": "POST"}  # fmt: skip
_PENDING = "accepted for execution, result under GET /requests/"
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


class Reply(Exception):  # noqa: N818 a reply that ends the request early
    """What a request is answered."""

    def __init__(self, status: int, body: object = None, **headers: str) -> None:
        super().__init__(status)
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def _wrong(status: int, found: str, expected: str, fix: str = "", **headers: str) -> Reply:
    wrong = Wrong(found=found, expected=expected, fix=fix)
    return Reply(status, {"errors": [wrong.model_dump()]}, **headers)


def _too_large(found: int, most: int) -> Reply:
    return _wrong(413, f"{found:,} bytes", f"{most:,} at most", "send less at a time")


class TooMuch(Exception):  # noqa: N818 the state of a request
    """A request has more bytes than it may have."""


class _Bounded(io.RawIOBase):
    """Reads from a socket up to an instant and a number of bytes.

    Raises TimeoutError and TooMuch. A timeout of the socket would start anew at every byte.
    """

    def __init__(self, connection: socket.socket, until: float, room: int) -> None:
        self.connection, self.until, self.room = connection, until, room

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.room <= 0:
            raise TooMuch
        self.connection.settimeout(left)
        with memoryview(buffer) as view:
            got = self.connection.recv_into(view[: self.room])
        self.room -= got
        return got


class Server(ThreadingHTTPServer):
    """Listens on a port of the loopback, 0 for a free one. Raises OSError."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, control: Control, port: int) -> None:
        self.control = control
        self._slots = BoundedSemaphore(THREADS)
        super().__init__((HOST, port), _Handler)
        self.host = f"{HOST}:{self.server_port}"
        self.url = f"http://{self.host}"

    def server_bind(self) -> None:
        """Without the look-up of a name that the base class makes."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - base's
        """A thread for it, if there is one left."""
        if not self._slots.acquire(blocking=False):
            with suppress(OSError):
                request.settimeout(0.0)
                request.sendall(_BUSY)
                request.recv(MAX_HEAD)      # closing with bytes unread would take the answer back
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - base's
        """In its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - base's
        """The peer went away, or sent what is no HTTP. The screen is not ours to write on."""

    def drain(self) -> None:
        """Gives requests that are being answered a second to end."""
        until = time.monotonic() + 1.0
        for _ in range(THREADS):
            self._slots.acquire(timeout=max(0.0, until - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version, sys_version = "tocsin", ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.command = self.requestline = ""     # for errors in what comes before these
        self.request_version = "HTTP/1.0"
        self._raw = _Bounded(self.connection, time.monotonic() + READ_S, MAX_HEAD)
        self.rfile = io.BufferedReader(self._raw)

    def handle(self) -> None:
        try:
            self.handle_one_request()
        except TooMuch:
            self.send_error(431)
        finally:
            self._linger()

    def _linger(self) -> None:
        """Lets the peer read the answer: closing with bytes unread would take it back."""
        with suppress(OSError, TooMuch, ValueError):
            self.connection.shutdown(socket.SHUT_WR)
            self._raw.until, self._raw.room = time.monotonic() + LINGER_S, MAX_PACK
            while self._raw.readinto(bytearray(65_536)):
                pass

    def log_message(self, *_: object) -> None:
        """Nothing: the screen is not ours to write on."""

    def send_error(self, code: int, *_: object) -> None:
        """For what is no proper HTTP, without detail."""
        self._send(Reply(code), b'{"errors":[]}')

    def _serve(self) -> None:
        body = b""
        try:
            reply = self._answer()
            body = msgspec.json.encode(reply.body)
        except Reply as ended:
            reply = ended
        except WrongBody as error:
            reply = Reply(422, {"errors": [one.model_dump() for one in error.wrong]})
        except TimeoutError:
            reply = _wrong(408, "no whole request", f"one within {READ_S:g} s")
        except OSError:
            return
        except Exception as error:  # noqa: BLE001 - the loop must not hear of a fault here
            reply = Reply(500, {"errors": [], "fault": type(error).__name__})
        self._send(reply, body or msgspec.json.encode(reply.body))

    do_GET = do_POST = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - base's

    def _send(self, reply: Reply, body: bytes) -> None:
        with suppress(OSError):
            self.connection.settimeout(WRITE_S)
            self.send_response(reply.status)
            headers = {
                "Content-Type": "application/json", "Content-Length": str(len(body)),
                "Cache-Control": "no-store", **reply.headers,
            }  # fmt: skip
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    # What is asked

    def _answer(self) -> Reply:
        self._admit()
        where, _, query = self.path.partition("?")
        root, _, rest = where[1:].partition("/")
        path, name = f"/{root}", unquote(rest)
        method = _METHODS.get(path)
        if method is None or (name and path not in ("/alarms", "/requests")):
            raise _wrong(404, f"the path {quoted(where)}", ", ".join(_METHODS))
        if self.command != method:
            raise _wrong(405, self.command, f"{method} {path}", Allow=method)
        states = self._states(query, allowed=path == "/alarms" and not name)
        control = self.server.control
        match path:
            case "/health":
                return Reply(200, _health(control.view))
            case "/alarms" if name:
                return _one(_view(control), name)
            case "/alarms":
                return _list(_view(control), states)
            case "/requests":
                return _result(control, name)
            case "/commands":
                data = self._body(MAX_LIST)
                bodies, many = commands_of(data)
                if len(data) > MAX_COMMAND and not many:
                    raise _too_large(len(data), MAX_COMMAND)
                return self._order([
                    Order(Ticket(one.request), one.by, one.order()) for one in bodies
                ], many=many)  # fmt: skip
            case _:
                pack = pack_of(self._body(MAX_PACK))
                order = Order(Ticket(pack.request), pack.by, pack=pack.texts())
                return self._order([order], many=False)

    def _admit(self) -> None:
        """Only who has the token and knows our address; why not is not said."""
        if self.headers.get_all("Host") != [self.server.host]:
            raise Reply(403, {"errors": []})
        given = self.headers.get_all("Authorization") or []
        expected = f"Bearer {self.server.control.token}".encode()
        if len(given) != 1 or not compare_digest(given[0].encode("utf-8", "replace"), expected):
            raise Reply(401, {"errors": []}, WWW_Authenticate="Bearer")

    def _states(self, query: str, *, allowed: bool) -> frozenset[str]:
        try:
            found = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query),
                              max_num_fields=20)  # fmt: skip
        except ValueError:
            raise _wrong(400, quoted(query), "?state=WORD&state=WORD") from None
        known = get_args(Word)
        for key, value in found:
            if not allowed or key != "state" or value not in known:
                what = f"state = one of {', '.join(known)}" if allowed else "no query"
                raise _wrong(400, f"{quoted(key)} = {quoted(value)}", what)
        return frozenset(value for _, value in found)

    def _body(self, most: int) -> bytes:
        """The body, whole. Raises Reply, TimeoutError, TooMuch."""
        kind = self.headers.get_content_type()
        if kind != "application/json":
            raise _wrong(415, quoted(kind), "Content-Type: application/json")
        lengths = self.headers.get_all("Content-Length") or []
        if len(lengths) != 1 or "Transfer-Encoding" in self.headers:
            raise _wrong(411, f"{len(lengths)} Content-Length", "one, and no Transfer-Encoding")
        if not (lengths[0].isascii() and lengths[0].isdigit() and len(lengths[0]) < 10):
            raise _wrong(400, f"Content-Length {quoted(lengths[0])}", "a number of bytes")
        length = int(lengths[0])
        if length > most:
            raise _too_large(length, most)
        self._raw.room = length     # what the reader holds already counts twice, which is no harm
        data = self.rfile.read(length)
        if len(data) < length:
            raise _wrong(400, f"{len(data):,} bytes", f"{length:,}, as announced")
        return data

    def _order(self, orders: Sequence[Order], *, many: bool) -> Reply:
        """Queues the orders and waits for what comes of them."""
        try:
            tickets = self.server.control.order(orders)
        except Full:
            raise _wrong(503, "a full queue of orders", "room for these",
                         "try again in a second", Retry_After="1") from None  # fmt: skip
        until = time.monotonic() + ANSWER_S
        for ticket in tickets:
            ticket.done.wait(max(0.0, until - time.monotonic()))
        said = [_said(ticket) for ticket in tickets]
        pending = any(one["result"] == "pending" for one in said)
        return Reply(202 if pending else 200, said if many else said[0])


def _said(ticket: Ticket) -> dict[str, Any]:
    if ticket.result is not None:
        return ticket.result
    if ticket.done.is_set():
        raise _wrong(500, "a run that has ended before it answered", "a running one",
                     "look at the alarm before you order it again")  # fmt: skip
    return {
        "request": ticket.request, "result": "pending", "why": f"{_PENDING}{ticket.request}",
    }  # fmt: skip


def _view(control: Control) -> View:
    if control.view is None:
        raise _wrong(503, "a run that is being prepared", "one that has begun",
                     "try again in a second", Retry_After="1")  # fmt: skip
    return control.view


def _about(view: View) -> dict[str, object]:
    return {
        "now_ms": view.now_ms, "age_ms": view.age_ms(), "zone": view.health.get("zone", "UTC"),
    }  # fmt: skip


def _health(view: View | None) -> Mapping[str, object]:
    if view is None:
        return {"ready": False}
    return {"ready": True, **_about(view), "health": view.health}


def _list(view: View, states: frozenset[str]) -> Reply:
    rows = [row for row in view.rows if not states or row["word"] in states]
    return Reply(200, {**_about(view), "total": len(view.rows), "rows": rows})


def _one(view: View, name: str) -> Reply:
    for row in view.rows:
        if row["alarm"] == name:
            return Reply(200, {**_about(view), "row": row})
    raise _wrong(404, f"no alarm {quoted(name)} in the list", "the id of one that is in it")


def _result(control: Control, name: str) -> Reply:
    ticket = control.ticket(name)
    if ticket is None:
        raise _wrong(404, f"no request {quoted(name)}", "one of the newest 10,000")
    said = _said(ticket)
    return Reply(202 if said["result"] == "pending" else 200, said)
