"""Lanes: a slow host holds up itself alone."""

from services.notifier.lanes import MAX_PAUSE, MIN_PAUSE, Lanes


def test_a_host_gets_as_many_as_its_lane_is_wide() -> None:
    lanes = Lanes(width=2)
    assert lanes.enter("slow", 0) is None
    assert lanes.enter("slow", 0) is None
    assert lanes.enter("slow", 0) is not None


def test_another_host_is_not_held_up() -> None:
    lanes = Lanes(width=1)
    lanes.enter("slow", 0)
    assert lanes.enter("slow", 0) is not None
    assert lanes.enter("quick", 0) is None


def test_whoever_leaves_makes_room() -> None:
    lanes = Lanes(width=1)
    lanes.enter("host", 0)
    lanes.leave("host", 1, 1)
    assert lanes.enter("host", 1) is None


def test_those_put_back_come_one_after_another_at_the_pace_of_the_host() -> None:
    lanes = Lanes(width=1)
    lanes.enter("host", 0)
    pauses = [lanes.enter("host", 0) for _ in range(5)]
    assert pauses == [1, 2, 3, 4, 5]


def test_pauses_stay_within_bounds_however_long_the_backlog() -> None:
    lanes = Lanes(width=1)
    lanes.enter("host", 0)
    pauses = [lanes.enter("host", 0) or 0 for _ in range(1000)]
    assert min(pauses) >= MIN_PAUSE
    assert max(pauses) == MAX_PAUSE


def test_lanes_that_are_over_are_forgotten() -> None:
    lanes = Lanes(width=1)
    for number in range(100):
        lanes.enter(f"host-{number}", 0)
        lanes.leave(f"host-{number}", 1, 1)
    assert not lanes._lanes
