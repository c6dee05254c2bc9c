"""Runs of a disturbed fleet: what is done to it, and what must be true in the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from streams.messages import parse
from tests.chaos import fleet_check as check
from tests.chaos.fleet import PATIENCE_S, SESSION_S, Fleet, fleet, now_ms
from tests.chaos.fleet_load import pack
from tests.kafka.broker import Broker

QUIET_S = 1.0           # no alert for so long …
AFTER_MS = 7_500        # … after silence: what is raised by then rises within 3 s, shelves end in 4
ORDERS = ("acknowledge", "comment", "shelve", "unshelve", "reset", "unacknowledge",
          "out_of_service", "in_service")  # fmt: skip

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How a fleet is disturbed, in any order; and how much it has to do meanwhile."""

    kills: int = 0
    joins: int = 0                  # each with a leave
    zombies: int = 0
    brokers: int = 0                # away, by kill -9 and by stop in turn
    away_s: float = 20.0
    zombie_s: float = SESSION_S + 1.5
    pause_s: tuple[float, float] = (0.0, 2.0)
    orders: int = 0
    assets: int = 400
    rate: float = 2_000.0           # readings a second
    readings: int = 0               # at least
    idle_s: float = 10.0            # after a fault, at most: a session, a takeover, the clock's 5 s

    def deeds(self, chance: random.Random) -> list[str]:
        """What is done, in which order."""
        made = [*["kill"] * self.kills, *["join", "leave"] * self.joins,
                *["zombie"] * self.zombies, *["broker"] * self.brokers]  # fmt: skip
        chance.shuffle(made)
        joined = 0
        for i, deed in enumerate(made):     # nobody leaves before one has joined
            joined += (deed == "join") - (deed == "leave")
            if joined < 0:
                at = made.index("join", i)
                made[i], made[at] = made[at], made[i]
                joined += 2
        return made


async def disturb(one: Fleet, broker: Broker, plan: Plan, nodes: int) -> None:
    """Does what the plan says, each deed once the fleet has recovered from the one before."""
    away = 0
    for deed in plan.deeds(one.chance):
        await one.working()
        await asyncio.sleep(one.chance.uniform(*plan.pause_s))
        if deed == "zombie":
            await one.zombie(plan.zombie_s)
        elif deed == "broker":
            away += 1
            words = ("--node", one.chance.randint(1, nodes)) if nodes > 1 else ()
            down = broker.kill if away % 2 else broker.stop
            await one.without(partial(down, *words), broker.start,
                              f"{'kill' if away % 2 else 'stop'} broker {words}", plan.away_s)
        else:
            await getattr(one, deed)()
    await one.working()


async def people(one: Fleet, plan: Plan) -> list[dict[str, Any]]:
    """Orders about alarms that were just raised, some asked twice; in the middle other rules."""
    given: list[dict[str, Any]] = []
    while len(given) < plan.orders:
        await asyncio.sleep(one.chance.uniform(0.0, 0.1))
        raised = [x for x in one.heard[-400:] if x["type"] == "alert" and x["kind"] == "raised"]
        if not raised:
            continue
        about = one.chance.choice(raised)
        body = {"request": f"r{len(given)}", "by": "ana", "command": one.chance.choice(ORDERS),
                "rule": about["rule"], "asset": about["asset"], "group": about["group"],
                "reason": f"no. {len(given)}"}
        if body["command"] == "shelve":
            body["duration_ms"] = one.chance.randrange(500, 4_000)
        given.append(body)
        await one.order(body)
        if one.chance.random() < 0.2:
            await one.order(body)
        if len(given) == plan.orders // 2:
            await one.activate(pack(85.0), "second")
    return given


# In the end -----------------------------------------------------------------------------------


async def quiet(one: Fleet) -> None:
    """Until all assets are silent, and no alert has come for a while."""
    await one.until(partial(_silent, one), "all assets are silent")
    count, since = -1, time.monotonic()
    begun = since
    while time.monotonic() - since < QUIET_S:
        assert time.monotonic() - begun < PATIENCE_S, "it does not become quiet"
        if len(one.heard) != count:
            count, since = len(one.heard), time.monotonic()
        await asyncio.sleep(0.1)


def _silent(one: Fleet) -> bool:
    """Whether all assets are silent, for so long that all that was begun has ended, too."""
    since = {x["asset"]: x["t_ms"] for x in one.heard if x["type"] == "alert"
             and x["rule"].endswith("_pump.silent") and x["kind"] in ("raised", "cleared")}
    return len(since) == one.assets and now_ms() > max(since.values()) + AFTER_MS


