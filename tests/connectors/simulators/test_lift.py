import itertools
from collections import Counter

import numpy as np
import pytest

from connectors.simulators.lift import HEARTBEAT_MS, Bank, Travel, incidents_of, messages
from rules.records import Message

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("v", "a", "j", "distance", "seconds"),
    [
        (1.0, 0.5, 0.8, 3, 5.62), (1.0, 0.5, 0.8, 30, 32.6),
        (1.75, 0.8, 1.0, 3, 4.75), (1.75, 0.8, 1.0, 30, 20.1), (1.75, 0.8, 1.0, 60, 37.3),
        (2.5, 0.9, 1.2, 3, 4.48), (2.5, 0.9, 1.2, 30, 15.5), (4.0, 1.0, 1.5, 90, 27.2),
    ],
)  # fmt: skip
def test_trips_take_the_times_of_the_published_equations(
    v: float, a: float, j: float, distance: float, seconds: float
) -> None:
    assert Travel(distance, v, a, j).seconds == pytest.approx(seconds, rel=5e-3)


@pytest.mark.parametrize("distance", [0.3, 1.0, 3.0, 9.0, 45.0])
def test_a_trip_ends_at_rest_at_its_distance_within_its_limits(distance: float) -> None:
    travel = Travel(distance, 1.75, 0.8, 1.0)
    times = np.linspace(0, travel.seconds, 2001)
    position, speed = travel.at(times)
    assert position[-1] == pytest.approx(distance)
    assert speed[-1] == pytest.approx(0, abs=1e-9)
    assert speed.max() <= 1.75 + 1e-9
    assert speed.min() >= -1e-9
    assert np.abs(np.gradient(speed, times)).max() <= 0.8 + 1e-6
    assert np.gradient(position, times)[1:-1] == pytest.approx(speed[1:-1], abs=1e-2)


@pytest.mark.parametrize("wrong", [(0, 1, 1, 1), (3, 1, 1, 0), (3, 0.5, 1, 1)])
def test_impossible_trips_are_refused(wrong: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="no such trip"):
        Travel(*wrong)


def test_the_same_seed_gives_the_same_messages_and_another_does_not() -> None:
    def play(seed: int) -> list[Message]:
        return list(messages(Bank(0, HOUR, seed=seed)))

    assert play(3) == play(3)
    assert play(3) != play(4)


def test_a_bank_speaks_in_order_from_start_to_end_with_heartbeats() -> None:
    found = list(messages(Bank(5000, 2 * HOUR, lifts=3)))
    assert all(a.t <= b.t for a, b in itertools.pairwise(found))
    assert found[0].t >= 5000
    assert found[-1].t < 5000 + 2 * HOUR
    for lift in ("L-1", "L-2", "L-3"):
        times = [m.t for m in found if m.asset == lift]
        assert max(b - a for a, b in itertools.pairwise(times)) <= HEARTBEAT_MS


def test_a_lift_makes_some_four_hundred_trips_a_day() -> None:
    found = list(messages(Bank(0, 24 * HOUR, lifts=2)))
    trips = Counter(m.asset for m in found if m.values == {"car_status": "running"})
    assert all(300 <= count <= 600 for count in trips.values()), trips


def test_in_peace_no_car_stops_between_floors_or_runs_too_fast() -> None:
    state: dict[str, dict[str, object]] = {}
    for message in messages(Bank(0, 6 * HOUR)):
        now = state.setdefault(message.asset, {})
        now.update(message.values)
        assert now["car_status"] == "running" or now["door_zone"]
        assert now["door_closed"] or now["car_status"] == "stopped"
        assert abs(float(str(now["speed"]))) <= 1.75


def incident(kind: str, minutes: float) -> list[Message]:
    rows = incidents_of([(kind, 1, 30, minutes)])  # type: ignore[list-item]
    return list(messages(Bank(0, 2 * HOUR, lifts=1, incidents=rows)))


def test_an_entrapment_stops_between_floors_until_the_release() -> None:
    found = incident("entrapment", 20)
    stop = next(m for m in found if m.values.get("message_code") == 1)
    assert stop.values["door_zone"] is False
    freed = next(m for m in found if m.t > stop.t and m.values.get("door_closed") is False)
    assert freed.t - stop.t == 20 * 60_000 + 5_000
    assert [m.values["message_code"] for m in found if "message_code" in m.values] == [1, *[90] * 4]


def test_an_overspeed_is_twenty_percent_and_puts_the_lift_out_of_service() -> None:
    found = incident("overspeed", 0)
    fastest = max(abs(float(str(m.values.get("speed", 0)))) for m in found)
    assert fastest == pytest.approx(2.1)
    assert any(m.values == {"service_mode": "out_of_service"} for m in found)


def test_a_held_door_and_a_lost_link() -> None:
    door = [m for m in incident("door_held", 8) if "door_closed" in m.values and len(m.values) == 1]
    assert any(b.t - a.t == 8 * 60_000 for a, b in itertools.pairwise(door))
    times = [m.t for m in incident("offline", 15)]
    assert max(b - a for a, b in itertools.pairwise(times)) >= 15 * 60_000
