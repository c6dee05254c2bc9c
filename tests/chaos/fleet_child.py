"""`tocsin worker` as a child of a server that has everything loaded, so that a start costs little.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

READY = "tests.chaos.fleet_ready"


def context() -> ForkServerContext:
    """Whose processes are forked from a server that has imported READY."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload([READY])
    return made


def begin(settings: Path, log: Path, name: str) -> ForkServerProcess:
    """A worker that runs; what it says goes to `log`."""
    process = context().Process(target=_work, args=(settings, log, name), daemon=True)
    process.start()
    return process


def _work(settings: Path, log: Path, name: str) -> None:
    out = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    from streams import cli  # noqa: PLC0415 - loaded in the server, not by the tests

    cli.main(["worker", "--settings", str(settings), "--name", name])

