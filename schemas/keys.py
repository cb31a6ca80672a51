"""API keys as services tell each other of them: never the key, only its hash."""

from schemas.base import Record


class ApiKey(Record):
    """`hash` is the hex SHA-256 of the whole key text; keys have 190 random bits, so a slow hash adds nothing."""

    id: str
    project: str
    name: str
    hash: str
    hint: str
    """The last characters before the checksum, so that people can tell keys apart."""
    created_at: int
    revoked_at: int | None = None
