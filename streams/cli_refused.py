"""`tocsin refused …`: what could not be used on Kafka, and sending it again.

Exit codes as everywhere: 1 also when something that was named could not be sent again.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli_common import (
    FAILED,
    JsonOption,
    Language,
    LanguageOption,
    instant,
    say,
    say_json,
)
from streams.cli_options import spread_out
from streams.cli_settings import KafkaOption, on_kafka, settings_of

if TYPE_CHECKING:  # a moment to import, and `--help` does not need it
    from streams.refusals import Again, Refusal
    from streams.settings import Kafka

app = typer.Typer(no_args_is_help=True, help="What could not be used on Kafka, whole.")

MOST = 1_000            # shown by default, the newest
AT_ONCE = 100_000       # sent again by one command
FLUSH = 500             # of so many it is made sure that they have arrived,
FLUSH_BYTES = 16 << 20  # or of so much


@dataclass(frozen=True)
class Chosen:
    """Options that choose among what was refused."""

    topic: Annotated[str, typer.Option(help="What came on this topic only, as `readings`.")] = ""
    reason: Annotated[str, typer.Option(help="Of this reason only, as `unknown_asset`.")] = ""
    since: Annotated[
        str, typer.Option(help="Refused since then: ms since 1970 or RFC 3339.")
    ] = ""

    def keeps(self, refusal: Refusal, prefix: str) -> bool:
        """Whether it is one of them, but for the time."""
        return self.reason in ("", refusal.reason) and (
            self.topic in ("", refusal.topic) or f"{prefix}.{self.topic}" == refusal.topic)

    def since_ms(self) -> int | None:
        """The instant of `since`; anything else than one is wrong usage."""
        return instant(self.since, "--since") if self.since else None


def _refused(kafka: Kafka, since_ms: int | None) -> Iterator[tuple[int, Refusal]]:
    """What is on the topic, in order: when it was refused, and what. What is no refusal is told."""
    from connectors.kafka import read_all  # noqa: PLC0415 - start-up
    from connectors.kafka_follow import Follower  # noqa: PLC0415 - start-up
    from streams.refusals import parse  # noqa: PLC0415 - start-up
    from streams.topics import name_of  # noqa: PLC0415 - start-up

    topic, start, strange = name_of(kafka.prefix, "refused"), None, 0
    if since_ms is not None:
        with Follower(kafka.client(), topic, f"{kafka.prefix}-cli") as source:
            start = source.since(since_ms)
    for one in read_all(kafka.client(), topic, start=start):
        found = parse(one.key, one.value, one.headers)
        if found is None:
            strange += 1
        else:
            yield one.t_ms, found
    if strange:
        sys.stderr.write(f"tocsin: {strange} records of {topic} are not refusals of Tocsin's\n")


@app.command("list")
@spread_out
def show_list(
    *,
    chosen: Chosen,
    most: Annotated[int, typer.Option(min=1, help="The newest so many.")] = MOST,
    lang: LanguageOption = Language.EN,
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was refused: when, where it came, why, and how it begins.

    Written twice, it stands once, where it was written last.
    """
    since, given = chosen.since_ms(), settings_of(kafka).kafka
    rows: OrderedDict[str, dict[str, object]] = OrderedDict()
    older = False
    with on_kafka():
        for t_ms, one in _refused(given, since):
            if not chosen.keeps(one, given.prefix):
                continue
            rows[one.position] = _row(t_ms, one, lang.value)
            rows.move_to_end(one.position)
            if len(rows) > most:
                rows.popitem(last=False)
                older = True
    for row in rows.values():
        if as_json:
            say_json(row)
            continue
        said = f"; {row['detail']}" if row["detail"] else ""
        say(f"{row['time']}  {row['key']}  {row['reason']}  {row['asset'] or '-'}")
        say(f"    {row['text']}{said}")
        say(f"    {row['begins']}")
    if older:
        sys.stderr.write(f"tocsin: the newest {most:,} are shown; see --most and --since\n")
    if not rows and not as_json:
        say("nothing was refused")


