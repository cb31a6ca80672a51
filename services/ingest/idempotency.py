"""Idempotency: an Idempotency-Key over HTTP, or the id of a submission over Kafka, makes a request take effect once.

The rule is the primary key of the table `idempotency_keys`: a key is inserted without a look-up before.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, Protocol

import orjson

from schemas.explain import render_value
from schemas.faults import FieldFault
from schemas.ids import minted_at_ms
from schemas.media import MediaItem
from services.ingest.errors import idempotency_mismatch, request_in_progress

MAX_KEY_CHARS = 255
KEY_LIFETIME = timedelta(hours=24)
"""Published with the API: afterwards the same key counts as a new one."""
SUBMISSION_LIFETIME = timedelta(days=14)
"""Twice the retention of the topics, so that no redelivery comes after its key has expired."""
RESPONSE_GRACE = timedelta(seconds=2)
"""Beyond the wait of POST /media: a first request without a response by then was interrupted."""


@dataclass(frozen=True)
class IdempotencyKey:
    """Unique by (project, scope, key) until `expires_at`, in Unix milliseconds. The scope is a path or a topic."""

    scope: str
    key: str
    fingerprint: bytes
    expires_at: int


@dataclass(frozen=True)
class StoredResponse:
    """The row of a key that was used before. `response` is None until the first request has its response."""

    fingerprint: bytes
    resource_id: str
    response: bytes | None

    @property
    def created_at(self) -> int:
        """Unix milliseconds: the resource's id was minted for the first request."""
        return minted_at_ms(self.resource_id)


class InvalidIdempotencyKey(ValueError):
    """The header Idempotency-Key breaks a rule."""

    def __init__(self, rule: str, value: str) -> None:
        super().__init__(rule)
        self.fault = FieldFault(field="Idempotency-Key", rule=rule, value=render_value(value))


def key_from_headers(headers: Sequence[str]) -> str | None:
    """The key in the values of the header `Idempotency-Key`, as it is or as a quoted string; None without the header.

    `"abc"` and `abc` are the same key (RFC 8941 strings, and common practice). Raises InvalidIdempotencyKey.
    """
    if not headers:
        return None
    if len(headers) > 1:
        raise InvalidIdempotencyKey("must be given once", ", ".join(headers))
    key = headers[0].strip()
    if len(key) >= 2 and key.startswith('"') and key.endswith('"'):
        key = key[1:-1]
    if not 1 <= len(key) <= MAX_KEY_CHARS:
        raise InvalidIdempotencyKey(f"must have 1 to {MAX_KEY_CHARS} characters", key)
    if not key.isascii() or not key.isprintable():
        raise InvalidIdempotencyKey("must be printable ASCII", key)
    return key


def is_storable(submission_id: str) -> bool:
    """Whether a submission's id fits the table: Postgres refuses U+0000, and an index entry its length."""
    return 1 <= len(submission_id) <= MAX_KEY_CHARS and submission_id.isprintable()


def fingerprint(data: Any) -> bytes:
    """SHA-256 of the canonical body: the order of fields and white space make no difference."""
    try:
        canonical = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # A lone surrogate, or an integer of more than 64 bits: the body is refused, but by its own rules.
        canonical = json.dumps(data, sort_keys=True).encode()
    return sha256(canonical).digest()


def request_key(path: str, key: str, data: Any, now_ms: int) -> IdempotencyKey:
    """The key of an HTTP request."""
    return IdempotencyKey(path, key, fingerprint(data), now_ms + KEY_LIFETIME // timedelta(milliseconds=1))


def submission_key(topic: str, id: str, now_ms: int) -> IdempotencyKey:
    """The key of a submission: its id alone decides, whatever the body of a repetition is."""
    return IdempotencyKey(topic, id, b"", now_ms + SUBMISSION_LIFETIME // timedelta(milliseconds=1))


class ResponseStore(Protocol):
    """The part of `services.ingest.store.Store` that replays need."""

    async def stored_response(self, project: str, key: IdempotencyKey) -> StoredResponse | None: ...

    async def keep_response(self, project: str, key: IdempotencyKey, resource_id: str, response: bytes) -> bytes: ...

    async def media_item(self, id: str) -> MediaItem | None: ...


@dataclass(frozen=True)
class IdempotentResponses:
    """The responses to repeated requests. `media_wait`: how long a first POST /media may take.

    The methods raise ApiError 409 while the first request is in progress, 422 where the body differs from its body.
    """

    store: ResponseStore
    media_wait: timedelta

    async def replay_job(self, key: IdempotencyKey, project: str) -> bytes:
        """The response to the first POST /jobs."""
        found = await self._find(key, project)
        if found.response is None:
            raise request_in_progress()
        return found.response

    async def replay_media(
        self, key: IdempotencyKey, project: str, render: Callable[[MediaItem], bytes], now_ms: int
    ) -> bytes:
        """The response to the first POST /media.

        If the process that handled it ended before it responded, the response shows the item as it is now.
        """
        found = await self._find(key, project)
        if found.response is not None:
            return found.response
        item = await self.store.media_item(found.resource_id)
        elapsed = timedelta(milliseconds=now_ms - found.created_at)
        if item is None or (item.status == "processing" and abs(elapsed) < self.media_wait + RESPONSE_GRACE):
            raise request_in_progress()
        return await self.keep(key, project, found.resource_id, render(item))

    async def is_known(self, key: IdempotencyKey, project: str) -> bool:
        """Whether the key was used before."""
        return await self.store.stored_response(project, key) is not None

    async def keep(self, key: IdempotencyKey, project: str, resource_id: str, response: bytes) -> bytes:
        """Stores a response for repetitions; returns the stored one, which is the first."""
        return await self.store.keep_response(project, key, resource_id, response)

    async def _find(self, key: IdempotencyKey, project: str) -> StoredResponse:
        found = await self.store.stored_response(project, key)
        if found is None:
            # It expired between our insert and this query: the next request with it is a first one.
            raise request_in_progress()
        if found.fingerprint != key.fingerprint:
            raise idempotency_mismatch()
        return found
