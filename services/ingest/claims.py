"""What makes a request happen once: an Idempotency-Key over HTTP, a submission's id over Kafka. Pure.

The rule itself is the primary key of the table `claims`; nothing here looks up before it inserts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

import orjson

from schemas.explain import render_value
from schemas.faults import FieldFault
from schemas.ids import minted_at_ms

MAX_KEY_CHARS = 255
KEY_LIFETIME = timedelta(hours=24)
"""Published with the API: after it the same key is a new one."""
SUBMISSION_LIFETIME = timedelta(days=14)
"""Twice as long as the topics keep a submission, so that no redelivery finds its claim gone."""


@dataclass(frozen=True)
class Claim:
    """One request's right to happen: unique by (project, scope, key) until `expires_at` (Unix milliseconds)."""

    scope: str
    key: str
    fingerprint: bytes
    expires_at: int


@dataclass(frozen=True)
class Claimed:
    """A claim as it was found: by whom it was made, and the answer that was given, if it was."""

    fingerprint: bytes
    resource_id: str
    response: bytes | None

    @property
    def created_at(self) -> int:
        """Unix milliseconds: the resource was minted with the claim."""
        return minted_at_ms(self.resource_id)


class BadKey(ValueError):
    """The header Idempotency-Key is not usable."""

    def __init__(self, rule: str, value: str) -> None:
        super().__init__(rule)
        self.fault = FieldFault(field="Idempotency-Key", rule=rule, value=render_value(value))


def key_of(headers: Sequence[str]) -> str | None:
    """The key in the values of the header `Idempotency-Key`, bare or as a quoted string; None without one.

    Raises BadKey. `"abc"` and `abc` are the same key (RFC 8941 strings and the usual practice).
    """
    if not headers:
        return None
    if len(headers) > 1:
        raise BadKey("must be given once", ", ".join(headers))
    key = headers[0].strip()
    if len(key) >= 2 and key.startswith('"') and key.endswith('"'):
        key = key[1:-1]
    if not 1 <= len(key) <= MAX_KEY_CHARS:
        raise BadKey(f"must have 1 to {MAX_KEY_CHARS} characters", key)
    if not key.isascii() or not key.isprintable():
        raise BadKey("must be printable ASCII", key)
    return key


def usable(id: str) -> bool:
    """Whether a submission's id can be kept: Postgres takes no U+0000, and an index no row of any length."""
    return 1 <= len(id) <= MAX_KEY_CHARS and id.isprintable()


def fingerprint(data: Any) -> bytes:
    """SHA-256 of the canonical body: the order of fields and the white space do not matter."""
    return sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).digest()


def by_key(path: str, key: str, data: Any, now_ms: int) -> Claim:
    """The claim of an HTTP request."""
    return Claim(path, key, fingerprint(data), now_ms + KEY_LIFETIME // timedelta(milliseconds=1))


def by_submission(topic: str, id: str, now_ms: int) -> Claim:
    """The claim of a submission: its id alone decides, whatever its body says the second time."""
    return Claim(topic, id, b"", now_ms + SUBMISSION_LIFETIME // timedelta(milliseconds=1))
