"""`bitmill gateway`: a reverse proxy, one address for all services.

The rule of `deploy/gateway` in Python, for machines without a web server: `/webhooks` goes to the notifier,
`/connections` to ingest, GET, HEAD and OPTIONS to the catalog, everything else to ingest. Bodies are streamed in
both directions.
"""

import argparse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Literal

import aiohttp
from aiohttp import web
from pydantic import Field

from chassis.adapters.http.body_deadline import lift_body_deadline
from chassis.adapters.http.connection import HttpLimits
from chassis.adapters.http.errors import ApiError, invalid_http, unavailable
from chassis.core import logs
from chassis.core.http_settings import HttpSettings
from chassis.core.settings import SettingsError, load
from chassis.runtime import lifecycle
from cli.errors import UsageError
from schemas.envelope import MediaErrorEnvelope, RequestInfo, error_envelope

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that describe one connection and are not forwarded (RFC 9110, section 7.6.1)."""


class Settings(HttpSettings):
    """The addresses of the services, and the address to listen on."""

    ingest_url: str = Field(
        title="Ingest", description="Its address, http://host:port; receives POST, PATCH and DELETE."
    )
    catalog_url: str = Field(
        title="Catalog", description="Its address, http://host:port; receives GET, HEAD and OPTIONS."
    )
    notifier_url: str = Field(title="Notifier", description="Its address, http://host:port; receives /webhooks.")
    transcoder_url: str | None = Field(None, title="Transcoder", description="If set, a part of /readyz.")
    thumbnailer_url: str | None = Field(None, title="Thumbnailer", description="If set, a part of /readyz.")
    log_format: Literal["auto", "text", "json"] = Field("auto", title="Log format", description="auto, text or json.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", title="Log level", description="debug, info, warning or error."
    )


def upstream(settings: Settings, method: str, path: str) -> str:
    """The base address of the service that handles this request (pure)."""
    if path == "/webhooks" or path.startswith("/webhooks/"):
        return settings.notifier_url
    if path == "/connections" or path.startswith("/connections/"):
        return settings.ingest_url
    return settings.catalog_url if method in ("GET", "HEAD", "OPTIONS") else settings.ingest_url


class Gateway:
    """The proxy as an `App`; its only state is the client session."""

    name = "gateway"
    response_s = None
    """The services bound their own responses."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self.error_styles = {"/media": _media_error}

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self._forward)]

    def checks(self) -> Mapping[str, lifecycle.Check]:
        services = {
            "ingest": self._settings.ingest_url,
            "catalog": self._settings.catalog_url,
            "notifier": self._settings.notifier_url,
            "transcoder": self._settings.transcoder_url,
            "thumbnailer": self._settings.thumbnailer_url,
        }
        return {name: self._readiness(url) for name, url in services.items() if url}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as session:
            self._session = session
            try:
                yield
            finally:
                self._session = None

    @property
    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the gateway is not running")
        return self._session

    def _readiness(self, url: str) -> lifecycle.Check:
        async def check() -> None:
            async with self._client.get(f"{url.rstrip('/')}/readyz") as response:
                if response.status != 200:
                    checks = (await response.json())["checks"]
                    failing = ", ".join(check["name"] for check in checks if check["state"] != "ok")
                    raise RuntimeError(f"is not ready: {failing or 'it is stopping'}")

        return check

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        if request.method == "PUT" and request.path.startswith("/uploads/"):
            lift_body_deadline(request)  # a file: ingest bounds its size and its rate
        # Another form of the target (absolute, or `*`) would be a part of the service's host name.
        if not request.raw_path.startswith("/"):
            raise invalid_http()
        base = upstream(self._settings, request.method, request.path)
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
        # A header more of this name is the same as a value more in the last one (RFC 9110, section 5.3).
        headers.append(("X-Forwarded-For", request.remote or "unknown"))
        try:
            async with self._client.request(
                request.method,
                # The path as the client sent it: decoding and encoding again would change names in it.
                base.rstrip("/") + request.raw_path,
                headers=headers,
                data=request.content if request.body_exists else None,
                allow_redirects=False,
                skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
            ) as upstream_response:
                return await _forward_response(request, upstream_response)
        except aiohttp.InvalidURL:
            raise invalid_http() from None
        except (TimeoutError, aiohttp.ClientConnectionError):
            if (error := request.content.exception()) is not None:
                # By the client's fault: its body came too slowly, was malformed, or broke off.
                raise error from None
            raise unavailable(1, "The service behind this address does not respond; try again.") from None


def _media_error(request: web.Request, error: ApiError, request_id: str) -> MediaErrorEnvelope:
    """The gateway's own errors below /media, in the envelope as those of the services."""
    host = f"{request.scheme}://{request.host}"
    info = RequestInfo(id=request_id, method=request.method, host=host, path=request.path, project=None)
    return error_envelope(info, status=error.status, kind=error.kind, message=error.message, errors=error.faults)


async def _forward_response(request: web.Request, upstream_response: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=upstream_response.status, reason=upstream_response.reason)
    for name, value in upstream_response.headers.items():
        if name.lower() not in _HOP_BY_HOP:
            response.headers.add(name, value)
    await response.prepare(request)
    async for chunk in upstream_response.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def run(_: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    try:
        settings = load(Settings)
    except SettingsError as error:
        raise UsageError(str(error)) from None
    logs.configure(settings.log_format, settings.log_level)
    limits = HttpLimits.of(settings)
    return lifecycle.run_main([Gateway(settings)], host=settings.http_host, port=settings.http_port, limits=limits)
