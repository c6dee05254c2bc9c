"""Settings: `tocsin.yaml` and the environment, checked at once, with positions.

A key `kafka: {security: {username: …}}` is TOCSIN_KAFKA_SECURITY_USERNAME in the environment, which
comes first. Secrets stand in files of their own, never in the settings, and nothing shows one.
Paths are relative to the file that names them, or to the working folder.
`deploy/settings.example.yaml` says what each key means.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from rules import reader
from rules.errors import Problem, Problems, near
from rules.fields import refused
from rules.model import Pos

SECRET_BYTES = 4096
BROKERS = 100      # addresses, at most
PARTITIONS = 1000  # of a topic, at most
_BROKER = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
                     r":([0-9]{1,5})")  # fmt: skip
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")


class SettingsError(Exception):
    """Settings that cannot be used; `problems` are all that is wrong with them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def _addresses(given: object) -> object:
    """A list in the environment has commas."""
    return [one.strip() for one in given.split(",")] if isinstance(given, str) else given


def _address(given: str) -> str:
    found = _BROKER.fullmatch(given)
    if found is None or not 1 <= int(found[1]) <= 65_535:
        raise refused(f"expected HOST:PORT, found `{given[:60]}`", "as 10.0.0.5:9092")
    return given


def _prefix(given: str) -> str:
    if not _PREFIX.fullmatch(given):
        raise refused(f"expected letters, digits, `-`, `_` and dots between, found `{given[:60]}`")
    return given


def _zone(given: str) -> str:
    try:
        ZoneInfo(given)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise refused(f"no such time zone: `{given[:60]}`", "as Asia/Shanghai") from None
    return given


def _secret(given: object) -> object:
    """The one line of a file; a SecretStr stands for itself."""
    if isinstance(given, SecretStr):
        return given
    try:
        with Path(str(given)).open("rb") as file:
            content = file.read(SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "not a file's name"
        raise refused(f"the file `{given}` cannot be read: {said}") from None
    text = content.decode("utf-8", "replace").strip()
    if not text or len(content) > SECRET_BYTES or not text.isprintable() or "\ufffd" in text:
        raise refused(f"the file `{given}` is empty, longer than 4 KiB, of several lines or not "
                      "UTF-8", "one line with the secret and nothing else")
    return SecretStr(text)


class Section(BaseModel):
    """Known keys only; a value once made stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


Secret = Annotated[SecretStr, BeforeValidator(_secret)]


class Security(Section):
    """How brokers are spoken to. In code, a secret may be given instead of its file."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: Secret | None = Field(default=None, alias="key_password_file")
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    password: Secret | None = Field(default=None, alias="password_file")

    @property
    def tls(self) -> bool:
        """Whether the way is encrypted."""
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        """Whether we say who we are by name and password."""
        return self.protocol.startswith("SASL_")

    @model_validator(mode="after")
    def _fit(self) -> Security:
        names = {"mechanism": self.mechanism, "username": self.username,
                 "password_file": self.password}  # fmt: skip
        missing = [key for key, value in names.items() if value is None]
        if self.sasl and missing:
            raise refused(f"{self.protocol} without {', '.join(missing)}")
        if not self.sasl and len(missing) < len(names):
            given = ", ".join(key for key in names if key not in missing)
            raise refused(f"{given} with protocol {self.protocol}", "use SASL_SSL")
        files = {"ca_file": self.ca_file, "cert_file": self.cert_file, "key_file": self.key_file,
                 "key_password_file": self.key_password}  # fmt: skip
        given = ", ".join(key for key, value in files.items() if value is not None)
        if given and not self.tls:
            raise refused(f"{given} with protocol {self.protocol}", "use SSL or SASL_SSL")
        if self.cert_file is None and given not in ("", "ca_file"):
            raise refused(f"{given} without cert_file", "give the certificate that the key is of")
        self.context()
        return self

    def context(self) -> ssl.SSLContext | None:
        """What TLS is spoken with; None without TLS. Verifies the brokers' names."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise refused(f"certificates of `{self.ca_file}` cannot be used: {_said(error)}",
                          "a file of certificates in PEM") from None
        if self.cert_file is not None:
            password = self.key_password.get_secret_value() if self.key_password else ""
            try:
                context.load_cert_chain(self.cert_file, self.key_file, password)
            except OSError as error:
                raise refused(f"`{self.cert_file}` and its key cannot be used: {_said(error)}",
                              "files in PEM; key_password_file, if the key has one") from None
        return context


def _said(error: OSError) -> str:
    """What an error of the system or of TLS says."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not in PEM").lower().replace("_", " ")
    return error.strerror or str(error)


