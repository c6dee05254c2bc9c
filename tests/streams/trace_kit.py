"""A small plant whose alarms are traced: a store written as a run writes it, without a loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer
from typer.testing import CliRunner, Result

from rules.model import Asset
from rules.records import Command, Message
from streams import cli_ledger
from streams.duty import Duty, Edition, inventory_hash
from streams.ledger import Chain
from streams.run.alerts import AlertsFile
from streams.run.journal import ALERTS, DATABASE
from streams.store import Kept, Snapshot, Store

S, MIN, HOUR = 1_000, 60_000, 3_600_000
T0 = 1_772_431_200_000  # 2026-03-02T06:00:00Z
ZONE = "Asia/Shanghai"

RULES = """\
classes:
  tank:
    title: {zh: 储罐, en: Tank}
    signals:
      pressure: {title: {zh: 压力, en: pressure}, unit: bar, range: [0, 50], stale_after: 2 min}
      valve: {type: bool}
      mode: {states: {0: idle, 1: {name: filling, zh: 进料, en: filling}}}
      code: {events: {1: leak, 2: overfill}}
      drill: {type: bool, default: false, set_by: operator, expires: 1 h}
    attributes:
      limit: {unit: bar, default: 8}
      place: {type: text}
    derived:
      busy: mode == filling and open
      open: valve
    silent_after: 30 min
plans:
  tank.relieve:
    title: {zh: 泄压, en: Relieve}
    steps:
    - {step: acknowledge, role: officer, within: 30 s, do: {zh: 核对, en: Check}}
    - {step: vent, role: operator, within: 5 min}
    - {step: close, role: officer, needs: [cause_code]}
    overdue: {raise_to: red, notify: [chief]}
rules:
# The comment before a rule is not its text.
- rule: tank.pressure
  class: tank
  title: {zh: 压力高, en: Pressure high}
  levels:
    yellow: {when: pressure > limit}
    orange: {when: pressure > 125 % * limit}
  for: 30 s
  only_if: mode != idle
  deadband: 5 % of limit
  plan: tank.relieve
  message: {zh: "压力 {pressure}", en: "Pressure {pressure}"}
  evidence: [pressure, valve]

- rule: tank.leak
  class: tank
  when: code == leak
  latch: true
  severity: red
  tags: [trip]
- {rule: tank.busy, class: tank, severity: blue,
   when: busy}
groups:
- group: site.both
  by: asset
  over: [tank.pressure, tank.leak]
  when: alarms >= 2
  within: 1 h
  severity: orange
"""


@dataclass
class Plant:
    """Plays messages and orders at their times and keeps everything, as a run does."""

    folder: Path
    rules: str = RULES
    assets: Sequence[Asset] = (Asset("T-1", "tank", {"place": "east"}), Asset("T-2", "tank"))
    chain: Chain = field(default_factory=Chain)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store = Store(self.folder / DATABASE)
        self.file = AlertsFile(self.folder / ALERTS)
        edition = Edition.of([("tank.yaml", self.rules.encode())])
        self.duty = Duty(edition, ZONE, self.assets, T0)
        self.store.keep(edition.name, list(edition.texts))
        plain = [[x.id, x.cls, x.attributes, x.overrides] for x in self.assets]
        self.store.keep(inventory_hash(self.assets), plain)
        self._write(self.duty.begin("start"))

    def _write(self, contents: Sequence[dict[str, object]], kept: Kept | None = None) -> None:
        records = [self.chain.append(content) for content in contents]
        self.store.append(records, kept=kept)
        self.file.write(records)

    def says(self, t: int, asset: str = "T-1", **values: object) -> None:
        """One message, `t` ms after the beginning, and all instants up to then."""
        message = Message(asset, "tank", T0 + t, values)
        self._write(self.duty.play([message], T0 + t), Kept(T0 + t, [message]))

    def until(self, t: int) -> None:
        """Runs the clocks."""
        self._write(self.duty.play([], T0 + t), Kept(T0 + t, []))

    def order(self, t: int, kind: str, target: str = "tank.pressure", asset: str = "T-1",
              **more: object) -> dict[str, object]:  # fmt: skip
        """An order at `t`; its result."""
        if T0 + t > self.duty.clock + 1:
            self.until(t - 1)
        command = Command(kind, target, asset, **{"by": "li", "request": f"r{t}", **more})  # type: ignore[arg-type] # words of a test
        answer, contents = self.duty.command(command)
        self._write(contents)
        return answer

    def activate(self, t: int, rules: str) -> None:
        """Edited rules take over."""
        self.until(t - 1)
        edition = Edition.of([("tank.yaml", rules.encode())])
        self.store.keep(edition.name, list(edition.texts))
        self._write(self.duty.activate(edition, "zhao", f"a{t}"))

    def base(self) -> None:
        """A snapshot to run again from."""
        self.store.save(Snapshot(self.duty.clock, self.chain.n, self.duty.snapshot()), base=True)

    def end(self) -> Path:
        """Closes everything. The folder."""
        self.store.save(
            Snapshot(self.duty.clock, self.chain.n, self.duty.snapshot()), {"finished": "yes"}
        )
        self.close()
        return self.folder

    def close(self) -> None:
        self.file.close()
        self.store.close()


def usual(folder: Path) -> Plant:
    """A day at the tank: pressure rises, people work it off, the tank leaks."""
    plant = Plant(folder)
    plant.says(0, pressure=5.0, valve=True, mode="filling")
    plant.says(1 * S, "T-2", pressure=4.0, valve=False, mode="idle")
    for i in range(1, 12):
        plant.says(i * 10 * S, pressure=5.0 + i * 0.4)    # 8.2 at 80 s, 9.4 at 110 s
    plant.base()
    plant.order(125 * S, "acknowledge", reason="seen")
    plant.order(130 * S, "step", step="close", fields={"cause_code": "x"})   # refused: active
    plant.says(140 * S, pressure=10.5)
    plant.order(150 * S, "comment", reason="<b>calling</b> the field & back\x1b[31m")
    plant.says(200 * S, pressure=10.6)
    plant.says(210 * S, code=1)
    plant.order(215 * S, "acknowledge")
    plant.order(220 * S, "step", step="vent", fields={"valve": "PSV-2"})
    plant.says(300 * S, pressure=7.0)
    plant.order(400 * S, "step", step="close", fields={"cause_code": "blocked vent"})
    plant.order(410 * S, "shelve", reason="sensor is being changed", duration=20 * MIN)
    plant.says(20 * MIN, pressure=6.0, mode="idle")
    plant.until(40 * MIN)
    return plant


def invoke(*words: str) -> Result:
    """The commands, registered as the founder registers them."""
    app = typer.Typer()
    app.add_typer(cli_ledger.app, name="ledger")
    app.command()(cli_ledger.trace)
    return CliRunner().invoke(app, list(words))


def bodies(folder: Path) -> Iterator[bytes]:
    with Store(folder / DATABASE, readonly=True) as store:
        yield from (record.body for record in store.records())
