"""Ids as TypeID 0.3: a prefix, `_`, and a UUIDv7 in 26 characters of lower-case Crockford base32.

Time-ordered, so that the catalog can tell a young id from an unknown one. The clock and the randomness come in as
arguments; `chassis.ids.new_id` supplies them. Format: the TypeID specification 0.3.0 and RFC 9562, section 5.7.
"""

from hashlib import sha256
from typing import Literal, get_args
from uuid import UUID

Prefix = Literal["job", "task", "med", "file", "key", "prj", "org", "req", "evt", "msg"]
PREFIXES: frozenset[str] = frozenset(get_args(Prefix))

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {char: value for value, char in enumerate(_ALPHABET)}


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


def typeid(prefix: Prefix, uuid: UUID) -> str:
    """The id's text, for example `job_01h455vb4pex5vsknk084sn02q`."""
    number = uuid.int
    return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def parse(text: str) -> tuple[str, UUID]:
    """The prefix and the UUID of an id, or `InvalidId`."""
    prefix, _, suffix = text.rpartition("_")
    if not prefix or len(suffix) != 26 or suffix[0] > "7" or any(char not in _VALUES for char in suffix):
        raise InvalidId(f"{text!r} is not an id")
    number = 0
    for char in suffix:
        number = number << 5 | _VALUES[char]
    return prefix, UUID(int=number)


def is_id(text: str, *prefixes: Prefix) -> bool:
    """Whether `text` is a well-formed id with one of these prefixes."""
    try:
        prefix, _ = parse(text)
    except InvalidId:
        return False
    return prefix in prefixes


def minted_at_ms(text: str) -> int:
    """The Unix milliseconds at which the id was minted."""
    return parse(text)[1].int >> 80


def derived(prefix: Prefix, parent: str, name: str) -> str:
    """An id that follows from another id and a name: the same each time, dated like its parent."""
    return typeid(prefix, uuid7(minted_at_ms(parent), sha256(f"{parent}/{name}".encode()).digest()[:10]))
