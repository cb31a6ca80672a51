"""The signature headers of a webhook (pure): Standard Webhooks 1.0.0, and the older `Ittybit-Signature`."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import sha256
from hmac import new as hmac

from services.notifier.errors import BadSecret

SECRET_PREFIX = "whsec_"  # noqa: S105  the published mark of such secrets, not one of them
MIN_KEY_BYTES = 24
MAX_KEY_BYTES = 64
"""Bounds of the decoded key, from Standard Webhooks 1.0.0, "Signature scheme"."""


def key_of(secret: str) -> bytes:
    """The HMAC key of a secret: what `whsec_` stands before, decoded; any other text, its UTF-8 bytes.

    Raises `BadSecret`.
    """
    if not secret:
        raise BadSecret("must not be empty")
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    encoded = secret.removeprefix(SECRET_PREFIX)
    try:
        # Verifiers take unpadded secrets, so they have to mean the same here.
        key = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except Base64Error:
        raise BadSecret("must be base64 behind whsec_") from None
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise BadSecret(f"must be {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes as base64 behind whsec_, is {len(key)}")
    return key


def standard_signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64>`: HMAC-SHA256 over `id.timestamp.body`.

    The id must not contain a dot: the parts are joined by dots, and `a.1` + `2` would sign like `a` + `1.2`.
    """
    if "." in message_id:
        raise ValueError(f"a webhook id must not contain a dot: {message_id!r}")
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + b64encode(hmac(key, signed, sha256).digest()).decode()


def body_signature(secret: str, body: bytes) -> str:
    """`Ittybit-Signature`: hex HMAC-SHA256 of the raw body, keyed by the secret exactly as it is printed."""
    return hmac(secret.encode(), body, sha256).hexdigest()


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The four headers that let a receiver check a delivery; `timestamp` in whole Unix seconds."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": standard_signature(key_of(secret), message_id, timestamp, body),
        "Ittybit-Signature": body_signature(secret, body),
    }
