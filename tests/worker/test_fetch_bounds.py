"""The bounds of fetching in one process."""

from datetime import timedelta

import pytest

from chassis.runtime.job_queue import Retry
from worker.fetch_bounds import FetchBounds, HostAtLimit
from worker.input_space import InputSpace, OnSize

SLOW = "https://slow.example/clip.mov"


@pytest.fixture
def bounds() -> FetchBounds:
    return FetchBounds(InputSpace(100, 50), per_host=1)


async def fetched(on_size: OnSize) -> str:
    return "file"


async def test_a_host_at_its_limit_postpones_an_attempt_and_does_not_count(bounds: FetchBounds) -> None:
    with bounds.input("prj_a", SLOW), pytest.raises(HostAtLimit) as refused:
        bounds.input("prj_a", "https://SLOW.example.:443/other.mov").__enter__()
    outcome = refused.value.retry()
    assert isinstance(outcome, Retry) and not outcome.counts and outcome.fault is None
    assert outcome.delay > timedelta(0)


async def test_other_hosts_and_stored_objects_are_not_delayed(bounds: FetchBounds) -> None:
    with bounds.input("prj_a", SLOW), bounds.input("prj_a", "https://quick.example/a"), bounds.input("prj_a", None):
        pass


async def test_a_project_that_fills_a_host_does_not_keep_another_from_it(bounds: FetchBounds) -> None:
    with bounds.input("prj_a", SLOW), bounds.input("prj_b", SLOW):
        pass


async def test_a_host_is_free_once_the_input_is_fetched_though_it_is_still_worked_on(bounds: FetchBounds) -> None:
    with bounds.input("prj_a", SLOW) as place:
        assert await place.fetch(fetched) == "file"
        with bounds.input("prj_a", SLOW):
            pass


async def test_a_host_is_free_after_an_attempt_that_was_stopped(bounds: FetchBounds) -> None:
    with pytest.raises(RuntimeError), bounds.input("prj_a", SLOW):
        raise RuntimeError
    with bounds.input("prj_a", SLOW):
        pass
