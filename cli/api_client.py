"""The HTTP calls of the command line. Errors are `CliError` with the API's sentence, or `Unreachable`."""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from cli.api_address import Address
from cli.errors import CliError, Unreachable

_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
_TRANSFER_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
CHUNK_BYTES = 1 << 18
OnBytes = Callable[[int], None]
"""Called with the number of bytes that were transferred so far."""


class Refused(CliError):
    """The API refused the request. `http_status` is that of its response, `kind` its published code."""

    def __init__(self, http_status: int, kind: str, message: str) -> None:
        super().__init__(f"{message} [{kind}]")
        self.http_status = http_status
        self.kind = kind
        self.message = message


class ApiClient:
    """The API calls that the command line makes."""

    def __init__(self, session: aiohttp.ClientSession, address: Address) -> None:
        self._session = session
        self._headers = {"Authorization": f"Bearer {address.key}"}
        self.base = address.base

    async def get(self, path: str, parameters: Sequence[tuple[str, str]] = ()) -> Any:
        """The body of the response to GET."""
        return await self._call("GET", path, params=parameters)

    async def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """The body of the response to POST."""
        data: dict[str, Any] = await self._call("POST", path, json=body, headers=headers)
        return data

    async def patch(self, path: str, body: Any) -> dict[str, Any]:
        """The body of the response to PATCH."""
        data: dict[str, Any] = await self._call("PATCH", path, json=body)
        return data

    async def delete(self, path: str) -> Any:
        """The body of the response to DELETE."""
        return await self._call("DELETE", path)

    async def put_file(self, url: str, path: Path, on_bytes: OnBytes) -> dict[str, Any]:
        """Send the bytes of a file to an address that carries its own permission."""

        async def chunks() -> AsyncIterator[bytes]:
            sent = 0
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
                    sent += len(chunk)
                    on_bytes(sent)

        headers = {"Content-Length": str(path.stat().st_size), "Content-Type": "application/octet-stream"}
        with self._reachable():
            async with self._session.put(url, data=chunks(), headers=headers, timeout=_TRANSFER_TIMEOUT) as response:
                data: dict[str, Any] = await self._body(response)
                return data

    async def download(self, url: str, target: Path, on_bytes: Callable[[int, int | None], None]) -> None:
        """Fetch `url` under a temporary name beside `target`, then move it into place. No key is sent."""
        partial = target.with_name(f".{target.name}.part")
        try:
            with self._reachable():
                async with self._session.get(url, timeout=_TRANSFER_TIMEOUT) as response:
                    if response.status >= 400:
                        raise CliError(f"the result at {url} cannot be fetched: the response is {response.status}")
                    received = 0
                    with partial.open("wb") as file:
                        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                            file.write(chunk)
                            received += len(chunk)
                            on_bytes(received, response.content_length)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    @asynccontextmanager
    async def stream(self, path: str, last_event_id: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response of server-sent events, after the one with this id."""
        headers = {**self._headers, "Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        # Heartbeats come every 15 s.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
        with self._reachable():
            async with self._session.get(self.base + path, headers=headers, timeout=timeout) as response:
                if response.status >= 400:
                    await self._body(response)
                yield response

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {**self._headers, **(arguments.pop("headers", None) or {})}
        url = self.base + path
        with self._reachable():
            async with self._session.request(method, url, headers=headers, timeout=_TIMEOUT, **arguments) as response:
                return await self._body(response)

    async def _body(self, response: aiohttp.ClientResponse) -> Any:
        try:
            data = await response.json()
        except (aiohttp.ContentTypeError, ValueError):
            raise CliError(f"{self.base} responded with {response.status} and no JSON: is it bitmill's API?") from None
        if response.status >= 400:
            # Below /media the error is in an envelope.
            error = data.get("error") or data if isinstance(data, dict) else {}
            kind, message = str(error.get("kind", response.status)), str(error.get("message", "refused"))
            raise Refused(response.status, kind, message)
        return data

    def _reachable(self) -> "_Reachable":
        return _Reachable(self.base)


class _Reachable:
    """Turns aiohttp's errors in the block into `Unreachable`."""

    def __init__(self, base: str) -> None:
        self._base = base

    def __enter__(self) -> None:
        return

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, (aiohttp.ClientError, TimeoutError)):
            raise Unreachable(f"the API at {self._base} does not respond: {error or 'timed out'}") from None


def _printing() -> aiohttp.TraceConfig:
    async def ended(_: object, __: object, request: aiohttp.TraceRequestEndParams) -> None:
        id = request.response.headers.get("X-Request-Id", "")
        url = request.url.with_query(None)
        print(f"{request.method} {url} {request.response.status} {id}", file=sys.stderr, flush=True)

    traces = aiohttp.TraceConfig()
    traces.on_request_end.append(ended)
    return traces


@asynccontextmanager
async def open_client(address: Address, *, debug: bool = False) -> AsyncIterator[ApiClient]:
    """A client for the API at `address`; with `debug` each request is printed, without its query string."""
    async with aiohttp.ClientSession(trace_configs=[_printing()] if debug else []) as session:
        yield ApiClient(session, address)
