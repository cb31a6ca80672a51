"""API keys: their text (pure), and what services store and publish of them, which is only a hash.

Format: `ittybit_live_`, 32 characters of base62, a checksum of 6. 32 characters of base62 are 190 random bits, so that
a plain SHA-256 is safe to store. The checksum is the CRC-32 of everything before it, in base62: a mistyped key is
refused without a look-up, and secret scanners find real keys only.
"""

import json
import re
import zlib
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from schemas.base import EventModel
from schemas.ids import is_id
from schemas.storable import MAX_TIMESTAMP_MS, IdText, StoredText, TimestampMs

KEY_PREFIX = "ittybit_live_"
BODY_CHARS = 32
CHECKSUM_CHARS = 6
RANDOM_BYTES = 24
"""192 bits: the least whole number of bytes that covers 32 characters of base62 (190.5 bits)."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(rf"{KEY_PREFIX}[0-9A-Za-z]{{{BODY_CHARS + CHECKSUM_CHARS}}}", re.ASCII)
_HINT_CHARS = 4


class ApiKey(EventModel):
    """`hash` is the hex SHA-256 of the whole key text; keys have 190 random bits, so a slow hash adds nothing."""

    id: IdText
    project: IdText
    name: StoredText
    hash: IdText
    hint: StoredText
    """The last characters before the checksum, so that people can tell keys apart."""
    created_at: TimestampMs
    revoked_at: TimestampMs | None = None


REVOKED_CHANNEL = "bitmill_keys_revoked"
"""The channel of Postgres on which revocations are announced: all services use the same database."""


class Revocation(NamedTuple):
    """A key was revoked; `revoked_at` in Unix milliseconds."""

    key_id: str
    revoked_at: int


class InvalidRevocations(ValueError):
    """A message of the channel that is not what `revocations_text` gives."""


def revocations_text(revocations: Sequence[Revocation]) -> str:
    """Revocations as a message of the channel: `[["key_…", 1700000000000], …]`."""
    return json.dumps([list(each) for each in revocations], separators=(",", ":"))


def parse_revocations(text: str) -> list[Revocation]:
    """The revocations of a message. Raises InvalidRevocations."""
    try:
        found = [Revocation(str(id), int(at)) for id, at in json.loads(text)]
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRevocations(f"not a list of revocations: {type(error).__name__}") from None
    if not all(is_id(each.key_id, "key") and 0 <= each.revoked_at <= MAX_TIMESTAMP_MS for each in found):
        raise InvalidRevocations("not the ids of keys with times")
    return found


def generate(random: bytes) -> str:
    """A new key's text from 24 random bytes. It is shown once; only its `hash_key` is stored."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key needs {RANDOM_BYTES} random bytes, not {len(random)}")
    body = KEY_PREFIX + _base62(int.from_bytes(random, "big") % 62**BODY_CHARS, BODY_CHARS)
    return body + _checksum(body)


def well_formed(text: str) -> bool:
    """Whether the text has the shape of a key and its checksum holds. Says nothing about whether it exists."""
    return _SHAPE.fullmatch(text) is not None and _checksum(text[:-CHECKSUM_CHARS]) == text[-CHECKSUM_CHARS:]


def hash_key(text: str) -> str:
    """The hex SHA-256 under which a key is stored and looked up."""
    return sha256(text.encode()).hexdigest()


def hint(text: str) -> str:
    """The last characters before the checksum: enough to tell keys apart, too few to guess the rest."""
    return text[-CHECKSUM_CHARS - _HINT_CHARS : -CHECKSUM_CHARS]


def _checksum(body: str) -> str:
    # 62**6 > 2**32: six characters hold every CRC-32.
    return _base62(zlib.crc32(body.encode()), CHECKSUM_CHARS)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
