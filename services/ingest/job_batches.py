"""POST /jobs/batch: up to 100 bodies of POST /jobs in one request, each answered on its own."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from chassis.adapters.failure_policy import describe, is_outage
from chassis.adapters.http.auth import Caller, KeyStore, authenticated
from chassis.adapters.http.errors import ApiError, internal_error, invalid_input, unavailable
from chassis.adapters.http.json_body import json_bytes, read_json
from chassis.adapters.http.middleware import REQUEST_ID
from chassis.adapters.http.rate_limit import RATE_HEADERS
from chassis.core import logs
from chassis.core.ids import now_ms
from schemas.faults import error_resource
from services.ingest.api_parts import ApiParts, idempotency_keys, json_answer
from services.ingest.idempotency import IdempotencyKey
from services.ingest.job_acceptance import accept_job

MAX_BATCH = 100
AT_A_TIME = 8
"""Bodies that are stored at a time where each needs a transaction of its own, for its idempotency key."""

log = logs.get_logger(__name__)


class JobBatchApi:
    """The handler. `parts` is called at each request, because routes are declared before the service is open."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self._parts = parts

    def routes(self, keys: KeyStore) -> list[web.RouteDef]:
        return [web.post("/jobs/batch", authenticated(keys, self.create_jobs))]

    async def create_jobs(self, request: web.Request, caller: Caller) -> web.Response:
        """POST /jobs/batch."""
        bodies = _bodies(await read_json(request))
        if len(bodies) > 1:
            # The request itself is counted: a batch costs as much as its bodies alone would.
            request[RATE_HEADERS] = {**await self._parts().count(caller, len(bodies) - 1)}
        at = now_ms()
        keys = idempotency_keys(request, bodies, at)
        # Without keys all of them share one statement.
        slots = asyncio.Semaphore(AT_A_TIME if keys[0] is not None else MAX_BATCH)

        async def answer(data: Any, key: IdempotencyKey | None) -> dict[str, Any]:
            # A task has a context of its own, with the job's id in its log lines.
            async with slots:
                return await _answer(self._parts(), request, caller.project, data, key, at)

        answers = await asyncio.gather(*(answer(*each) for each in zip(bodies, keys, strict=True)))
        return json_answer(json_bytes(answers), 200)


def _bodies(data: Any) -> list[Any]:
    if not isinstance(data, list) or not 1 <= len(data) <= MAX_BATCH:
        found = f"has {len(data)}" if isinstance(data, list) else "is none"
        raise invalid_input(f"body must be a list of 1 to {MAX_BATCH} bodies of POST /jobs; it {found}")
    return data


async def _answer(
    parts: ApiParts, request: web.Request, project: str, data: Any, key: IdempotencyKey | None, at: int
) -> dict[str, Any]:
    """As POST /jobs alone would have answered this body: `BatchAnswer` in schemas.job_resource."""
    try:
        accepted = await accept_job(parts, data, project=project, prefix="job", key=key, at=at)
    except ApiError as refused:
        error = refused
    except Exception as raised:
        # The other bodies are answered all the same: who sent them has to know which are accepted.
        if is_outage(raised):
            log.warning("job_batch_outage", error=describe(raised))
            error = unavailable()
        else:
            log.exception("job_batch_failed")
            error = internal_error()
    else:
        return {"status": accepted.status, "body": orjson.Fragment(accepted.body)}
    return {
        "status": error.status,
        "body": error_resource(error.kind, error.message, error.faults, request[REQUEST_ID]),
    }
