"""`notify.yaml`: the channels of notices, read with positions.

All errors come at once, each `path:line:column`, what was found and expected. Secrets stand in
files or in the environment, never in the settings, and no error shows one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from connectors.notify.base import tls
from connectors.notify.table import CONNECTORS
from rules import reader
from rules.document import check
from rules.errors import Problem, Problems, near
from rules.model import SEVERITIES, Pos
from streams.channels_document import (
    ADDRESS,
    DOCUMENTS,
    ChannelDoc,
    EmailDoc,
    FileDoc,
    HttpDoc,
    text,
    texts,
)
from streams.notices import Channel

MOST = 32              # channels
SECRET_BYTES = 4096
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")

#: The content of a file, by its name as written. Raises OSError.
Files = Callable[[str], bytes]


def load(path: Path) -> tuple[tuple[Channel, ...], tuple[Problem, ...]]:
    """The channels of a file; none when anything is wrong. Reads secrets and certificates, too."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return (), (Problem(Pos(str(path), 1, 1), f"cannot be read: {error.strerror}"),)

    def files(name: str) -> bytes:
        with (path.parent / name).open("rb") as file:
            return file.read(SECRET_BYTES + 1)

    return channels(str(path), data, files, os.environ)


def channels(
    path: str, data: bytes, files: Files, environ: Mapping[str, str]
) -> tuple[tuple[Channel, ...], tuple[Problem, ...]]:
    """As `load`, from the content."""
    problems = Problems()
    node = reader.read(path, data, problems)
    doc = check(FileDoc, node, problems) if node is not None else None
    made: list[Channel] = []
    if doc is not None:
        if len(doc.channels) > MOST:
            problems.add(doc.key_at("channels"), f"{len(doc.channels)} channels; at most {MOST}")
        for name, raw in doc.channels.items():
            made += _channel(name, raw, _Reader(path, files, environ, problems))
    return () if problems.has_errors else tuple(made), tuple(problems.sorted())


@dataclass(frozen=True)
class _Reader:
    path: str
    files: Files
    environ: Mapping[str, str]
    problems: Problems


def _channel(name: str, node: reader.Node, read: _Reader) -> list[Channel]:
    problems = read.problems
    if not _NAME.fullmatch(name):
        problems.add(node.at, f"a channel named `{name[:40]}`",
                     "use lower-case letters, digits and _, at most 40, a letter first")
    kind = node.values.get("type") if isinstance(node, reader.Mapping) else None
    if not isinstance(kind, reader.Scalar) or kind.text not in DOCUMENTS:
        known = ", ".join(DOCUMENTS)
        found = reader.describe(kind) if kind is not None else "nothing"
        fix = near(kind.text, DOCUMENTS) if isinstance(kind, reader.Scalar) else ""
        problems.add(kind.at if kind else node.at,
                     f"expected `type`: one of {known}; found {found}", fix)
        return []
    doc = check(DOCUMENTS[kind.text], node, problems)
    if doc is None:
        return []
    before = len(problems)
    given = _settings(name, doc, read)
    connector = CONNECTORS[kind.text]
    limit = doc.per_minute or connector.per_minute
    if limit > connector.per_minute:
        problems.add(doc.key_at("per_minute"),
                     f"{limit} a minute; {kind.text} takes at most {connector.per_minute}")
    if len(problems) > before:
        return []
    return [Channel(
        name, kind.text, connector.settings(**given), limit, SEVERITIES[doc.severity],
        frozenset(doc.kinds), texts(doc.rules), frozenset(texts(doc.tags)),
        frozenset(texts(doc.places)), frozenset(texts(doc.desks)), frozenset(texts(doc.roles)),
        _hidden(given),
    )]  # fmt: skip


def _settings(name: str, doc: ChannelDoc, read: _Reader) -> dict[str, Any]:
    """What the connector's settings are made of."""
    given: dict[str, Any] = {"name": name, "lang": doc.lang, "status": doc.status}
    if doc.ca_file is not None:
        given["ca_file"] = _certificates(text(doc.ca_file), doc, read)
    if isinstance(doc, HttpDoc):
        given["url"] = SecretStr(_url(doc, read))
    if isinstance(doc, EmailDoc):
        _may_be_plain(doc, read)
    secret = _secret(doc, "secret", read)
    if secret is not None:
        given["secret"] = SecretStr(secret)
    return given | doc.own()


