"""Customers cannot find out which names exist in our network: existing and absent ones look the same."""

from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from time import monotonic

import pytest

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.exchange import ResponseLimits
from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.lookups import NameNotFound
from chassis.adapters.egress.policy import EgressPolicy
from services.notifier.sender import Sender
from tests.chassis.adapters.egress.raw_server import raw_server, redirect
from worker.input import fetch_fault

NAMES = ("postgres.internal", "absent.internal", "mixed.example")
NOT_FOUND_S = 0.2


async def resolve(host: str, port: int) -> Sequence[str]:
    match host:
        case "postgres.internal":
            return ["10.0.0.5"]
        case "mixed.example":
            return ["93.184.216.34", "fd00::1"]
        case _:
            raise NameNotFound


def policy() -> EgressPolicy:
    return EgressPolicy([ip_network("127.0.0.0/8")], resolve=resolve, not_found_s=NOT_FOUND_S)


async def error_of(url: str, folder: Path) -> FetchError:
    started = monotonic()
    with pytest.raises(FetchError) as raised:
        await fetch(url, folder / "dest", policy(), FetchLimits(), project="prj_1")
    assert monotonic() - started >= NOT_FOUND_S
    return raised.value


async def test_an_input_of_a_name_in_our_network_fails_like_one_of_no_name(tmp_path: Path) -> None:
    errors = [await error_of(f"http://{name}:8080/clip.mov", tmp_path) for name in NAMES]
    assert len({(str(error), error.retriable, fetch_fault(error)) for error in errors}) == 1
    assert fetch_fault(errors[0]).kind == "input_unreachable"


async def test_a_redirect_to_a_name_in_our_network_fails_like_one_to_no_name(tmp_path: Path) -> None:
    errors = []
    for name in NAMES:
        async with raw_server(redirect(f"http://{name}:8080/")) as server:
            errors.append(await error_of(server.url, tmp_path))
    assert len({(str(error), error.retriable, fetch_fault(error)) for error in errors}) == 1


async def test_a_webhook_to_a_name_in_our_network_fails_like_one_to_no_name() -> None:
    sender = Sender(policy(), ResponseLimits(), deadline_s=60)
    results = [await sender.send(f"http://{name}/", {}, b"{}", project="prj_1") for name in NAMES]
    assert {(result.status, result.error, result.address, result.excerpt) for result in results} == {
        (None, "unreachable", None, b"")
    }
    assert all(result.seconds >= NOT_FOUND_S for result in results)


async def test_the_text_of_an_address_alone_decides_what_is_refused_at_submit() -> None:
    """Names are not looked up then, so that the response cannot tell which exist."""

    async def never(host: str, port: int) -> Sequence[str]:
        raise AssertionError("looked up")

    for name in NAMES:
        EgressPolicy(resolve=never).check_url(f"http://{name}/")
