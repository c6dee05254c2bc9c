"""Settings: each slip is told where it stands, and no secret is shown."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from streams.settings import Kafka, Security, Settings, SettingsError, load_settings

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "settings.example.yaml"
PASSWORD = "korrekt-pferd"


def problems(folder: Path, text: str, **environ: str) -> list[str]:
    file = folder / "tocsin.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load_settings(file, environ)
    found = [str(one).removeprefix(f"{folder}/") for one in error.value.problems]
    return sorted(found, key=lambda one: one.startswith("environment"))


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A certificate with its key, and a password."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=t", "-keyout", folder / "tocsin.key", "-out",
         folder / "kafka-ca.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "kafka-password").write_text(PASSWORD + "\n")
    return folder


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(None, {})
    assert settings == Settings()
    assert settings.kafka.client() == {
        "bootstrap_servers": ["127.0.0.1:9092"], "security_protocol": "PLAINTEXT"}
    assert settings.kafka.faust("batches") == {
        "broker": "batches://127.0.0.1:9092", "broker_credentials": None}


def test_the_example_is_usable_and_names_every_key(tmp_path: Path, secrets: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    file = tmp_path / "tocsin.yaml"
    file.write_text(text, encoding="utf-8")
    kafka = load_settings(file, {}).kafka
    assert kafka.model_copy(update={"security": Security()}) == Kafka()
    assert kafka.security.ca_file == secrets / "kafka-ca.pem"
    for model in (Settings, Kafka, Security):
        for name, field in model.model_fields.items():
            assert re.search(rf"^\s*(# )?{field.alias or name}:", text, re.MULTILINE), name


def test_what_clients_are_made_with(tmp_path: Path, secrets: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    kafka = load_settings(file, {"TOCSIN_KAFKA_BROKERS": "a:1, [::1]:2"}).kafka
    given = kafka.client()
    assert given.pop("ssl_context").check_hostname
    assert given == {
        "bootstrap_servers": ["a:1", "[::1]:2"], "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "tocsin",
        "sasl_plain_password": PASSWORD,
    }  # fmt: skip
    faust = kafka.faust()
    assert faust["broker"] == "kafka://a:1;kafka://[::1]:2"
    credentials = faust["broker_credentials"]
    assert (credentials.protocol.value, credentials.mechanism.value) == (
        "SASL_SSL", "SCRAM-SHA-512")
    assert (credentials.username, credentials.password) == ("tocsin", PASSWORD)
    own = Security(protocol="SSL", ca_file=secrets / "kafka-ca.pem",
                   cert_file=secrets / "kafka-ca.pem", key_file=secrets / "tocsin.key")
    assert Kafka(security=own).client()["ssl_context"] is not None
    assert Kafka(security=own).faust()["broker_credentials"].protocol.value == "SSL"


def test_secrets_are_not_shown() -> None:
    security = Security(protocol="SASL_SSL", mechanism="PLAIN", username="u",
                        password_file=SecretStr(PASSWORD))
    settings = Settings(kafka=Kafka(security=security))
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert PASSWORD not in shown
    with pytest.raises(ValidationError):
        settings.kafka.prefix = "other"  # type: ignore[misc] - that is the point


def test_the_environment_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text("kafka:\n  prefix: north\n  partitions: 2\n  security:\n")
    environ = {"TOCSIN_KAFKA_PREFIX": "south", "TOCSIN_KAFKA_SECURITY_PROTOCOL": "SSL",
               "TOCSIN_CACHE": "/x", "TOCSIN_SEEDS": "3"}
    kafka = load_settings(file, environ).kafka
    assert (kafka.prefix, kafka.partitions, kafka.security.protocol) == ("south", 2, "SSL")


def test_all_slips_are_told_at_once_where_they_stand(tmp_path: Path) -> None:
    text = """\
kafka:
  brokers: [a:1, "b", c:70000]
  prefx: q
  partitions: many
  replication: 0
  security:
    protocol: SASL
    password: hunter2
    password_file: nothere
"""
    found = problems(tmp_path, text, TOCSIN_KAFKA_PREFIX="a b", TOCSIN_KAFKA_PARTITION="3")
    assert found[:-2] == [f"tocsin.yaml:{one}" for one in (
        "2:18: expected HOST:PORT, found `b`; as 10.0.0.5:9092",
        "2:23: expected HOST:PORT, found `c:70000`; as 10.0.0.5:9092",
        "3:3: unknown key `prefx`; did you mean `prefix`?",
        "4:15: expected a valid integer, found `many`",
        "5:16: expected greater than or equal to 1, found `0`",
        "7:15: expected 'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL', found `SASL`",
        "8:5: unknown key `password`; did you mean `password_file` or `key_password_file`?",
        f"9:20: the file `{tmp_path}/nothere` cannot be read: No such file or directory",
    )]  # fmt: skip
    variable, prefix = found[-2:]
    assert variable.startswith("environment TOCSIN_KAFKA_PARTITION:1:1: unknown variable; did you "
                               "mean `TOCSIN_KAFKA_PARTITIONS`")
    assert prefix.startswith("environment TOCSIN_KAFKA_PREFIX:1:1: expected letters")
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(("text", "said"), [
    ("kafka: [1]", "1:8: expected a valid dictionary or instance of Kafka, found a list"),
    ("- a", "1:1: expected a mapping, found a list; as `kafka: …`"),
    ("kafka: {prefix: {a: 1}}", "1:17: expected a valid string, found a mapping"),
    ("kafka: {brokers: []}", "at least 1 item"),
    ("kafka: {prefix: a..b}", "found `a..b`"),
    ("kafka: {brokers: ['a b:1']}", "found `a b:1`"),
    ("kafka: {security: {protocol: SASL_SSL}}", "without mechanism, username, password_file"),
    ("kafka: {security: {username: u}}", "username with protocol PLAINTEXT; use SASL_SSL"),
    ("kafka: {security: {ca_file: x}}", "ca_file with protocol PLAINTEXT; use SSL"),
    ("kafka: {security: {protocol: SSL, ca_file: x}}", "x` cannot be used: No such file"),
    ("kafka: {security: {protocol: SSL, ca_file: tocsin.yaml}}", "in PEM"),
    ("kafka: {security: {protocol: SSL, key_file: tocsin.yaml}}", "key_file without cert_file"),
    ("kafka: {security: {protocol: SSL, cert_file: tocsin.yaml}}", "and its key cannot be used"),
    ("kafka: {security: {password_file: empty}}", "is empty, longer than 4 KiB"),
    ("kafka: {security: {password_file: long}}", "is empty, longer than 4 KiB"),
    ("kafka: {security: {password_file: lines}}", "of several lines"),
    ("kafka: {security: {password_file: bytes}}", "not UTF-8"),
    ("kafka: {security: {password_file: .}}", "cannot be read"),
    ("worker: {session_s: 2.5}", "heartbeat_s 1 with session_s 2.5; a third of the session"),
    ("worker: {session_s: 0}", "greater than or equal to 1"),
    ("x: 1", "1:1: unknown key `x`; known here: kafka"),
    ("kafka: {", "not yaml"),
    ("a: &a [*a]", "unknown anchor"),
])  # fmt: skip
def test_a_slip_is_told(tmp_path: Path, text: str, said: str) -> None:
    for name, content in {"empty": b"\n", "long": b"x" * 5000, "lines": b"a\nb",
                          "bytes": b"\xff"}.items():
        (tmp_path / name).write_bytes(content)
    found = problems(tmp_path, text)
    assert said in found[0], found


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_settings(tmp_path / "none.yaml", {})
