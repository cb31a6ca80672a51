"""Encryption of small texts at rest: secrets of customers, and addresses that may carry a signature.

AES-256-GCM by the `cryptography` package. An encrypted text is `v1.<key id>.<base64url of nonce and ciphertext>`; the
key id is the start of the SHA-256 of the key, so that texts of an older key are still found after a new one was added.
"""

import os
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from hmac import new as hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chassis.core.redact import has_private_parts, masked_url

KEY_BYTES = 32
_VERSION = "v1"
_NONCE_BYTES = 12
"""96 bits, as NIST SP 800-38D recommends for random nonces."""
_KEY_ID_CHARS = 8


class DecryptionError(ConnectionError):
    """The key of an encrypted text is not among this process's keys, or the text belongs to something else.

    A ConnectionError, because it counts as an outage: once the right key is configured, the same work succeeds.
    """


class Keyring:
    """Encrypts with the first key, and decrypts with all. `keys`: at least one, of 32 bytes each.

    `context` says what a text belongs to and is authenticated: decrypted with another context it is an error, so that
    an encrypted text cannot be moved to another project or field.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a keyring needs keys of {KEY_BYTES} bytes")
        self._keys = {_key_id(key): key for key in keys}
        self._first = _key_id(keys[0])

    def encrypt(self, text: str, context: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._keys[self._first]).encrypt(nonce, text.encode(), context.encode())
        return f"{_VERSION}.{self._first}.{urlsafe_b64encode(nonce + sealed).decode().rstrip('=')}"

    def decrypt(self, encrypted: str, context: str) -> str:
        """The text. Raises `DecryptionError`."""
        version, _, rest = encrypted.partition(".")
        key_id, _, encoded = rest.partition(".")
        key = self._keys.get(key_id)
        if version != _VERSION or key is None:
            raise DecryptionError(f"no key {key_id[:_KEY_ID_CHARS]!r} among ENCRYPTION_KEYS")
        try:
            data = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, ValueError):
            raise DecryptionError(f"the encrypted text was changed, or is not of {context.partition(':')[0]}") from None

    @property
    def prefix(self) -> str:
        """How every text begins that the first key has encrypted."""
        return f"{_VERSION}.{self._first}."

    def derive(self, purpose: str) -> list[bytes]:
        """A key of 32 bytes for `purpose` from each key, the first of them current: HMAC-SHA256 of the purpose."""
        return [hmac(key, purpose.encode(), sha256).digest() for key in self._keys.values()]


def protect_url(keyring: Keyring | None, url: str, context: str) -> tuple[str, str | None]:
    """What is kept of an address: the address with its private parts masked, and the whole of it encrypted.

    (address, None) where it has no private parts, or where there is no keyring to encrypt with.
    """
    if keyring is None or not has_private_parts(url):
        return url, None
    return masked_url(url), keyring.encrypt(url, context)


def reveal_url(keyring: Keyring | None, kept: str, encrypted: str | None, context: str) -> str:
    """The whole address, from what `protect_url` gave. Raises `DecryptionError`."""
    return kept if encrypted is None else decrypt(keyring, encrypted, context)


def decrypt(keyring: Keyring | None, encrypted: str, context: str) -> str:
    """As `Keyring.decrypt`; also raises `DecryptionError` where there is no keyring."""
    if keyring is None:
        raise DecryptionError(f"{context.partition(':')[2]} is encrypted, and ENCRYPTION_KEYS is not set")
    return keyring.decrypt(encrypted, context)


def parse_keys(text: str) -> list[bytes]:
    """Keys as a setting has them: base64 of 32 bytes each, separated by commas. Raises ValueError."""
    keys = []
    for part in text.split(","):
        try:
            key = b64decode(part.strip(), validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(f"must be base64 of {KEY_BYTES} random bytes; several are separated by commas")
        keys.append(key)
    return keys


def _key_id(key: bytes) -> str:
    return sha256(key).hexdigest()[:_KEY_ID_CHARS]
