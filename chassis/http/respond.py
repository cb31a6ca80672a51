"""Answers as JSON: the one place where a resource becomes bytes."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web


def json_bytes(data: Any) -> bytes:
    """The bytes of a resource. Webhooks are signed over the same bytes that the API answers with."""
    return orjson.dumps(data)


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`data` as an `application/json` answer."""
    return web.Response(body=json_bytes(data), status=status, headers=headers, content_type="application/json")
