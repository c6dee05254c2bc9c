"""Operators who order while the run is killed: every order counts once, whatever happens."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from streams.run.again import again
from streams.run.client import Client, ClientError
from streams.run.journal import DATABASE
from streams.store import Store
from tests.chaos.kills import ledger

KINDS = ("acknowledge", "comment", "shelve", "unshelve", "unacknowledge", "reset")


class Operators:
    """Orders something at each `poll`, and asks again with the same id until there is a result."""

    def __init__(self, folder: Path, chance: random.Random, most: int) -> None:
        self.folder, self.chance, self.most = folder, chance, most
        self.given: dict[str, dict[str, Any]] = {}
        self.results: dict[str, dict[str, Any]] = {}

    def poll(self) -> None:
        """One order, or one again. What finds nobody is tried at the next poll."""
        try:
            client = Client.of(self.folder)
            waiting = [x for x in self.given if x not in self.results]
            if not waiting and len(self.given) < self.most:
                self._invent(client)
                waiting = [x for x in self.given if x not in self.results]
            if waiting:
                said = client.order([self.given[waiting[0]]], "chen")[0]
                if said["result"] in ("accepted", "refused"):
                    self.results[waiting[0]] = said
        except ClientError:
            return

    def _invent(self, client: Client) -> None:
        rows = [row for row in client.listing().rows if row["raised_ms"]]
        if not rows:
            return
        row, kind = self.chance.choice(rows), self.chance.choice(KINDS)
        order = {"request": f"live-{len(self.given)}", "command": kind, "alarm": row["alarm"],
                 "reason": f"no. {len(self.given)}"}
        if kind == "shelve":
            order["duration_ms"] = self.chance.randrange(60_000, 3_600_000)
        self.given[order["request"]] = order

    def wrong(self) -> list[str]:
        """What is not as it must be, after the run has come to its end."""
        records = [json.loads(body) for _, _, body in ledger(self.folder)]
        found = [x for x in records if x["type"] == "command" and x["request"] in self.given]
        made = [f"{x['request']} stands twice" for i, x in enumerate(found)
                if any(x["request"] == y["request"] for y in found[:i])]
        by_request = {x["request"]: x for x in found}
        for request, said in self.results.items():
            record = by_request.get(request)
            if record is None:
                made.append(f"{request} was answered and is in no record")
            elif (record["result"], record["why"]) != (said["result"], said["why"]):
                made.append(f"{request} was answered otherwise than it is recorded")
        with Store(self.folder / DATABASE, readonly=True) as store:
            if list(again(store)) != list(store.records()):
                made.append("the ledger run again is another one")
        return made
