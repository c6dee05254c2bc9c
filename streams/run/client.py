"""Talks to the `tocsin run` that is running on a ledger (see `control`), for the command line.

    ClientError       root; its text says what was found and what to do
    ├── NotRunning    no process runs on this ledger
    └── Lost          the connection broke; what was ordered may have been carried out

Every order has an id of its own, so one that got no answer is simply sent again: it is carried out
once. Only the loopback is called, without proxies. All methods block.
"""

from __future__ import annotations

import http.client
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streams.run.control import CONTROL
from streams.run.control_bodies import MAX_COMMANDS, Wrong

TIMEOUT_S = 20.0                  # for one answer; the run gives one after 10 s at the latest
BUSY_S = 15                       # seconds, and so often, for a run that is busy or being prepared
AGAIN = 3                         # how often an order is sent that has no result yet
MAX_CONTROL = 4096                # bytes of `control.json`
MAX_ANSWER = 256 * 1024 * 1024    # bytes
MAX_BATCH = 900 * 1024            # bytes of a list of commands

Row = dict[str, Any]
Result = dict[str, Any]


class ClientError(Exception):
    """An order could not be given, or an answer not be understood."""


class NotRunning(ClientError):  # noqa: N818 what was found
    """There is nobody to talk to."""

    def __init__(self, folder: Path, found: str) -> None:
        super().__init__(
            f"no `tocsin run` on this ledger ({found}); start one with `tocsin run --ledger "
            f"{folder}`, or name another folder with --ledger"
        )


class Lost(ClientError):  # noqa: N818 what happened
    """No whole answer came."""


