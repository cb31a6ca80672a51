"""Ids as TypeID 0.3: a prefix, `_`, and a UUIDv7 in 26 characters of lower-case Crockford base32.

They hold their time of creation, so that the catalog can tell a new id from a wrong one. Clock and random bytes are
arguments; `chassis.core.ids.new_id` supplies them. Format: the TypeID specification 0.3.0 and RFC 9562, section 5.7.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Literal
from uuid import UUID

Prefix = Literal["job", "task", "med", "file", "key", "prj", "org", "req", "evt", "msg", "upl", "conn"]

LOG_FIELDS: Mapping[str, str] = {
    "job": "job_id",
    "task": "job_id",
    "med": "media_id",
    "msg": "webhook_delivery_id",
    "upl": "upload_id",
}
"""The field under which log lines name an id, by its prefix: a job made by `POST /tasks` is a job as well."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# Every request makes several ids, so both directions use tables: to text two characters (10 bits) at a time, and back
# as a number to base 32, for which Python's own digits are the same up to 9 and then run from "a" to "v".
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_DIGITS = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_TIME_CHARS = 10
_SUFFIX = re.compile(f"[0-7][{_ALPHABET}]{{25}}")


class InvalidId(ValueError):
    """The text is not an id of the form `<prefix>_<26 characters>`."""


def uuid7(now_ms: int, random: bytes) -> UUID:
    """A UUIDv7 from Unix milliseconds and 10 random bytes, of which 74 bits are used."""
    if len(random) != 10:
        raise ValueError(f"uuid7 needs 10 random bytes, not {len(random)}")
    number = now_ms << 80 | int.from_bytes(random, "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)


def mint(prefix: Prefix, now_ms: int, random: bytes) -> str:
    """The text of `typeid(prefix, uuid7(now_ms, random))`, made in a third of the time."""
    return f"{prefix}_{_time_text(now_ms)}{_random_text(random)}"


def typeid(prefix: Prefix, uuid: UUID) -> str:
    """The id's text, for example `job_01h455vb4pex5vsknk084sn02q`."""
    number = uuid.int
    return f"{prefix}_" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def parse(text: str) -> tuple[str, UUID]:
    """The prefix and the UUID of an id, or `InvalidId`."""
    prefix, _, suffix = text.rpartition("_")
    if not prefix or not _SUFFIX.fullmatch(suffix):
        raise InvalidId(f"{text!r} is not an id")
    return prefix, UUID(int=int(suffix.translate(_DIGITS), 32))


def is_id(text: str, *prefixes: Prefix) -> bool:
    """Whether `text` is a well-formed id with one of these prefixes."""
    # Not by `parse`: every record of Kafka is checked, and the number is not needed.
    prefix, _, suffix = text.rpartition("_")
    return prefix in prefixes and _SUFFIX.fullmatch(suffix) is not None


def log_field(id: str) -> str:
    """The log field for an id: `job_id`, `media_id`, `webhook_delivery_id`, or `item_id` for any other text."""
    return LOG_FIELDS.get(id.rpartition("_")[0], "item_id")


def minted_at_ms(text: str) -> int:
    """The Unix milliseconds at which the id was made."""
    return parse(text)[1].int >> 80


def derived(prefix: Prefix, parent: str, name: str) -> str:
    """An id computed from another id and a name: the same each time, with the time of its parent."""
    _, _, suffix = parent.rpartition("_")
    if not _SUFFIX.fullmatch(suffix):
        raise InvalidId(f"{parent!r} is not an id")
    return f"{prefix}_{suffix[:_TIME_CHARS]}{_random_text(sha256(f'{parent}/{name}'.encode()).digest()[:10])}"


@lru_cache(maxsize=64)
def _time_text(ms: int) -> str:
    """The first 50 bits of an id: two zeros and the 48 of its time."""
    return "".join([_PAIRS[ms >> shift & 1023] for shift in range(40, -1, -10)])


def _random_text(random: bytes) -> str:
    """The last 80 bits of an id: those of `random` with version and variant."""
    if len(random) != 10:
        raise ValueError(f"an id needs 10 random bytes, not {len(random)}")
    bits = int.from_bytes(random, "big") & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return (
        f"{_PAIRS[bits >> 70]}{_PAIRS[bits >> 60 & 1023]}{_PAIRS[bits >> 50 & 1023]}{_PAIRS[bits >> 40 & 1023]}"
        f"{_PAIRS[bits >> 30 & 1023]}{_PAIRS[bits >> 20 & 1023]}{_PAIRS[bits >> 10 & 1023]}{_PAIRS[bits & 1023]}"
    )