class Kafka(Section):
    """Where the brokers are, and how the topics are made."""

    brokers: Annotated[
        tuple[Annotated[str, AfterValidator(_address)], ...],
        BeforeValidator(_addresses),
        Field(min_length=1, max_length=BROKERS),
    ] = ("127.0.0.1:9092",)
    prefix: Annotated[str, Field(max_length=100), AfterValidator(_prefix)] = "tocsin"
    partitions: Annotated[int, Field(ge=1, le=PARTITIONS)] = 8
    replication: Annotated[int, Field(ge=1, le=9)] = 3
    security: Security = Security()

    def client(self) -> dict[str, Any]:
        """What a client of kafka-python or of aiokafka is made with."""
        given: dict[str, Any] = {"bootstrap_servers": list(self.brokers),
                                 "security_protocol": self.security.protocol}  # fmt: skip
        if self.security.tls:
            given["ssl_context"] = self.security.context()
        if self.security.sasl:
            assert self.security.password is not None
            given["sasl_mechanism"] = self.security.mechanism
            given["sasl_plain_username"] = self.security.username
            given["sasl_plain_password"] = self.security.password.get_secret_value()
        return given

    def faust(self, transport: str = "kafka") -> dict[str, Any]:
        """What a Faust app is made with; `transport` is the scheme of its brokers' addresses."""
        from faust import auth  # noqa: PLC0415 - only the worker has Faust

        given = self.client()
        credentials: auth.Credentials | None = None
        if self.security.sasl:
            credentials = auth.SASLCredentials(
                username=given["sasl_plain_username"], password=given["sasl_plain_password"],
                mechanism=given["sasl_mechanism"], ssl_context=given.get("ssl_context"),
            )  # fmt: skip
        elif self.security.tls:
            credentials = auth.SSLCredentials(given["ssl_context"])
        return {"broker": ";".join(f"{transport}://{one}" for one in self.brokers),
                "broker_credentials": credentials}  # fmt: skip


class Site(Section):
    """What the site is like. `zone`: of the `hour` of rules and of texts, as Asia/Shanghai."""

    zone: Annotated[str, AfterValidator(_zone)] = "UTC"


class Worker(Section):
    """How a worker belongs to its fleet.

    `session_s`: without a word of a worker for so long, others take its partitions over; a broker
    has bounds of its own (group.min.session.timeout.ms, 6 s unless it is told otherwise).
    """

    session_s: Annotated[float, Field(ge=1, le=300)] = 6.0
    heartbeat_s: Annotated[float, Field(ge=0.1, le=100)] = 1.0

    @model_validator(mode="after")
    def _often(self) -> Worker:
        if 3 * self.heartbeat_s > self.session_s:
            raise refused(f"heartbeat_s {self.heartbeat_s:g} with session_s {self.session_s:g}",
                          "a third of the session at most: one lost word is no absence")
        return self


