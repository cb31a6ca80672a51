"""When a signed address expires, as far as its query string shows it (pure).

The formats are those of the stores that most uploads come from:

| store                          | parameters                                                       |
|--------------------------------|------------------------------------------------------------------|
| S3 and compatible, version 4   | `X-Amz-Date` (`20261127T120000Z`) and `X-Amz-Expires` (seconds)  |
| Google Cloud Storage           | `X-Goog-Date` and `X-Goog-Expires`, as above                     |
| S3, version 2                  | `Expires` (Unix seconds), beside `AWSAccessKeyId`                |
| Google Cloud Storage, older    | `Expires`, beside `GoogleAccessId`                               |
| CloudFront                     | `Expires`, beside `Key-Pair-Id`                                  |
| Azure shared access signature  | `se` (ISO 8601), beside `sig`                                    |

A parameter `expires` of an unknown format can mean anything, and says nothing here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

_MAX_PARAMETERS = 200
_MAX_DIGITS = 12
_DATED = ("X-Amz", "X-Goog")
_EXPIRING_BESIDE = ("AWSAccessKeyId", "GoogleAccessId", "Key-Pair-Id")


def expires_at(url: str) -> datetime | None:
    """The time after which the store refuses the address; None where it is not signed or does not show the time."""
    try:
        query = dict(parse_qsl(urlsplit(url).query, max_num_fields=_MAX_PARAMETERS))
        return _dated(query) or _unix(query) or _azure(query)
    except (ValueError, OverflowError):
        # Not of these formats after all, or a time that no calendar has.
        return None


def _dated(query: Mapping[str, str]) -> datetime | None:
    for prefix in _DATED:
        signed_at, lifetime = query.get(f"{prefix}-Date"), query.get(f"{prefix}-Expires")
        if signed_at is not None and lifetime is not None:
            begin = datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            return datetime.fromtimestamp(begin.timestamp() + _digits(lifetime), UTC)
    return None


def _unix(query: Mapping[str, str]) -> datetime | None:
    if "Expires" in query and any(name in query for name in _EXPIRING_BESIDE):
        return datetime.fromtimestamp(_digits(query["Expires"]), UTC)
    return None


def _azure(query: Mapping[str, str]) -> datetime | None:
    if "se" not in query or "sig" not in query:
        return None
    end = datetime.fromisoformat(query["se"])
    return end if end.tzinfo is not None else end.replace(tzinfo=UTC)


def _digits(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise ValueError("not a number of seconds")
    return int(text)
