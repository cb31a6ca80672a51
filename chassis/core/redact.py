"""What must not be seen in a log line or an error: secrets, keys, and the query strings of addresses (pure)."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
_SECRET_NAME = re.compile(r"secret|token|authori[sz]ation|password|passwd|cookie|signature|api_?key", re.IGNORECASE)
# Keys of ours and the secrets of Standard Webhooks; the prefix stays, so that one sees what was there.
_KEY = re.compile(r"\b(ittybit_(?:live|test)_|whsec_)[A-Za-z0-9+/=_-]+")
_USER = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/?#@'\"]*@", re.IGNORECASE)
# A query may be a signature (S3, signed webhooks), so no part of it is kept.
_QUERY = re.compile(r"\b([a-z][a-z0-9+.-]*://[^\s?#'\"<>]*)\?[^\s'\"<>]*", re.IGNORECASE)


def secret_name(name: str) -> bool:
    """Whether a field of this name holds something that nobody should read."""
    return _SECRET_NAME.search(name) is not None


def text(value: str) -> str:
    """The text without keys, and with the addresses in it cut before `?` and freed of `user:password@`."""
    if "_" in value:
        value = _KEY.sub(rf"\1{MASK}", value)
    if "://" in value:
        value = _QUERY.sub(r"\1", _USER.sub(rf"\1{MASK}@", value))
    return value


def value(name: str, content: Any) -> Any:
    """The value of a field as it may be shown: masked whole where the name says so, cleaned otherwise."""
    if secret_name(name) and content is not None and not isinstance(content, bool | int | float):
        return MASK
    return _clean(content)


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
