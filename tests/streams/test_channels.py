from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from connectors.notify.table import CONNECTORS
from streams.channels import MOST, channels, load
from streams.channels_document import DOCUMENTS
from streams.notices import Channel

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "tests" / "connectors" / "notify" / "local.pem"
SECRET = "SEC-that-nobody-may-see"
FILES = {
    "token": SECRET.encode() + b"\n",
    "ding": b"https://oapi.example/robot/send?access_token=" + SECRET.encode(),
    "wecom": b"https://q.example/send?key=" + SECRET.encode(),
    "empty": b" \n", "lines": b"a\nb", "binary": b"\xff\x00", "chinese": "密码".encode(),
    "large": b"x" * 5000, "plain": b"http://q.example/?key=" + SECRET.encode(),
}  # fmt: skip
ENVIRON = {"TOKEN": SECRET, "DING": FILES["ding"].decode()}


def files(name: str) -> bytes:
    try:
        return FILES[name]
    except KeyError:
        raise FileNotFoundError(2, "No such file or directory", name) from None


def read(text: str) -> tuple[tuple[Channel, ...], list[str]]:
    found, problems = channels("notify.yaml", text.encode(), files, ENVIRON)
    return found, [str(problem) for problem in problems]


def one(lines: str) -> Channel:
    found, problems = read(f"channels:\n  x: {{{lines}}}\n")
    assert not problems
    return found[0]


def wrong(lines: str) -> str:
    found, problems = read(f"channels:\n  x: {{{lines}}}\n")
    assert not found
    assert len(problems) == 1, problems
    assert SECRET not in problems[0]
    return problems[0]


TYPES = "expected `type`: one of webhook, cap, dingtalk, wecom, email"
WEB = "type: webhook, url: 'https://x.example/hook'"


