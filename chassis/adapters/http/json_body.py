"""JSON bodies: from the bytes of a request to a validated model, or an ApiError that says what is wrong; and responses.

Strict JSON (RFC 8259): UTF-8, no duplicate keys, no NaN or Infinity, bounded in size, depth and length of numbers. A
body that is JSON is read whatever its content type, because clients often forget or mistype it; of one that is not, the
content type says whether JSON was meant.
"""

import json
import math
import re
import zlib
from collections.abc import Mapping
from typing import Any, TypeVar, overload

import orjson
from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from chassis.adapters.http.errors import ApiError, invalid_input, payload_too_large, unsupported_media_type
from chassis.adapters.http.response_deadline import begin_response_deadline
from schemas.api import MAX_BODY_BYTES
from schemas.explain import explain, render_value

MAX_DEPTH = 64
"""Nesting of a body; the API needs 3. Checked before parsing, because the parser is recursive."""

MAX_STRUCTURE = 32 * 1024
"""Brackets, braces and commas of a body, those within text included: parsing a million of them takes half a second.
More than the longest metadata and addresses can have."""

_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)

_UNSAID = "application/octet-stream"
"""What clients send where nobody has said what the body is."""

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


class NotJson(ApiError):
    """400: the body is no JSON text."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "invalid_input", message)


class _RuleBroken(ValueError):
    """Valid JSON that breaks a rule of this module."""


async def read_json(request: web.Request) -> Any:
    """The body as plain data. Raises ApiError 400 `invalid_input`, 413 `payload_too_large`, 415."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise payload_too_large(MAX_BODY_BYTES)
    try:
        # While it streams, the application's client_max_size bounds it to the same number.
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise payload_too_large(MAX_BODY_BYTES) from None
    except web.RequestPayloadError:
        raise invalid_input("body cannot be read: its chunks are malformed, or far too small") from None
    begin_response_deadline(request)
    try:
        return decode_json(_decompressed(raw, request.headers.get("Content-Encoding", "")))
    except NotJson as error:
        declared = request.headers.get("Content-Type", "")
        if not declared or "json" in declared.lower() or declared.lower().startswith(_UNSAID):
            raise
        sentence = f"{error.message}; it is {render_value(declared)}, and has to be application/json"
        raise unsupported_media_type(sentence, {"Accept": "application/json"}) from None


def decode_json(raw: bytes) -> Any:
    """Strict JSON bytes as plain data. Raises ApiError 400 `invalid_input`, 413 `payload_too_large`."""
    if len(raw) > MAX_BODY_BYTES:
        raise payload_too_large(MAX_BODY_BYTES)
    if not raw.strip():
        raise NotJson("body must be a JSON object; it is empty")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise NotJson(f"body must be JSON in UTF-8; byte {error.start} is not") from None
    if text.startswith("\ufeff"):
        raise NotJson("body must be JSON: Unexpected UTF-8 BOM (byte order mark) at its beginning")
    if sum(text.count(char) for char in "[]{},") > MAX_STRUCTURE:
        raise invalid_input(f"body must not have more than {MAX_STRUCTURE} brackets, braces and commas")
    # Few texts have so many brackets at all.
    if text.count("[") + text.count("{") > MAX_DEPTH and _deeper_than(text, MAX_DEPTH):
        raise invalid_input(f"body must not be nested deeper than {MAX_DEPTH} levels")
    try:
        return _DECODER.decode(text)
    except _RuleBroken as error:
        raise invalid_input(f"body {error}") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"body must be JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError:
        # Python's own limit on the digits of an integer: their conversion takes quadratic time.
        raise invalid_input("body must not hold numbers of thousands of digits") from None


def _decompressed(raw: bytes, encoding: str) -> bytes:
    """The body, or more than `MAX_BODY_BYTES` of it: a megabyte may unpack to a gigabyte."""
    if not encoding or encoding.lower() == "identity":
        return raw
    if encoding.lower() not in _WINDOW_BITS:
        sentence = "body must have no Content-Encoding other than gzip and deflate"
        raise unsupported_media_type(sentence, {"Accept-Encoding": ", ".join(_WINDOW_BITS)})
    unpacking = zlib.decompressobj(_WINDOW_BITS[encoding.lower()])
    try:
        unpacked = unpacking.decompress(raw, MAX_BODY_BYTES + 1)
    except zlib.error:
        unpacked = b""
    if not unpacking.eof and len(unpacked) <= MAX_BODY_BYTES:
        raise invalid_input("body cannot be read: it is not what its Content-Encoding says")
    return unpacked


@overload
def parse(model: type[Model], data: Any, tagged: bool = False) -> Model: ...


@overload
def parse(model: TypeAdapter[T], data: Any, tagged: bool = False) -> T: ...


def parse(model: type[BaseModel] | TypeAdapter[Any], data: Any, tagged: bool = False) -> Any:
    """`data` as `model`. Raises ApiError 400 that lists every invalid field.

    `tagged` says that the model is a union with a discriminator field; see `schemas.explain`.
    """
    try:
        return model.validate_python(data) if isinstance(model, TypeAdapter) else model.model_validate(data)
    except ValidationError as error:
        raise invalid_input(explain(error, tagged=tagged, model=model)) from None


def _deeper_than(text: str, limit: int) -> bool:
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for match in _STRUCTURE.finditer(text):
        char = match.group()[0]
        if char in "[{":
            depth += 1
            if depth > limit:
                return True
        elif char in "]}":
            depth -= 1
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        duplicate = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _RuleBroken(f"must not name a field twice: {render_value(duplicate)}")
    return fields


def _constant(name: str) -> Any:
    raise _RuleBroken(f"must hold finite numbers only, not {name}")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _RuleBroken(f"must hold finite numbers only, not {render_value(text)}")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)
"""Made once: `json.loads` would make one for each text."""


def json_bytes(data: Any) -> bytes:
    """`data` as JSON bytes. Webhooks are signed over the same bytes that the API responds with."""
    return orjson.dumps(data)


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`data` as an `application/json` response."""
    return web.Response(body=json_bytes(data), status=status, headers=headers, content_type="application/json")
