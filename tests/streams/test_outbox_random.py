from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.outbox import Outbox
from tests.streams.notices_kit import Ledger, T, alert, channel

SEVERITIES = ["blue", "yellow", "orange", "red"]
OUTCOMES = ["sent", "sent", "sent", "failed", "refused", "killed"]

#: What happens: an alert (alarm, kind, severity, announced), a try (and its outcome), time.
_events = st.one_of(
    st.tuples(st.just("alert"), st.sampled_from("abc"), st.sampled_from(["raised", "level",
              "cleared", "returned"]), st.sampled_from(SEVERITIES), st.booleans()),
    st.tuples(st.just("try"), st.sampled_from(OUTCOMES)),
    st.tuples(st.just("wait"), st.integers(1, 2_000_000)),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(_events, max_size=60))
def test_whatever_happens(events: list[tuple[Any, ...]]) -> None:
    """In order within an alarm; no end without a beginning; nothing twice but after a kill;
    nothing lost: what is not sent says why.
    """
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "t.db", channel(least=2))
        box, now = Outbox(ledger.db, "x"), T
        arrived: list[tuple[str, int, str]] = []
        killed: set[int] = set()
        generation = dict.fromkeys("abc", 0)   # a cleared alarm is raised again under another id
        for event in events:
            match event:
                case ("alert", name, kind, severity, announced):
                    alarm = f"{name}{generation[name]}"
                    generation[name] += kind == "cleared"
                    ledger.write(
                        alert(kind, alarm=alarm, severity=severity, announced=announced), now=now
                    )
                case ("wait", ms):
                    now += ms
                case ("try", outcome):
                    now = box.paused_until(now)
                    due = box.due(now)
                    if due is None:
                        continue
                    box.trying(due, now)
                    if outcome in ("sent", "killed"):
                        key = (due.content["alarm"], due.content["seq"], due.content["kind"])
                        assert key not in arrived or due.id in killed, "sent twice"
                        arrived.append(key)
                    if outcome == "sent":
                        box.sent(due)
                    elif outcome == "failed":
                        box.failed(due, "no", None, now)
                    elif outcome == "refused":
                        box.refused(due, "no")
                    else:
                        killed.add(due.id)
        while (due := box.due(now := box.paused_until(now) + 600_000)) is not None:
            arrived.append((due.content["alarm"], due.content["seq"], due.content["kind"]))
            box.sent(due)
        for alarm in {key[0] for key in arrived}:
            seqs = [seq for name, seq, _ in arrived if name == alarm]
            assert seqs == sorted(seqs)
            kinds = [kind for name, _, kind in arrived if name == alarm]
            assert kinds[0] not in ("cleared", "returned")
        for alarm, kind, state in ledger.states():
            assert state in ("sent", "refused", "expired", "moot")
            if state == "moot":
                assert kind in ("cleared", "returned")
                assert not any(a == alarm and s == "sent" for a, _, s in ledger.states())
        ledger.db.close()
