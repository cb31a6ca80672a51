"""The schedule is a pure function of the seed, and two minutes of it have every kind of fault."""

from itertools import pairwise

import pytest

from tests.chaos.schedule import DISK_KINDS, NETWORK_MODES, Fault, make_schedule, replica_names

SEEDS = range(30)


def replica(fault: Fault) -> str | None:
    """The replica that the fault is for, if it is for one."""
    name = fault.target.rpartition(":")[2]
    return name if name in replica_names() else None


def test_a_seed_gives_the_same_schedule_again() -> None:
    assert make_schedule(5, 120) == make_schedule(5, 120)
    assert make_schedule(5, 120) != make_schedule(6, 120)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_minutes_have_every_kind_of_fault(seed: int) -> None:
    kinds = {fault.kind for fault in make_schedule(seed, 120)}
    assert {"kill", "kill_at_fetch", "freeze_at_fetch", "silent", "stop", *DISK_KINDS} <= kinds
    assert any(kind.startswith("kill_at_") for kind in kinds)
    assert kinds & set(NETWORK_MODES)


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_are_in_order_and_none_is_made_to_a_replica_that_has_one(seed: int) -> None:
    faults = make_schedule(seed, 300)
    assert faults == sorted(faults, key=lambda fault: fault.at)
    for name in replica_names():
        own = [fault for fault in faults if replica(fault) == name]
        assert all(after.at >= before.end for before, after in pairwise(own)), own


def test_without_a_disk_of_its_own_a_run_has_no_faults_of_the_disk() -> None:
    for seed in SEEDS:
        assert not {fault.kind for fault in make_schedule(seed, 600, with_disk=False)} & set(DISK_KINDS)
