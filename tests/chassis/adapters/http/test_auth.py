"""Authentication by API key."""

import os
from collections.abc import Mapping

import pytest
from aiohttp import web
from structlog.contextvars import get_contextvars

from chassis.adapters.http.auth import CALLER, Caller, authenticated
from chassis.adapters.http.json_body import json_response
from schemas.keys import RANDOM_BYTES, ApiKey, generate, hash_key, hint
from tests.chassis.adapters.http.small_service import Small, error_of, serving


class Keys:
    """A KeyStore in memory, and the hashes that were looked up."""

    def __init__(self, *texts: str, revoked: str | None = None) -> None:
        self.looked_up: list[str] = []
        self.left = 7
        self._keys = {
            hash_key(text): ApiKey(
                id=f"key_{number}",
                project=f"prj_{number}",
                name="",
                hash=hash_key(text),
                hint=hint(text),
                created_at=1,
                revoked_at=2 if text == revoked else None,
            )
            for number, text in enumerate(texts)
        }

    async def count(self, caller: Caller) -> Mapping[str, str]:
        return {"RateLimit": f'"key";r={self.left};t=3'}

    async def find(self, hash: str) -> ApiKey | None:
        self.looked_up.append(hash)
        return self._keys.get(hash)


def new_key() -> str:
    return generate(os.urandom(RANDOM_BYTES))


async def who(request: web.Request, caller: Caller) -> web.Response:
    assert request[CALLER] == caller
    return json_response({"project": caller.project, "key": caller.key_id, "logged": get_contextvars()["project"]})


def service(keys: Keys) -> Small:
    return Small(web.get("/who", authenticated(keys, who)))


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {} "])
async def test_a_key_authenticates_as_its_own_project(form: str) -> None:
    mine, other = new_key(), new_key()
    app, headers = service(Keys(other, mine)), {"Authorization": form.format(mine)}
    async with serving(app) as client, client.get("/who", headers=headers) as response:
        assert await response.json() == {"project": "prj_1", "key": "key_1", "logged": "prj_1"}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}]
)
async def test_a_request_without_a_key_is_401(headers: dict[str, str]) -> None:
    async with serving(service(Keys())) as client:
        status, body, answered = await error_of(client, "GET", "/who", headers=headers)
    assert (status, body["kind"]) == (401, "token_missing")
    assert answered["WWW-Authenticate"] == "Bearer"


async def test_unknown_and_revoked_keys_look_the_same() -> None:
    revoked = new_key()
    async with serving(service(Keys(revoked, revoked=revoked))) as client:
        answers = []
        for key in (new_key(), revoked):
            status, body, headers = await error_of(client, "GET", "/who", headers={"Authorization": f"Bearer {key}"})
            assert (status, body["kind"]) == (401, "token_invalid")
            assert headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            answers.append(body["message"])
            assert key not in str(body)
        assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "header", ["Bearer x", "Bearer ittybit_live_x", "Basic dXNlcjpwYXNz", "ittybit_live_x", "Bearer a b", "Bearer é"]
)
async def test_a_malformed_key_costs_no_look_up(header: str) -> None:
    keys = Keys()
    async with serving(service(keys)) as client:
        status, body, _ = await error_of(client, "GET", "/who", headers={"Authorization": header})
    assert (status, body["kind"]) == (401, "token_invalid")
    assert keys.looked_up == []


async def test_a_mistyped_key_costs_no_look_up() -> None:
    key = new_key()
    keys = Keys(key)
    mistyped = key[:-7] + ("a" if key[-7] != "a" else "b") + key[-6:]
    async with serving(service(keys)) as client:
        status, _, _ = await error_of(client, "GET", "/who", headers={"Authorization": f"Bearer {mistyped}"})
    assert (status, keys.looked_up) == (401, [])


async def test_a_response_says_what_is_left_of_the_quota_of_its_caller() -> None:
    key = new_key()
    async with serving(service(Keys(key))) as client:
        async with client.get("/who", headers={"Authorization": f"Bearer {key}"}) as response:
            assert response.headers["RateLimit"] == '"key";r=7;t=3'
        async with client.get("/who") as response:
            assert "RateLimit" not in response.headers, "nobody is known whose quota it is"
