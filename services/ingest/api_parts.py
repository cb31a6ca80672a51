"""What the HTTP handlers of ingest share: their collaborators, idempotency keys, the bound of unfinished work."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.http.auth import Caller
from chassis.adapters.http.errors import invalid_input
from chassis.adapters.http.rate_limit import RateLimit
from chassis.core.encryption import Keyring
from schemas.delivery import DeliverySigner
from schemas.explain import render_value
from schemas.faults import FieldFault
from schemas.keys import ApiKey
from schemas.projects import Project
from services.ingest import idempotency
from services.ingest.cancellations import Cancellations
from services.ingest.connections import Connections
from services.ingest.errors import queue_full
from services.ingest.idempotency import IdempotencyKey, IdempotentResponses
from services.ingest.import_waiter import CatalogVisibility, ImportWaiter
from services.ingest.job_purges import JobPurges
from services.ingest.job_stores import JobStores
from services.ingest.jobs import JobWriter
from services.ingest.media_changes import MediaChanges
from services.ingest.media_items import MediaWriter
from services.ingest.project_limits import ProjectLimits
from services.ingest.queue_bounds import QueueBound, QueueFull
from services.ingest.retries import Retries
from services.ingest.upload_inputs import UploadInputs
from services.ingest.uploads import Uploads

REPLAYED = {"Idempotent-Replayed": "true"}


@dataclass(frozen=True)
class ApiParts:
    """What the handlers use. `public_base` is the API's public address; `signer` gives the addresses of files.

    `find_key` gives the API key with a hash, `find_project` the project with an id. `keyring` encrypts addresses.
    """

    jobs: JobWriter
    media: MediaWriter
    changes: MediaChanges
    cancellations: Cancellations
    retries: Retries
    purges: JobPurges
    job_bound: QueueBound
    media_bound: QueueBound
    uploads: Uploads
    upload_bound: QueueBound
    upload_inputs: UploadInputs
    responses: IdempotentResponses
    waiter: ImportWaiter
    visibility: CatalogVisibility
    egress: EgressPolicy
    public_base: str
    signer: DeliverySigner
    keyring: Keyring | None
    connections: Connections
    job_stores: JobStores
    find_key: Callable[[str], Awaitable[ApiKey | None]]
    find_project: Callable[[str], Awaitable[Project | None]]
    limits: ProjectLimits
    rate_limit: RateLimit

    async def count(self, caller: Caller, number: int = 1) -> Mapping[str, str]:
        """Counts requests of a caller; the header fields that say what is left. Raises ApiError 429."""
        return await self.rate_limit.count(await self.limits.quotas(caller), number)

    async def admit(self, bound: QueueBound, project: str, key: IdempotencyKey | None) -> None:
        """ApiError 429 where the project has too much unfinished work, unless it repeats a request."""
        try:
            await bound.admit(project)
        except QueueFull as full:
            if key is None or not await self.responses.is_known(key, project):
                raise queue_full(full) from None


def idempotency_key(request: web.Request, data: object, at: int) -> IdempotencyKey | None:
    """The key in the header Idempotency-Key, if there is one. ApiError 400 where it is invalid."""
    key = _key_text(request)
    return None if key is None else idempotency.request_key(request.path, key, data, at)


def idempotency_keys(request: web.Request, bodies: Sequence[object], at: int) -> list[IdempotencyKey | None]:
    """As `idempotency_key`, one for each body by its place."""
    key = _key_text(request)
    if key is None:
        return [None] * len(bodies)
    return [idempotency.request_key(f"{request.path}/{place}", key, data, at) for place, data in enumerate(bodies)]


def _key_text(request: web.Request) -> str | None:
    try:
        return idempotency.key_from_headers(request.headers.getall("Idempotency-Key", []))
    except idempotency.InvalidIdempotencyKey as error:
        raise invalid_input([error.fault]) from None


def wants_purge(request: web.Request) -> bool:
    """Whether the query says `purge=true`. ApiError 400 for anything but true and false."""
    text = request.query.get("purge", "false")
    if text not in ("true", "false"):
        fault = FieldFault(field="purge", rule="must be true or false", value=render_value(text))
        raise invalid_input([fault])
    return text == "true"


def json_answer(body: bytes, status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