def test_the_example_of_the_deployment_is_right(tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "deploy" / "notify.example.yaml").read_text(encoding="utf-8")
    (tmp_path / "notify.yaml").write_text(text, encoding="utf-8")
    for name in re.findall(r"_file: (\S+)", text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(FILES["ding"] if "url" in name else FILES["token"])
    for name in re.findall(r"_env: (\S+)", text):
        monkeypatch.setenv(name, FILES["wecom"].decode())
    found, problems = load(tmp_path / "notify.yaml")
    assert not problems
    assert [one.type for one in found] == ["dingtalk", "wecom", "email", "webhook", "cap"]
    assert {one.type for one in found} == set(CONNECTORS) == set(DOCUMENTS)
    assert SECRET not in repr(found)


def test_what_is_meant_without_saying_so() -> None:
    made = one(WEB)
    assert (made.name, made.least, made.per_minute) == ("x", 3, 600)
    assert made.kinds == {"raised", "level", "overdue", "cleared"}
    assert (made.settings.lang, made.settings.status) == ("zh", "Actual")
    assert (made.rules, made.tags, made.roles) == ((), frozenset(), frozenset())


def test_all_that_can_be_said() -> None:
    made = one(WEB + ", severity: blue, kinds: [raised, returned], rules: [lift.*, a.b], tags: [t],"
               "places: [东区], desks: [d], roles: [manager], lang: en, status: Test,"
               "per_minute: 30, source: /north, secret_env: TOKEN")  # fmt: skip
    assert (made.least, made.kinds) == (1, {"raised", "returned"})
    assert (made.rules, made.tags, made.places) == (("lift.*", "a.b"), {"t"}, {"东区"})
    assert (made.desks, made.roles, made.per_minute) == ({"d"}, {"manager"}, 30)
    settings: Any = made.settings
    assert (settings.lang, settings.status, settings.source) == ("en", "Test", "/north")
    assert settings.secret.get_secret_value() == SECRET


def test_secrets_come_from_files_and_the_environment() -> None:
    for way in ("url_file: ding", "url_env: DING"):
        made = one(f"type: dingtalk, {way}, secret_file: token")
        settings: Any = made.settings
        assert settings.url.get_secret_value() == ENVIRON["DING"]
        assert settings.secret.get_secret_value() == SECRET
        assert made.per_minute == 20
        assert SECRET in made.secrets
        assert SECRET not in repr(made) + str(made)


def test_mail() -> None:
    mail = "type: email, host: mail.example, sender: t@x.example, to: [a@x.example, b@y.example]"
    for security, port in (("tls", 465), ("starttls", 587)):
        settings: Any = one(f"{mail}, security: {security}").settings
        assert (settings.host, settings.port, settings.user) == ("mail.example", port, "")
    settings = one(f"{mail}, port: 2525, user: u, secret_file: token").settings
    assert (settings.port, settings.secret.get_secret_value()) == (2525, SECRET)
    assert settings.to == ("a@x.example", "b@y.example")
    assert one(f"{mail}, security: none, insecure: true") is not None
    assert one(mail.replace("mail.example", "127.0.0.1") + ", security: none") is not None


def test_cap() -> None:
    cap = "type: cap, url: 'https://x.example/cap', sender: tocsin@north"
    settings: Any = one(f"{cap}, scope: Private, addresses: [north], category: Rescue").settings
    assert (settings.scope, settings.addresses, settings.category) == (
        "Private", ("north",), "Rescue",
    )  # fmt: skip
    assert one(f"{cap}, restriction: For us").settings.restriction == "For us"  # type: ignore[attr-defined]


def test_further_certificates(tmp_path: Path) -> None:
    made = one(f"{WEB}, ca_file: '{LOCAL}'")
    assert made.settings.ca_file == str(LOCAL)
    assert "ca_file" not in wrong(f"{WEB}, ca_file: nowhere.pem")
    (tmp_path / "bad.pem").write_text("no certificate")
    assert "certificates cannot be used" in wrong(f"{WEB}, ca_file: '{tmp_path}/bad.pem'")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("url: 'https://x.example'", f"2:6: {TYPES}; found nothing"),
        ("type: webhok", f"2:13: {TYPES}; found `webhok`; did you mean `webhook`?"),
        ("type: [webhook]", "2:13: expected `type`"),
        (WEB + ", colour: red", ": unknown key `colour`; "),
        (WEB + ", severity: organge", ": unknown severity `organge`"),
        (WEB + ", kinds: [raised, clear]", ": unknown kind `clear`, expected raised, level"),
        (WEB + ", kinds: raised", ": expected a list, found `raised`"),
        (WEB + ", lang: de", ": unknown language `de`"),
        (WEB + ", status: actual", ": unknown status `actual`, expected Actual, Exercise, Test"),
        (WEB + ", per_minute: 0", ": expected a whole number from 1 to 6000, found `0`"),
        (WEB + ", per_minute: 1e2", ": expected a whole number"),
        (WEB + ", per_minute: 6000", ": 6000 a minute; webhook takes at most 600"),
        ("type: dingtalk, url_file: ding, per_minute: 21", ": 21 a minute; dingtalk takes at most"),
        ("type: webhook", "2:6: no address; expected one of url, url_file, url_env"),
        (WEB + ", url_file: ding", ": url and url_file; expected one of"),
        ("type: webhook, url_file: nowhere", ": the file `nowhere` cannot be read: No such file"),
        ("type: webhook, url_file: empty", ": the file `empty` is empty, longer than"),
        ("type: webhook, url_file: lines", ": the file `lines` is empty, longer"),
        ("type: webhook, url_file: binary", ": the file `binary` is empty"),
        ("type: webhook, url_env: NOWHERE", ": the environment's `NOWHERE` is empty"),
        (WEB + ", secret_file: large", ": the file `large` is empty, longer than 4 KiB"),
        (WEB + ", secret_file: chinese", "not ASCII; one line with the secret and nothing else"),
        (WEB + ", secret_file: token, secret_env: TOKEN", ": both secret_file and secret_env"),
        (f"type: webhook, url: 'https://x.example/?key={SECRET}'",
         ": an address with a query, which may be a key; put the address into url_file or url_env"),
        (f"type: webhook, url: 'https://u:{SECRET}@x.example/'",
         ": an address with a user or password in it; give the token in secret_file"),
        ("type: webhook, url: 'http://x.example/'", ": an address with http://, readable on"),
        ("type: wecom, url_file: plain", ": an address with http://, readable on the way"),
        ("type: webhook, url: 'ftp://x.example/'", ": an address with no https:// and host"),
        ("type: webhook, url: 'https:///x'", ": an address with no https:// and host"),
        ("type: webhook, url: 'https://x.example:99999/'", ": an address with a host or port that"),
        ("type: webhook, url: 'https://x.example/#a'", ": an address with a fragment"),
        ("type: webhook, url: 'https://x.example/ a'", ": an address with spaces"),
        ("type: webhook, url: 'https://[::1'", ": an address with a host or port that"),
        ("type: dingtalk, url_file: wecom", ": an address with no `access_token=` in it"),
        ("type: wecom, url_file: ding", ": an address with no `key=` in it; copy the robot's"),
        ("type: wecom, url_file: wecom, secret_file: token", ": unknown key `secret_file`"),
        ("type: cap, url: 'https://x.example'", "2:6: sender missing"),
        ("type: cap, url: 'https://x.example', sender: 'a b'", ": expected a name without spaces"),
        ("type: cap, url: 'https://x.example', sender: 'a<b'", ": expected a name without spaces"),
        ("type: email, host: m.example, sender: t@x, to: ['a@x, b@x']", ": expected a mail"),
        ('type: email, host: m.example, sender: "t@x\\nBcc: b@x", to: [a@x]', ": expected a mail"),
        ("type: email, host: m.example, sender: t@x, to: [a@x], security: none",
         ": mail without TLS leaves this machine; use tls or starttls"),
        ("type: email, host: m.example, sender: t@x, to: [a@x], user: u",
         ": a user without a password; give secret_file or secret_env"),
    ],
)  # fmt: skip
def test_errors_say_where_what_and_how(lines: str, said: str) -> None:
    found = wrong(lines)
    assert found.startswith("notify.yaml:2:")
    assert said in found