async def checked(
    one: Fleet, orders: list[dict[str, Any]], idle_s: float
) -> tuple[list[str], str]:
    """What is wrong, and some figures."""
    topics = await check.Topics.of(one)
    ledgers = check.ledgers(topics)
    wrong = check.sound(ledgers)
    editions = check.editions()
    if orders:
        parts = check.replayed(topics, ledgers, editions, one)
        wrong += answered(ledgers, orders) + shelves(ledgers)
    else:
        name = ledgers[0][0][1]["pack"]
        made = check.undisturbed(topics, ledgers, editions[name], one)
        parts = [part for part, _ in made]
        wrong += check.differences(ledgers, {p: x for p, (_, x) in enumerate(made)})
    wrong += check.wrong_list(topics, parts)
    wrong += check.wrong_by_hand(one, ledgers, hot=not orders)
    idle, waits = check.idle(topics, one.faults), check.waits(topics)
    wrong += [f"partition {p} stood still for {ms} ms" for p, ms in idle.items()
              if ms > idle_s * 1000]
    refused = {record.key for record in topics.refused[0]}
    if len(refused) != one.pumps.bad:
        wrong.append(f"{len(refused)} records refused, {one.pumps.bad} were no good")
    contents = [x for ledger in ledgers.values() for _, x in ledger]
    groups = sum(x.get("group", False) is True for x in contents)
    ticks = sum(x["type"] == "tick" for x in contents)
    epochs = len({parse(r.headers).epoch for rs in topics.alerts.values() for r in rs})
    figures = (f"{one.pumps.sent} readings, {len(contents)} records ({groups} of groups, {ticks} "
               f"late ticks, {one.fenced} fenced) of {epochs} epochs; alert after its instant "
               f"p50 {waits[len(waits) // 2]} ms, p99 {waits[len(waits) * 99 // 100]} ms, "
               f"longest {waits[-1]} ms; stood still {max(idle.values())} ms "
               f"at most; {len(one.died)} workers ended by themselves")
    return wrong, figures


def answered(ledgers: dict[int, check.Ledger], orders: list[dict[str, Any]]) -> list[str]:
    """Each order has one answer, the activation one in each partition."""
    contents = [x for ledger in ledgers.values() for _, x in ledger]
    answers = Counter(x["request"] for x in contents if x["type"] == "command")
    wrong = [f"{x['request']} has {answers[x['request']]} answers" for x in orders
             if answers[x["request"]] != 1]
    wrong += [f"{x} was never ordered" for x in answers.keys() - {x["request"] for x in orders}]
    for p, ledger in ledgers.items():
        made = [x["request"] for _, x in ledger if x["type"] == "activation"]
        if made != ["first", "second"]:
            wrong.append(f"partition {p} was activated by {made}")
    return wrong


def shelves(ledgers: dict[int, check.Ledger]) -> list[str]:
    """Shelves end at their instant, unless they ended before by an order or with the alarm."""
    wrong = []
    for ledger in ledgers.values():
        until: dict[tuple[str, str], int] = {}
        for _, x in ledger:
            if x["type"] != "alert":
                continue
            key = x["rule"], x["asset"]
            if x["kind"] == "shelved":
                until[key] = x["until_ms"]
            elif x["kind"] == "unshelved":
                due = until.pop(key, None)
                timed = x.get("reason") == "its time is over"
                if due is None or (x["t_ms"] != due if timed else x["t_ms"] > due):
                    wrong.append(f"{key} unshelved at {x['t_ms']}, its time was {due}")
        wrong += [f"{key} is shelved for ever" for key in until]
    return wrong


async def live(one: Fleet, broker: Broker, plan: Plan, nodes: int) -> list[dict[str, Any]]:
    """Load, disturbances and orders, until all is quiet; the orders."""
    await one.until(lambda: all(x.takeovers() for x in one.workers), "two workers at work")
    async with one.load():
        ordering = asyncio.ensure_future(people(one, plan))
        await disturb(one, broker, plan, nodes)
        while one.pumps.sent < plan.readings:
            one.check()
            await asyncio.sleep(1.0)
        given = await ordering
    one.counting("the load ends")
    await quiet(one)
    one.counting("all is quiet")
    return given


async def run(broker: Broker, folder: Path, seed: int, plans: Mapping[str, Plan], nodes: int = 1,
              say: Say = print) -> list[str]:
    """A whole run, of a fleet for each plan (by prefix), all at once; what is wrong."""
    begun, wrong = time.monotonic(), []

    def counting(name: str, what: str) -> None:
        say(f"{time.monotonic() - begun:7.1f} s  {name}: {what}")

    async with contextlib.AsyncExitStack() as stack:
        fleets = [await stack.enter_async_context(fleet(
            broker.settings(name, replication=nodes), folder / name, seed, assets=plan.assets,
            rate=plan.rate, counting=partial(counting, name))) for name, plan in plans.items()]
        for one in fleets:
            one.faults = fleets[0].faults       # a broker is away for all
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(live(one, broker, plan, nodes))
                     for one, plan in zip(fleets, plans.values(), strict=True)]
        for one, task, plan in zip(fleets, tasks, plans.values(), strict=True):
            found, figures = await checked(one, task.result(), plan.idle_s)
            one.counting(f"{len(task.result())} orders, {figures}")
            if found:
                one.counting("\n".join([*found[:20], one.tail(), *one.died]))
            wrong += found
    return wrong