def _row(t_ms: int, one: Refusal, lang: str) -> dict[str, object]:
    from streams.refusals import printable, shown  # noqa: PLC0415 - start-up
    from streams.render import rfc3339  # noqa: PLC0415 - start-up

    return {
        "key": one.position, "t_ms": t_ms, "time": rfc3339(t_ms), "topic": one.topic,
        "partition": one.partition, "offset": one.offset, "reason": printable(one.reason),
        "text": printable(one.text.get(lang)), "detail": printable(one.detail),
        "asset": printable(one.asset), "bytes": one.size or len(one.value),
        "begins": shown(one.value, one.size),
    }  # fmt: skip


@app.command()
@spread_out
def retry(
    keys: Annotated[
        list[str] | None, typer.Argument(help="TOPIC/PARTITION/OFFSET, as in the list.")
    ] = None,
    *,
    chosen: Chosen,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent.")
    ] = False,
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send what was refused to its topic again, the whole bytes, once what was wrong is mended."""
    if not keys and not chosen.reason:
        raise typer.BadParameter("name what is to be sent again: KEY…, or --reason WORD")
    since, given = chosen.since_ms(), settings_of(kafka).kafka
    named, wanted = frozenset(keys or ()), Chosen(chosen.topic, chosen.reason)
    sender = _Sending(given, dry_run=dry_run, as_json=as_json)
    with on_kafka(), sender:
        for _, one in _refused(given, since):
            if named and one.position not in named:
                continue
            if wanted.keeps(one, given.prefix) and not sender.add(one):
                break
    missing = named - sender.seen
    for key in sorted(missing):
        sys.stderr.write(f"tocsin: {key}: not among what was refused; see `tocsin refused list`\n")
    if not sender.seen and not named and not as_json:
        say("nothing was refused for that reason")
    if missing or sender.failed:
        raise typer.Exit(FAILED)


class _Sending:
    """Sends again, each once, and says of each what was done once it has arrived; a context."""

    def __init__(self, kafka: Kafka, *, dry_run: bool, as_json: bool) -> None:
        from connectors.kafka import Producer  # noqa: PLC0415 - start-up

        self.seen: set[str] = set()
        self.failed = False
        self._prefix, self._as_json = kafka.prefix, as_json
        self._producer = None if dry_run else Producer(kafka.client())
        self._on_the_way: list[tuple[Refusal, Again]] = []
        self._bytes = 0

    def __enter__(self) -> None:
        if self._producer is not None:
            self._producer.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: object) -> None:
        try:
            if kind is None:
                self._arrived()
        finally:
            if self._producer is not None:
                self._producer.__exit__(kind, error, trace)

    def add(self, one: Refusal) -> bool:
        """Sends one. False when there are too many for one command, which is told."""
        from streams.refusals import again  # noqa: PLC0415 - start-up

        if one.position in self.seen:
            return True
        if len(self.seen) >= AT_ONCE:
            sys.stderr.write(f"tocsin: {AT_ONCE:,} were sent, which is the most of one command; "
                             "send the rest with --since\n")
            self.failed = True
            return False
        self.seen.add(one.position)
        how = again(one, self._prefix)
        if how.why:
            sys.stderr.write(f"tocsin: {one.position}: not sent again: {how.why}\n")
            self.failed = True
            return True
        if self._producer is not None:
            self._producer.send(how.topic, how.value, key=how.key, partition=how.partition,
                                headers=how.headers)
        self._on_the_way.append((one, how))
        self._bytes += len(how.value)
        if len(self._on_the_way) >= FLUSH or self._bytes >= FLUSH_BYTES:
            self._arrived()
        return True

    def _arrived(self) -> None:
        """Makes sure that all have arrived, and says so."""
        if self._producer is not None:
            self._producer.flush()
        for one, how in self._on_the_way:
            if self._as_json:
                key = None if how.key is None else how.key.decode("utf-8", "replace")
                say_json({"key": one.position, "sent": self._producer is not None,
                          "topic": how.topic, "as": key, "partition": how.partition})
            else:
                would = "would go" if self._producer is None else "sent"
                say(f"{one.position}: {would} to {how}")
        self._on_the_way.clear()
        self._bytes = 0
