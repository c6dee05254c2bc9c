"""Orders and the list with a real site behind them: what one side says the other understands."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rules.records import Message
from streams.duty import Duty, Edition
from streams.run.control import Control
from tests.streams.cli_alarms_kit import Tocsin, tocsin

PACK = """
classes: {c: {signals: {x: {unit: bar, range: [0, 10]}, mode: {type: bool, set_by: operator}}}}
rules:
- {rule: c.high, class: c, severity: red, when: x > 5 bar, latch: true, plan: c.relief}
- {rule: c.low, class: c, severity: blue, when: x < 1 bar}
plans:
  c.relief:
    steps:
    - {step: acknowledge, role: operator, within: 1 min, do: {en: Look, zh: 看}}
    - step: close
      role: operator
      needs: [cause_code, responsible, corrective_action]
      do: {en: Tell, zh: 记}
"""
T = 1_772_431_200_000


class Site:
    """A duty whose time goes on by a second at every order."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.duty = Duty(Edition.of([("c.yaml", PACK.encode())]), start=T)
        self.turn = threading.Lock()
        self.ended = threading.Event()

    def hear(self, asset: str, x: float) -> None:
        with self.turn:
            t = self.duty.clock + 1_000
            self.duty.play([Message(asset, "c", t, {"x": x})], t)
            self.publish()

    def publish(self) -> None:
        self.control.publish(self.duty.alarms_list(), self.duty.clock, {"zone": "UTC"})

    def run(self) -> None:
        while not self.ended.wait(0.002):
            with self.turn:
                for order in self.control.orders():
                    assert order.command is not None
                    answer, _ = self.duty.command(order.command)
                    self.duty.play([], self.duty.clock + 1_000)
                    self.publish()      # before the answer, so that who has it sees what it did
                    order.answer(answer)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Control(tmp_path) as control:
        made = Site(control)
        thread = threading.Thread(target=made.run)
        thread.start()
        try:
            yield made
        finally:
            made.ended.set()
            thread.join()


@pytest.fixture
def run(tmp_path: Path) -> Tocsin:
    return tocsin(tmp_path)


def words(run: Tocsin) -> dict[str, str]:
    found = map(json.loads, run("list", "--json").stdout.splitlines())
    return {f"{row['rule']}@{row['asset']}": row["word"] for row in found}


def test_an_alarm_is_worked_off(site: Site, run: Tocsin) -> None:
    site.hear("A", 6.0)
    assert words(run) == {"c.high@A": "unacknowledged"}
    assert "acknowledge (1 min left)" in run("list").stdout
    assert run("comment", "valve stuck", "c.high@A").exit_code == 0
    assert run("ack", "c.high@A").exit_code == 0
    again = run("ack", "c.high@A")
    assert (again.exit_code, again.stdout) == (1, "0 accepted, 1 not\n")
    assert "already acknowledged by ana" in again.stderr
    assert "still active" in run("reset", "c.high@A").stderr
    close = ("close", "c.high@A", "--cause", "C1", "--responsible", "bob", "--action", "new valve")
    assert "while the alarm is active" in run(*close).stderr
    site.hear("A", 4.0)
    assert words(run) == {"c.high@A": "latched"}
    assert run("reset", "--all").stdout == "1 accepted\n"
    assert words(run) == {"c.high@A": "normal"}
    shown = run("show", "c.high@A").stdout
    assert "[x] acknowledge  operator" in shown
    assert "[ ] close  operator  needs cause_code, responsible, corrective_action" in shown
    assert "comments: 1" in shown
    assert run(*close).stdout == "1 accepted\n"
    assert words(run) == {}


def test_points_are_shelved_and_taken_out_of_service(site: Site, run: Tocsin) -> None:
    site.hear("A", 0.5)
    site.hear("B", 4.0)
    why = ("--reason", "works")
    assert run("shelve", "--for", "30m", *why, "c.low@A", "c.low@B").stdout == "2 accepted\n"
    assert run("out-of-service", *why, "c.high@B").stdout == "1 accepted\n"
    assert words(run) == {
        "c.low@A": "shelved", "c.low@B": "shelved", "c.high@B": "out_of_service",
    }  # fmt: skip
    assert re.search(r"▽ shelved \(29 min 5\d s left\)", run("list").stdout)
    shown = run("show", "c.low@A", "c.high@B").stdout
    assert "shelved: ana 2026-03-02 06:00:0" in shown
    assert "works (until 2026-03-02 06:30:0" in shown
    assert "out of service: ana" in shown
    assert "longer than the limit" in run("shelve", "--for", "9 h", *why, "c.high@A").stderr
    assert run("unshelve", "--all").stdout == "2 accepted\n"
    assert run("in-service", "--all").stdout == "1 accepted\n"
    assert words(run) == {"c.low@A": "unacknowledged"}


def test_an_order_made_against_what_has_changed_is_refused(
    site: Site, run: Tocsin, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.hear("A", 6.0)
    monkeypatch.setattr(site, "publish", lambda: None)      # the list stays as it was seen
    assert run("ack", "c.high@A").exit_code == 0
    found = run("ack", "c.high@A")
    assert found.exit_code == 1
    assert "outdated: made against number 0" in found.stderr


def test_a_signal_is_entered(site: Site, run: Tocsin) -> None:
    site.hear("A", 4.0)
    assert run("set", "mode", "true", "--asset", "A").stdout == "1 accepted\n"
    refused = run("set", "mode", "true", "--asset", "Z")
    assert refused.exit_code == 1
    assert "mode@Z: refused: unknown asset" in refused.stderr
