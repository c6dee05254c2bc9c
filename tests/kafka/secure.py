"""A Kafka that lets in only whom it knows, one for the whole run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.broker import cluster, free_ports


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a node that wants TLS and a password, and the folder of the secrets. The user
    `tocsin` may do everything there, the user `poor` (same password) nothing."""
    folder = tmp_path_factory.mktemp("secure")
    store = ("-keystore", folder / "node.p12", "-storepass", "changeit", "-alias", "node")
    subprocess.run(
        ["keytool", "-genkeypair", "-keyalg", "EC", "-dname", "CN=node", "-validity", "30",
         "-storetype", "PKCS12", "-ext", "san=ip:127.0.0.1", *store],
        check=True, capture_output=True)  # fmt: skip
    pem = subprocess.run(["keytool", "-exportcert", "-rfc", *store], check=True,
                         capture_output=True).stdout
    (folder / "ca.pem").write_bytes(pem)
    (folder / "password").write_text("korrekt-pferd\n")
    (plain, controller, secret), data = free_ports(3), folder / "data"
    listeners = f"PLAINTEXT://127.0.0.1:{plain},SECURE://127.0.0.1:{secret}"
    jaas = ("org.apache.kafka.common.security.plain.PlainLoginModule required "
            'user_tocsin="korrekt-pferd" user_poor="korrekt-pferd";')
    properties = {
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map":
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
        "ssl.keystore.location": folder / "node.p12", "ssl.keystore.password": "changeit",
        "ssl.keystore.type": "PKCS12", "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secure.plain.sasl.jaas.config": jaas,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:tocsin;User:ANONYMOUS",
    }  # fmt: skip
    data.mkdir()
    (data / "cluster.json").write_text(json.dumps({  # made before, so that its ports are known
        "version": "4.1.2", "id": "MkU3OEVBNTcwNTJENDM2Qk", "ports": [plain],
        "controllers": [controller], "heap_mb": 512, "more": []}))
    with cluster(data, *(f"--set={key}={value}" for key, value in properties.items())):
        yield f"127.0.0.1:{secret}", folder


def settings_of(secure: tuple[str, Path]) -> dict[str, str]:
    address, folder = secure
    return {
        "BROKERS": address, "SECURITY_PROTOCOL": "SASL_SSL", "SECURITY_MECHANISM": "PLAIN",
        "SECURITY_CA_FILE": str(folder / "ca.pem"), "SECURITY_USERNAME": "tocsin",
        "SECURITY_PASSWORD_FILE": str(folder / "password"),
    }  # fmt: skip
