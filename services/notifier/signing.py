"""The signature headers of a webhook (pure): Standard Webhooks 1.0.0, and the older `Ittybit-Signature`."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from hmac import digest as hmac_digest

SECRET_PREFIX = "whsec_"  # noqa: S105  the published prefix of such secrets, not one of them
MIN_KEY_BYTES = 24
MAX_KEY_BYTES = 64
"""Bounds of the decoded key, from Standard Webhooks 1.0.0, "Signature scheme"."""


class InvalidSecret(ValueError):
    """The webhook secret is empty, or starts with whsec_ and is not base64 of 24 to 64 bytes."""


def hmac_key(secret: str) -> bytes:
    """The HMAC key of a secret: the base64 after `whsec_`, decoded; of any other text, its UTF-8 bytes.

    Raises `InvalidSecret`.
    """
    if not secret:
        raise InvalidSecret("must not be empty")
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    encoded = secret.removeprefix(SECRET_PREFIX)
    try:
        # Verifiers accept secrets without padding, so those must give the same key here.
        key = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except Base64Error:
        raise InvalidSecret("must be base64 after whsec_") from None
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise InvalidSecret(f"must be {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes as base64 after whsec_, is {len(key)}")
    return key


def standard_signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64>`: HMAC-SHA256 over `id.timestamp.body`.

    Raises ValueError where the id contains a dot: the parts are joined by dots, and `a.1` + `2` would have the
    signature of `a` + `1.2`.
    """
    if "." in message_id:
        raise ValueError(f"a webhook id must not contain a dot: {message_id!r}")
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + b64encode(hmac_digest(key, signed, "sha256")).decode()


def body_signature(secret: str, body: bytes) -> str:
    """`Ittybit-Signature`: hex HMAC-SHA256 of the raw body, keyed by the secret exactly as it is printed."""
    return hmac_digest(secret.encode(), body, "sha256").hex()


def signed_headers(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The four headers by which a receiver verifies a delivery; `timestamp` in whole Unix seconds.

    `secrets` has the newest first, and after a rotation the ones that it replaces. `webhook-signature` has a signature
    of each. `Ittybit-Signature` has room for one and is that of the oldest: a receiver that knows only the old secret
    goes on working until the overlap ends.
    """
    signatures = [standard_signature(hmac_key(secret), message_id, timestamp, body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
        "Ittybit-Signature": body_signature(secrets[-1], body),
    }