class _Address(BaseModel):
    """What `control.json` says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Annotated[str, Field(pattern=r"^http://127\.0\.0\.1:[0-9]{1,5}$")]
    token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{20,200}$")]
    pid: Annotated[int, Field(gt=0, lt=2**31)]


@dataclass(frozen=True)
class Listing:
    """The alarms at an instant of the plant's time. `age_ms`: how long ago the run said so;
    `warning`: what is missing in it."""

    now_ms: int
    age_ms: int
    zone: str
    rows: list[Row]
    warning: str = ""


@dataclass(frozen=True)
class Client:
    """A running process. `pause` waits that many seconds."""

    folder: Path
    port: int
    token: str = field(repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The process on a ledger. Raises NotRunning, ClientError."""
        path = folder / CONTROL
        try:
            with path.open("rb") as file:
                data = file.read(MAX_CONTROL + 1)
            address = _Address.model_validate_json(data)
        except FileNotFoundError:
            raise NotRunning(folder, f"there is no {path}") from None
        except PermissionError:
            raise ClientError(
                f"{path}: not readable; orders may be given by whoever runs `tocsin run`"
            ) from None
        except (OSError, ValidationError) as error:
            said = error.strerror if isinstance(error, OSError) else "not as a run writes it"
            raise ClientError(f"{path}: {said}; start `tocsin run` anew") from None
        if not _alive(address.pid):
            raise NotRunning(folder, f"process {address.pid} of {path} is no more")
        return cls(folder, int(address.url.rpartition(":")[2]), address.token)

    def listing(self) -> Listing:
        """The list of alarms."""
        found = self._get("/alarms")
        try:
            return msgspec.convert(found, Listing, strict=True)
        except msgspec.ValidationError as error:
            raise ClientError(f"not the answer of a Tocsin: {error}") from None

    def health(self) -> dict[str, Any]:
        """What the run says about itself."""
        return self._get("/health")

    def order(self, commands: Sequence[Mapping[str, object]], by: str) -> list[Result]:
        """Gives the orders, as many as there are. A result for each, in order.

        One that could not be given has the result `failed` and the reason in `why`.
        """
        results: list[Result] = []
        for batch in _batches({"request": uuid.uuid4().hex, "by": by, **x} for x in commands):
            try:
                results += self._insist("/commands", b"[" + b",".join(batch) + b"]", len(batch))
            except ClientError as error:
                results += [{"result": "failed", "why": str(error)}] * len(batch)
        return results

    def activate(self, files: Iterable[tuple[str, str]], by: str) -> Result:
        """Has rules take effect: path and text of each file. Raises ClientError."""
        body = msgspec.json.encode({
            "request": uuid.uuid4().hex, "by": by,
            "files": [{"path": path, "text": text} for path, text in files],
        })  # fmt: skip
        return self._insist("/packs", body, 0)[0]

    def _insist(self, path: str, body: bytes, many: int) -> list[Result]:
        """Posts until every order has its result, or long enough."""
        for left in reversed(range(AGAIN)):
            try:
                status, found = self._call("POST", path, body)
            except Lost:
                if left:
                    continue
                raise
            if status == http.client.ACCEPTED and left:
                continue
            results = found if many else [found]
            if (
                not isinstance(results, list)
                or len(results) != max(1, many)
                or not all(isinstance(x, dict) and isinstance(x.get("result"), str)
                           for x in results)
            ):  # fmt: skip
                raise ClientError("not the answer of a Tocsin: a result for each order is expected")
            return results
        raise AssertionError

    def _get(self, path: str) -> dict[str, Any]:
        _, found = self._call("GET", path)
        if not isinstance(found, dict):
            raise ClientError("not the answer of a Tocsin: an object is expected")
        return found

    def _call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """One request; again while the run is busy. Raises ClientError unless it went well."""
        status, data = self._once(method, path, body)
        for _ in range(BUSY_S):
            if status != http.client.SERVICE_UNAVAILABLE:
                break
            self.pause(1.0)
            status, data = self._once(method, path, body)
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise NotRunning(self.folder, f"port {self.port} is another program's now")
        try:
            found = msgspec.json.decode(data or b"null")
        except msgspec.MsgspecError:
            raise ClientError(f"not the answer of a Tocsin: no JSON (status {status})") from None
        if status not in (http.client.OK, http.client.ACCEPTED):
            raise ClientError(_errors(status, found))
        return status, found

    def _once(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            data = response.read(MAX_ANSWER)
        except ConnectionRefusedError:
            raise NotRunning(self.folder, f"nobody listens on port {self.port}") from None
        except (OSError, http.client.HTTPException) as error:
            what = str(error) or type(error).__name__
            raise Lost(
                f"the connection to `tocsin run` broke ({what}); look at the alarms before you "
                "order it again"
            ) from None
        finally:
            connection.close()
        return response.status, data


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:     # it is somebody else's
        return True
    return True


def _batches(commands: Iterable[Mapping[str, object]]) -> Iterator[list[bytes]]:
    """The commands as JSON, in lists as long as a request may have."""
    batch: list[bytes] = []
    size = 0
    for command in commands:
        data = msgspec.json.encode(command)
        if batch and (len(batch) >= MAX_COMMANDS or size + len(data) > MAX_BATCH):
            yield batch
            batch, size = [], 0
        batch.append(data)
        size += len(data) + 1
    if batch:
        yield batch


def _errors(status: int, found: object) -> str:
    """What the run has against a request."""
    try:
        told = msgspec.convert(found, dict[str, Any])["errors"]
        said = [str(Wrong.model_validate(one)) for one in told]
    except (msgspec.ValidationError, ValidationError, KeyError, TypeError):
        said = []
    return "; ".join(said) or f"`tocsin run` answers with status {status}"


# Which alarms are meant


@dataclass(frozen=True)
class Target:
    """An alarm that an order is for. `against` is the number of its change that was seen."""

    rule: str
    asset: str
    alarm: str = ""
    group: bool = False
    against: int | None = None

    def __str__(self) -> str:
        return f"{self.rule}@{self.asset}" + (f" ({self.alarm[:8]})" if self.alarm else "")

    @classmethod
    def of(cls, row: Row) -> Self:
        """The alarm of a row; of a row without an occurrence, its point."""
        alarm = row["alarm"] if row["raised_ms"] else ""
        return cls(row["rule"], row["asset"], alarm, row["group"], row["seq"])

    def about(self) -> dict[str, object]:
        """As keys of a command."""
        said = {"rule": self.rule, "asset": self.asset, "alarm": self.alarm}
        against = {} if self.against is None else {"against": self.against}
        return {**said, "group": self.group, **against}


LEAST_OF_ID = 4
_BEGINNING = re.compile(rf"[0-9a-f]{{{LEAST_OF_ID},32}}")


def target(said: str, rows: Iterable[Row]) -> Target:
    """What is meant by an id, the beginning of one, or RULE@ASSET. Raises ClientError.

    RULE@ASSET may also be one that is not in the list: there is something to shelve without alarm.
    """
    rule, at, asset = said.partition("@")
    if at and rule and asset:
        found = [row for row in rows if (row["rule"], row["asset"]) == (rule, asset)]
        if not found:
            return Target(rule, asset)
    elif _BEGINNING.fullmatch(said.lower()):
        found = [row for row in rows if row["alarm"].startswith(said.lower())]
    else:
        raise ClientError(
            f"{said!r}: expected an alarm's id, its first characters (at least {LEAST_OF_ID}), or "
            "RULE@ASSET"
        )
    if len(found) == 1:
        return Target.of(found[0])
    if not found:
        raise ClientError(f"{said}: no alarm with this id in the list; see `tocsin alarms list`")
    ids = ", ".join(row["alarm"][:12] for row in found[:5]) + (", …" if len(found) > 5 else "")
    raise ClientError(f"{said}: {len(found)} alarms ({ids}); name one by more of its id")
