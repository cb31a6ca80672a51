"""`/livez` and `/readyz`."""

import asyncio
from time import process_time

import pytest

from chassis.adapters.http.health import CACHE_SECONDS, FAILURE_CACHE_SECONDS, Readiness, State, public_message
from chassis.adapters.postgres import PostgresUnavailable
from tests.chassis.adapters.http.small_service import Small, serving


class Dependency:
    """A dependency that works unless `error` is set."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.checked = 0

    async def __call__(self) -> None:
        self.checked += 1
        if self.error is not None:
            raise self.error


async def test_alive_does_not_depend_on_anything() -> None:
    app = Small(checks={"postgres": Dependency(OSError())})
    async with serving(app, state=State()) as client, client.get("/livez") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_ready_when_every_check_of_every_service_passes() -> None:
    apps = [Small(name="a", checks={"postgres": Dependency(), "kafka": Dependency()}), Small(name="b")]
    async with serving(*apps) as client, client.get("/readyz") as response:
        assert response.status == 200
        assert await response.json() == {
            "status": "ready",
            "checks": [{"name": "a.postgres", "state": "ok"}, {"name": "a.kafka", "state": "ok"}],
        }


async def test_the_body_says_which_check_fails_and_which_service_is_still_starting() -> None:
    apps = [Small(name="a", checks={"postgres": Dependency(ConnectionRefusedError("x"))}), Small(name="b")]
    async with serving(*apps, state=State(running={"a"})) as client, client.get("/readyz") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert await response.json() == {
            "status": "not ready",
            "checks": [
                {"name": "a.postgres", "state": "failed", "message": "cannot be reached"},
                {"name": "b", "state": "starting", "message": "has not started yet"},
            ],
        }


async def test_a_check_that_hangs_fails_and_delays_no_other() -> None:

    async def hangs() -> None:
        await asyncio.Event().wait()

    app = Small(name="a", checks={"kafka": hangs, "postgres": Dependency()})
    ready, body = await Readiness([app], State(running={"a"}), check_timeout_s=0.05).report()
    assert not ready
    assert [check["state"] for check in body["checks"]] == ["failed", "ok"]
    assert body["checks"][0]["message"] == "no answer within 0.05 s"


async def test_results_are_cached_for_a_second_and_concurrent_requests_share_one_run() -> None:
    now = 0.0
    dependency = Dependency()
    readiness = Readiness([Small(name="a", checks={"x": dependency})], State(running={"a"}), clock=lambda: now)
    await asyncio.gather(*(readiness.report() for _ in range(20)))
    assert dependency.checked == 1
    dependency.error = OSError()
    assert (await readiness.report())[0]
    now += CACHE_SECONDS
    assert not (await readiness.report())[0]
    dependency.error = None
    assert not (await readiness.report())[0]
    now += FAILURE_CACHE_SECONDS
    assert (await readiness.report())[0]


async def test_a_stopping_process_is_not_ready() -> None:
    state = State(running={"a"})
    readiness = Readiness([Small(name="a", checks={"x": Dependency()})], state)
    assert (await readiness.report())[0]
    state.stopping = True
    ready, body = await readiness.report()
    assert (ready, body["status"]) == (False, "stopping")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "no route to db.internal:5432",
            "postgresql://user:hunter2@db.internal/x",
            "10.1.2.3 refused",
            "fd00::12 refused",
        ),
        *("('10.1.2.3', 5432) refused", "cannot open /var/lib/bitmill/x", "password=hunter2 wrong", "token: hunter2"),
        "s3://bucket/hunter2?key=hunter2",
    ],
)
def test_messages_tell_no_hosts_paths_or_secrets(text: str) -> None:
    shown = public_message(RuntimeError(text))
    for secret in ("internal", "hunter2", "10.1.2.3", "fd00", "/var", "5432", "bucket"):
        assert secret not in shown


async def test_a_check_may_return_details() -> None:
    async def lag() -> dict[str, int]:
        return {"records": 3}

    _, body = await Readiness([Small(name="a", checks={"kafka": lag})], State(running={"a"})).report()
    assert body["checks"] == [{"name": "a.kafka", "state": "ok", "details": {"records": 3}}]


def test_messages_stay_sentences() -> None:
    assert public_message(RuntimeError("no partitions assigned yet\nmore")) == "no partitions assigned yet"
    assert public_message(RuntimeError()) == "RuntimeError"
    assert public_message(ConnectionRefusedError("10.0.0.1")) == "cannot be reached"
    assert public_message(PostgresUnavailable("Postgres does not answer")) == "Postgres does not answer"
    assert len(public_message(RuntimeError("x" * 1000))) == 200


def test_the_message_of_a_check_is_cleaned_without_long_work() -> None:
    """It may quote what a customer sent, and orchestrators ask every second."""
    started = process_time()
    assert len(public_message(RuntimeError("secret" * 10_000))) <= 200
    assert process_time() - started < 60
