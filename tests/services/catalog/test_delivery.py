"""Whether the files of a project need a signature: asked for once a second, in the client's turn."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from chassis.adapters.http.errors import ApiError
from chassis.core.encryption import Keyring
from chassis.core.fair_slots import FairSlots
from schemas.delivery import DeliverySigner
from services.catalog.delivery import Delivery

SIGNER = DeliverySigner("https://cdn.example.com", Keyring([b"k" * 32]).derive, timedelta(hours=1))


class Tables:
    """Says that projects that start with `signed` are; each answer waits for `respond`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.asking = 0
        self.most_at_a_time = 0
        self.respond = asyncio.Event()

    async def is_signed(self, project: str) -> bool:
        self.asked.append(project)
        self.asking += 1
        self.most_at_a_time = max(self.most_at_a_time, self.asking)
        await self.respond.wait()
        self.asking -= 1
        return project.startswith("signed")


async def test_requests_for_invented_projects_share_the_queries_of_their_turns() -> None:
    """They would take all connections of the requests of customers otherwise."""
    tables, slots = Tables(), FairSlots(2)
    delivery = Delivery(tables.is_signed, SIGNER)

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        await slots.acquire("client")
        try:
            yield
        finally:
            slots.release("client")

    requests = [asyncio.create_task(delivery.check(f"prj_{n}", "a.mp4", {}, turn())) for n in range(20)]
    while len(tables.asked) < 2:
        await asyncio.sleep(0)
    tables.respond.set()
    assert await asyncio.gather(*requests) == [False] * 20
    assert tables.most_at_a_time == 2


async def test_a_known_mode_needs_no_turn_and_is_asked_for_again_when_it_is_old() -> None:
    tables, now = Tables(), [0.0]
    tables.respond.set()
    delivery = Delivery(tables.is_signed, SIGNER, ttl=1.0, clock=lambda: now[0])

    @asynccontextmanager
    async def no_turn() -> AsyncIterator[None]:
        raise AssertionError("the mode is known")
        yield

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        yield

    assert await delivery.check("prj_a", "a.mp4", {}, turn()) is False
    assert await delivery.check("prj_a", "a.mp4", {}, no_turn()) is False
    now[0] = 1.0
    assert await delivery.check("prj_a", "a.mp4", {}, turn()) is False
    assert tables.asked == ["prj_a", "prj_a"]


async def refusal(delivery: Delivery, project: str, path: str, query: Mapping[str, str]) -> str | None:
    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        yield

    try:
        await delivery.check(project, path, query, turn())
    except ApiError as error:
        return error.kind
    return None


def query_of(url: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in url.partition("?")[2].split("&"))


@pytest.mark.parametrize("expiry", ["", "-1", "+1", " 1", "1_0", "1e9", "٣", "9" * 13, "1.0"])
async def test_only_digits_are_an_expiry(expiry: str) -> None:
    tables = Tables()
    tables.respond.set()
    query = query_of(SIGNER.urls("signed", True).url("signed", "a.mp4")) | {"expiry": expiry}
    assert await refusal(Delivery(tables.is_signed, SIGNER), "signed", "a.mp4", query) == "signature_invalid"


async def test_a_signature_is_for_one_path_of_one_project() -> None:
    tables = Tables()
    tables.respond.set()
    delivery = Delivery(tables.is_signed, SIGNER)
    query = query_of(SIGNER.urls("signed", True).url("signed", "a/b.mp4"))
    assert await refusal(delivery, "signed", "a/b.mp4", query) is None
    for project, path in [
        ("signed", "a/c.mp4"),
        ("signed", "a//b.mp4"),
        ("signed", "a%2Fb.mp4"),
        ("signed", "./a/b.mp4"),
        ("signed", "a/b.mp4/"),
        ("signed", "A/b.mp4"),
        ("signed_too", "a/b.mp4"),
    ]:
        assert await refusal(delivery, project, path, query) == "signature_invalid", path
    assert await refusal(delivery, "signed", "a/b.mp4", query | {"method": "put"}) == "signature_invalid"
