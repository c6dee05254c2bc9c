"""Kill -9 at random moments of the demo: the ledger must end as that of an undisturbed run.

A child plays the demo; the parent kills it after a random time, and starts it again on the same
folder, until the demo has come to its end. Children are forked from a parent that has everything
loaded, so that a start costs little and the kills fall into all of the run: loading, playing again
what was kept, writing, saving.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from streams.run import loop
from streams.run.embedded import run
from streams.run.journal import ALERTS, DATABASE
from streams.run.loop import RunSettings
from streams.store import Store

LONGEST_S = 120.0     # of one child that is not killed; beyond it the run hangs
FAST = RunSettings(speed=0, headless=True)


@dataclass
class Killed:
    """What a disturbed run came to."""

    kills: int = 0
    starts: int = 0
    finished: bool = False


def child(settings: RunSettings, log: Path) -> int:
    """Forks a child that plays; its process id."""
    pid = os.fork()
    if pid == 0:
        out = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        status = 1
        try:
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.stderr = os.fdopen(2, "w", closefd=False)
            status = run(settings)
        finally:
            sys.stdout.flush()
            os._exit(status)
    return pid


def ended(pid: int, seconds: float, poll: Callable[[], None] = lambda: None) -> int | None:
    """The exit status of a child if it ends within so many seconds, else None."""
    until = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            return None
        poll()
        time.sleep(0.002)


def kill(pid: int) -> None:
    """Kill -9, and no child is left over."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def disturbed(
    folder: Path, chance: random.Random, longest: float, kills: int,
    poll: Callable[[], None] = lambda: None, settings: RunSettings = FAST,
) -> Killed:
    """Plays the demo to its end with at most so many kills, each at a moment up to `longest` s."""
    made = Killed()
    folder.mkdir(parents=True, exist_ok=True)
    mine = replace(settings, ledger=folder)
    while not made.finished:
        made.starts += 1
        loop.SAVE_S = chance.choice([0.05, 0.5, 2.0])    # so that kills meet many snapshots
        pid = child(mine, folder / "log")
        wait = chance.uniform(0.0, longest) if made.kills < kills else LONGEST_S
        status = ended(pid, wait, poll)
        if status is None:
            assert made.kills < kills, f"it hangs: {(folder / 'log').read_text()[-2000:]}"
            kill(pid)
            made.kills += 1
        else:
            assert status == 0, (folder / "log").read_text()[-2000:]
            made.finished = True
    return made


def ledger(folder: Path) -> list[tuple[int, bytes, bytes]]:
    """All records of a run: number, hash, body."""
    with Store(folder / DATABASE, readonly=True) as store:
        return [(record.n, record.hash, record.body) for record in store.records()]


def same(one: Path, other: Path) -> bool:
    """Whether two runs have the same ledger and the same alerts, byte for byte."""
    return ledger(one) == ledger(other) and (one / ALERTS).read_bytes() == (
        other / ALERTS
    ).read_bytes()


def twice_announced(folder: Path) -> list[str]:
    """Ids of alerts that stand twice in the alerts file."""
    seen: set[str] = set()
    twice = []
    for line in (folder / ALERTS).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["type"] == "alert":
            name = f"{record['alarm']}-{record['seq']}"
            twice += [name] if name in seen else []
            seen.add(name)
    return twice
