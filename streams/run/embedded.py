"""`tocsin run`: one process that plays a source through the rules, without a broker.

What the user asked for is looked at here, before anything is played; the playing is `loop`.
"""


from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.files import RecordingError
from rules.load import load, named
from rules.model import Pack
from streams.channels import load as load_channels
from streams.duty import Edition, pack_hash
from streams.notices import Channel
from streams.run.journal import DATABASE, JournalError, opened
from streams.run.loop import Loop, RunSettings, Stopped
from streams.run.orders import OrdersError, read_orders
from streams.run.sender import Sender
from streams.run.source import PACKS, TOCSIN, Source, SourceError, demo, files
from streams.run.views import make_view
from streams.store import StoreError


class UsageError(Exception):
    """An option, a rule or a file of the user is wrong."""


def run(settings: RunSettings) -> int:
    """Runs until the source ends or somebody stops it.

    Returns the exit status: 0 done or stopped, 1 the ledger cannot be used, 2 options, rules or
    data are wrong (said on stderr).
    """
    try:
        zone = _zone(settings)
        channels = _channels(settings)
        own = (TOCSIN,) if channels else ()     # a channel that fails is an alarm, too
        edition = _edition((*(settings.rules or PACKS), *own))
        source = _source(settings, edition.pack)
        journal, aside = opened(settings.ledger, source.identity)
        try:
            view = make_view(settings.lang, zone, headless=settings.headless)
            with _sender(settings, channels, zone) as sender:
                Loop(settings, edition, source, journal, view, sender).play(aside)
        finally:
            journal.close()
    except Stopped:  # before anything was played: there is nothing to save
        return 0
    except BrokenPipeError:  # the reader of the pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UsageError, SourceError, RecordingError, OrdersError) as error:
        return _complain(error, 2)
    except (JournalError, StoreError, OSError) as error:
        return _complain(error, 1)
    return 0


def _complain(error: Exception, status: int) -> int:
    sys.stderr.write(f"tocsin run: {error}\n")
    return status


def _zone(settings: RunSettings) -> ZoneInfo:
    if not (math.isfinite(settings.speed) and settings.speed >= 0):
        raise UsageError(
            f"--speed {settings.speed:g}: expected how many times real time, or 0 for as fast as "
            "possible"
        )
    try:
        return ZoneInfo(settings.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"{settings.zone!r}: no such time zone; expected a name like Asia/Shanghai"
        ) from None


def _channels(settings: RunSettings) -> tuple[Channel, ...]:
    if settings.notify is None:
        return ()
    found, problems = load_channels(settings.notify)
    if any(problem.kind == "error" for problem in problems):
        raise UsageError("\n".join(["the channels have errors:", *map(str, problems)]))
    return found


@contextmanager
def _sender(
    settings: RunSettings, channels: tuple[Channel, ...], zone: ZoneInfo
) -> Iterator[Sender | None]:
    """What sends the notices, while the run is on; nothing without channels."""
    if not channels:
        yield None
        return
    sender = Sender(settings.ledger / DATABASE, channels, zone)
    try:
        sender.start()
        yield sender
    finally:
        sender.close()


def _edition(paths: tuple[Path, ...]) -> Edition:
    """The rules that the user names; their texts are named as they lie under those paths."""
    loaded = load(paths)
    if loaded.pack is None:
        wrong = [str(problem) for problem in loaded.problems if problem.kind == "error"]
        raise UsageError("\n".join([f"{len(wrong)} error(s) in the rules:", *wrong]))
    texts = [(named(Path(path), paths), text.encode()) for path, text in loaded.sources.items()]
    return Edition(loaded.pack, tuple(texts), pack_hash(texts))


def _source(settings: RunSettings, pack: Pack) -> Source:
    source = files(settings.data, pack) if settings.data else demo(pack)
    if settings.orders is None:
        return source
    return replace(source, orders=read_orders(settings.orders))


