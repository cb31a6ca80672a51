"""A full disk is waited for; whatever does not pass by itself is not."""

import errno
from datetime import timedelta

import pytest

from chassis.adapters.storage import StorageFull
from worker import room
from worker.room import with_room


class Step:
    """Fails with `error` so many times, then returns."""

    def __init__(self, error: Exception, failures: int) -> None:
        self.error = error
        self.failures = failures
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FIRST_PAUSE_SECONDS", 0.001)


@pytest.mark.parametrize("error", [StorageFull("full"), OSError(errno.ENOSPC, "no space")])
async def test_a_full_disk_is_waited_for(error: Exception) -> None:
    step = Step(error, 3)
    assert (await with_room(step), step.calls) == ("done", 4)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "denied"), ValueError("wrong")])
async def test_other_errors_are_raised_at_once(error: Exception) -> None:
    step = Step(error, 1)
    with pytest.raises(type(error)):
        await with_room(step)
    assert step.calls == 1


async def test_patience_ends() -> None:
    with pytest.raises(StorageFull):
        await with_room(Step(StorageFull("full"), 1000), patience=timedelta(milliseconds=20))