def test_all_errors_come_at_once_with_their_places() -> None:
    _, problems = read("""\
channels:
  Duty-Room:
    type: webhook
    url: https://x.example/
  b:
    type: wecom
    url_file: nowhere
    severity: purple
  c: hook
colour: red
""")
    assert [re.sub(r"^notify.yaml:(\d+:\d+): .*", r"\1", one) for one in problems] == [
        "3:5", "8:15", "9:6", "10:1",
    ]  # fmt: skip
    assert "a channel named `Duty-Room`; use lower-case letters" in problems[0]


@pytest.mark.parametrize(
    "text", ["", "channels", "[]", "channels: []", "channels: {x: }", "channels: {x: {type: {}}}",
             "a: &a [*a]", "\t", "channels: {x: {type: webhook, url: {}}}", "\x00", "x: 1\nx: 2",
             "{" * 100, "channels: {? [a] : b}", "channels: {x: {type: email, to: [[]]}}"],
)  # fmt: skip
def test_any_text_gives_channels_or_errors(text: str) -> None:
    found, _ = read(text)
    assert not found


def test_no_channel_is_a_choice() -> None:
    assert read("channels: {}") == ((), [])


def test_the_number_of_channels_has_a_bound() -> None:
    text = "channels:\n" + "".join(f"  x{i}: {{{WEB}}}\n" for i in range(MOST + 1))
    assert read(text)[1] == [f"notify.yaml:1:1: {MOST + 1} channels; at most {MOST}"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    found, problems = load(tmp_path / "no.yaml")
    assert not found
    assert str(problems[0]).endswith("no.yaml:1:1: cannot be read: No such file or directory")


def test_what_may_not_be_shown() -> None:
    url = f"https://h.example/services/T0000/{SECRET}?a=1&token=t-{SECRET}"
    found, problems = channels("n", b"channels: {x: {type: webhook, url_file: u}}",
                               lambda _: url.encode(), {})  # fmt: skip
    assert not problems
    for hidden in (url, SECRET, f"t-{SECRET}", f"/services/T0000/{SECRET}"):
        assert hidden in found[0].secrets