class Settings(Section):
    """All settings."""

    kafka: Kafka = Kafka()
    site: Site = Site()
    worker: Worker = Worker()


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a file (None: none) with what the environment says otherwise.

    Reads the files of secrets and certificates, too. Raises SettingsError.
    """
    problems = Problems()
    tree = _file(path, problems) if path is not None else _mapping(Pos("settings", 1, 1))
    _overlay(tree, environ, problems)
    made = Settings()
    try:
        made = Settings.model_validate(_values(tree))
    except ValidationError as error:
        for found in error.errors(include_url=False, include_input=False):
            _note(tree, dict(found), problems)
    if problems.has_errors:
        raise SettingsError(tuple(problems.sorted()))
    return made


def _mapping(at: Pos) -> reader.Mapping:
    return reader.Mapping(at, {}, {})


def _file(path: Path, problems: Problems) -> reader.Mapping:
    start = Pos(str(path), 1, 1)
    try:
        with path.open("rb") as file:
            node = reader.read(str(path), file.read(reader.MAX_BYTES + 1), problems)
    except OSError as error:
        problems.add(start, f"cannot be read: {error.strerror}")
        node = None
    if node is None or isinstance(node, reader.Mapping):
        return node or _mapping(start)
    problems.add(node.at, f"expected a mapping, found {reader.describe(node)}", "as `kafka: …`")
    return _mapping(start)


def _names(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """The keys of a model, with the model of those that are sections."""
    names: dict[str, type[BaseModel] | None] = {}
    for name, field in model.model_fields.items():
        inner: object = field.annotation
        section = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None
        names[field.alias or name] = section
    return names


def _ways(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The ways to all values of a model."""
    for name, section in _names(model).items():
        if section is None:
            yield (*path, name)
        else:
            yield from _ways(section, (*path, name))


def _overlay(tree: reader.Mapping, environ: Mapping[str, str], problems: Problems) -> None:
    """Puts what the environment says into the tree, as if it were written there."""
    known = {"_".join(("TOCSIN", *way)).upper(): way for way in _ways(Settings)}
    ours = tuple(f"TOCSIN_{section}_".upper() for section in Settings.model_fields)
    for name, value in environ.items():
        if not name.startswith(ours):
            continue
        file = reader.File(f"environment {name}", value)
        said = reader.Scalar(file, value, 0, 0, 0, len(value), plain=False)
        if name not in known:
            problems.add(said.at, "unknown variable", near(name, known))
            continue
        node: reader.Node | None = tree
        for key in known[name][:-1]:
            if isinstance(node, reader.Mapping):
                inner = node.values.get(key)
                if inner is None or (isinstance(inner, reader.Scalar) and inner.is_null):
                    node.keys[key], node.values[key] = said, _mapping(said.at)
                node = node.values[key]
        if isinstance(node, reader.Mapping):
            key = known[name][-1]
            node.keys[key], node.values[key] = said, said


def _values(node: reader.Node, key: str = "") -> object:
    """What is written, as plain values; nothing is as if it were not there."""
    match node:
        case reader.Mapping():
            return {
                name: _values(value, name)
                for name, value in node.values.items()
                if not (isinstance(value, reader.Scalar) and value.is_null)
            }
        case reader.Sequence():
            return [_values(item) for item in node.items]
        case reader.Scalar():
            if key.endswith("_file"):
                return str(Path(node.file.path).parent / node.text)
            return node.text


def _note(tree: reader.Mapping, found: dict[str, Any], problems: Problems) -> None:
    """Reports an error of pydantic's where the value stands."""
    node: reader.Node = tree
    at, section = tree.at, _names(Settings)
    *way, last = found["loc"] or [""]
    for step in found["loc"]:
        if isinstance(node, reader.Mapping) and step in node.values:
            at, node = node.keys[step].at, node.values[step]
        elif isinstance(node, reader.Sequence) and isinstance(step, int):
            node = node.items[step]
    if found["type"] == "extra_forbidden":
        for step in way:
            section = _names(section[step] or Settings)
        fix = near(last, section) or "known here: " + ", ".join(section)
        problems.add(at, f"unknown key `{last}`", fix)
    elif found["type"] == "tocsin":
        problems.add(node.at, found["ctx"]["message"], found["ctx"]["fix"])
    else:
        said = found["msg"].replace("Input should be", "expected").partition(", unable")[0]
        problems.add(node.at, f"{said}, found {reader.describe(node)}")
