"""Removes from log lines and errors what must not be logged: secrets, keys, query strings of URLs (pure)."""

import re
from collections.abc import Mapping
from typing import Any

from schemas.keys import KEY_PREFIX

MASK = "***"
_SECRET_NAME = re.compile(r"secret|token|authori[sz]ation|password|passwd|cookie|signature|api_?key", re.IGNORECASE)
# API keys, and secrets in the format of Standard Webhooks; the prefix stays, to show what was there.
_KEY = re.compile(rf"\b({KEY_PREFIX}|whsec_)[A-Za-z0-9+/=_-]+")
# The two patterns look for no scheme: a search for one took 0.3 s in a path of 8 KB such as `/a.a.a.a`.
_USER = re.compile(r"://[^\s/?#'\"]*@")
_WORD = re.compile(r"[^\s'\"<>]+")


def secret_name(name: str) -> bool:
    """Whether a field with this name is a secret."""
    return _SECRET_NAME.search(name) is not None


def text(value: str) -> str:
    """The text without keys, and with its URLs cut before `?` and without `user:password@`."""
    if "_" in value:
        value = _KEY.sub(rf"\1{MASK}", value)
    if "://" in value:
        value = _WORD.sub(_without_query, _USER.sub(f"://{MASK}@", value))
    return value


def value(name: str, content: Any) -> Any:
    """The value of a field as it may be shown: masked if its name is that of a secret, cleaned otherwise."""
    if secret_name(name) and content is not None and not isinstance(content, bool | int | float):
        return MASK
    return _clean(content)


def has_private_parts(url: str) -> bool:
    """Whether a URL has a query string, which may be a signature, or `user:password@`."""
    return "?" in url or _USER.search(url) is not None


def masked_url(url: str) -> str:
    """The URL with `***` for `user:password` and for each value of its query string; its fragment is left out.

    A part of the query string without a value may be a secret itself, also one that ends with the padding of base64.
    """
    located, mark, rest = url.partition("?")
    query = rest.partition("#")[0]
    pairs = (part.partition("=") for part in query.split("&"))
    masked = "&".join(f"{name}={MASK}" if value.strip("=") else MASK for name, _, value in pairs)
    return _USER.sub(f"://{MASK}@", located) + mark + (masked if query else "")


def _without_query(word: re.Match[str]) -> str:
    """A query string may be a signature (presigned S3 URLs), so nothing of it is kept."""
    before, scheme, address = word[0].partition("://")
    return before + scheme + address.partition("?")[0]


def _clean(content: Any) -> Any:
    if isinstance(content, str):
        return text(content)
    if isinstance(content, bool | int | float | None):
        return content
    if isinstance(content, Mapping):
        return {key: value(str(key), item) for key, item in content.items()}
    if isinstance(content, list | tuple | set | frozenset):
        return [_clean(item) for item in content]
    if isinstance(content, bytes):
        return text(content.decode("utf-8", "backslashreplace"))
    return text(str(content))