def _certificates(name: str, doc: ChannelDoc, read: _Reader) -> str:
    found = str(Path(read.path).parent / name)
    try:
        tls(found)
    except OSError as error:
        read.problems.add(doc.key_at("ca_file"),
                          f"certificates cannot be used: {error.strerror or error}",
                          "a file of certificates in PEM")
    return found


def _may_be_plain(doc: EmailDoc, read: _Reader) -> None:
    if doc.security == "none" and not doc.insecure and not _LOOPBACK.fullmatch(text(doc.host)):
        read.problems.add(doc.key_at("security"), "mail without TLS leaves this machine",
                          "use tls or starttls, or say `insecure: true`")
    if doc.user is not None and doc.secret_file is None is doc.secret_env:
        read.problems.add(doc.key_at("user"), "a user without a password",
                          "give secret_file or secret_env")


def _url(doc: HttpDoc, read: _Reader) -> str:
    """The address, checked; errors do not show it. "" when it is wrong."""
    problems = read.problems
    ways = [key for key in ("url", "url_file", "url_env") if key in doc.node.keys]
    if len(ways) != 1:
        found = " and ".join(ways) or "no address"
        problems.add(doc.key_at(ways[1]) if ways else doc.at,
                     f"{found}; expected one of url, url_file, url_env")
        return ""
    at = doc.key_at(ways[0])
    url = text(doc.url) if doc.url is not None else _secret(doc, "url", read)
    if url is None:
        return ""
    wrong = _wrong(url, secret=doc.url is None, insecure=doc.insecure)
    if wrong is None and doc.needs and doc.needs not in dict(parse_qsl(urlsplit(url).query)):
        wrong = f"no `{doc.needs}=` in it", "copy the robot's whole address"
    if wrong is not None:
        problems.add(at, f"an address with {wrong[0]}", wrong[1])
    return url


def _wrong(url: str, *, secret: bool, insecure: bool) -> tuple[str, str] | None:
    """What is wrong with an address, and the likely fix."""
    if not ADDRESS.fullmatch(url):
        return "spaces or characters that are not ASCII, or too long", "encode them with %"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "a host or port that cannot be understood", "https://HOST[:PORT]/…"
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "no https:// and host", "https://HOST[:PORT]/…"
    if parts.username is not None or parts.password is not None:
        return "a user or password in it", "give the token in secret_file or secret_env"
    if parts.fragment:
        return "a fragment (#…)", "remove it"
    if parts.scheme == "http" and not insecure and not _LOOPBACK.fullmatch(host):
        return "http://, readable on the way", "use https://, or say `insecure: true`"
    if parts.query and not secret:
        return "a query, which may be a key", "put the address into url_file or url_env"
    return None


def _secret(doc: ChannelDoc, what: str, read: _Reader) -> str | None:
    """A secret from its file or variable; None when there is none, or it is wrong."""
    file, variable = getattr(doc, f"{what}_file", None), getattr(doc, f"{what}_env", None)
    if file is None and variable is None:
        return None
    key = f"{what}_file" if file is not None else f"{what}_env"
    at, problems = doc.key_at(key), read.problems
    if file is not None and variable is not None:
        problems.add(at, f"both {what}_file and {what}_env", "give one of them")
        return None
    if file is None:
        found = read.environ.get(text(variable), "").encode("utf-8", "surrogateescape")
        where = f"the environment's `{text(variable)}`"
    else:
        where = f"the file `{text(file)}`"
        try:
            found = read.files(text(file))
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else "not a file's name"
            problems.add(at, f"{where} cannot be read: {said}")
            return None
    value = found.decode("ascii", "replace").strip()
    if not value or len(found) > SECRET_BYTES or not (value.isascii() and value.isprintable()):
        problems.add(at, f"{where} is empty, longer than 4 KiB, of several lines or not ASCII",
                     "one line with the secret and nothing else")
        return None
    return value


def _hidden(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Texts that nothing may show: the secret, the address, and what of it may be a key."""
    found = []
    if "secret" in given:
        found.append(given["secret"].get_secret_value())
    if "url" in given:
        url = given["url"].get_secret_value()
        parts = urlsplit(url)
        found += [url, parts.query, parts.path if len(parts.path) > 8 else ""]
        found += [value for _, value in parse_qsl(parts.query)]
        found += [step for step in parts.path.split("/") if len(step) >= 12]
    return tuple(sorted({x for x in found if len(x) >= 4}, key=len, reverse=True))
