"""Alive, and ready: two questions."""

import asyncio

import pytest

from chassis.adapters.http import health
from chassis.adapters.http.health import CACHE_SECONDS, Readiness, State, public_message
from tests.chassis.adapters.http.harness import Small, serving


class Dependency:
    """Something that may be away."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
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


async def test_the_body_says_which_check_fails_and_which_service_is_still_coming_up() -> None:
    apps = [Small(name="a", checks={"postgres": Dependency(ConnectionRefusedError("x"))}), Small(name="b")]
    async with serving(*apps, state=State(running={"a"})) as client, client.get("/readyz") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert await response.json() == {
            "status": "not ready",
            "checks": [
                {"name": "a.postgres", "state": "failed", "message": "cannot be reached"},
                {"name": "b", "state": "starting", "message": "has not come up yet"},
            ],
        }


async def test_a_check_that_hangs_fails_and_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT_SECONDS", 0.05)

    async def hangs() -> None:
        await asyncio.Event().wait()

    app = Small(name="a", checks={"kafka": hangs, "postgres": Dependency()})
    ready, body = await Readiness([app], State(running={"a"})).report()
    assert not ready
    assert [check["state"] for check in body["checks"]] == ["failed", "ok"]
    assert body["checks"][0]["message"] == "no answer within 0.05 s"


async def test_answers_are_remembered_for_a_second_and_asked_for_once_at_a_time() -> None:
    now = 0.0
    dependency = Dependency()
    readiness = Readiness([Small(name="a", checks={"x": dependency})], State(running={"a"}), clock=lambda: now)
    await asyncio.gather(*(readiness.report() for _ in range(20)))
    assert dependency.asked == 1
    dependency.error = OSError()
    assert (await readiness.report())[0]
    now += CACHE_SECONDS
    assert not (await readiness.report())[0]


async def test_a_process_on_its_way_out_is_not_ready() -> None:
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


def test_messages_stay_sentences() -> None:
    assert public_message(RuntimeError("no partitions assigned yet\nmore")) == "no partitions assigned yet"
    assert public_message(RuntimeError()) == "RuntimeError"
    assert public_message(ConnectionRefusedError("10.0.0.1")) == "cannot be reached"
    assert len(public_message(RuntimeError("x" * 1000))) == 200
