"""HTTP in: the files, at `/{project}/{path}`: public or by signature, with conditional and range requests."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from aiohttp import web

from chassis.adapters.http.errors import ApiError, range_not_satisfiable
from chassis.adapters.storage import ObjectMissing, Stat, Storage
from services.catalog.delivery import Delivery
from services.catalog.errors import file_gone, file_not_found
from services.catalog.lookup import Lookup
from services.catalog.queries import StoredFile
from services.catalog.ranges import NotModified, PartialContent, Unsatisfiable, decide, http_date

FILES = r"/{project:prj_[0-9a-z]{26}}/{path:.+}"
_IMMUTABLE = "public, max-age=31536000, immutable"
_SIGNED = "private, no-cache"
"""Only the client's own cache, which has to ask each time: an address stops working when its signature expires."""
_REVALIDATED = "public, no-cache"
"""A media item can be deleted or renamed at any moment: caches keep the bytes and revalidate them each time."""
_INLINE = frozenset(
    {"image/jpeg", "image/png", "image/webp", "image/avif", "image/gif", "application/json", "text/vtt"}
)
"""Shown in a browser, besides all video and audio. Never HTML or SVG: their scripts would run with this origin."""
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag, X-Request-Id",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match, If-Modified-Since, Authorization",
    "Access-Control-Max-Age": "86400",
}


class FilesApi:
    """The routes of the delivery address. `lookup` and `storage` return what is open while the service runs.

    `client` names the client of a request.
    """

    def __init__(
        self,
        lookup: Callable[[], Lookup],
        storage: Callable[[], Storage],
        delivery: Delivery,
        client: Callable[[web.Request], str],
    ) -> None:
        self._lookup = lookup
        self._delivery = delivery
        self._client = client
        self._storage = storage

    def routes(self) -> list[web.RouteDef]:
        return [web.get(FILES, self.get), web.options(FILES, self.preflight)]

    async def preflight(self, _: web.Request) -> web.Response:
        """Lets scripts of other origins request ranges."""
        return web.Response(status=204, headers=_CORS | _PREFLIGHT)

    async def get(self, request: web.Request) -> web.StreamResponse:
        storage = self._storage()
        project, path = request.match_info["project"], request.match_info["path"]
        try:
            # Before the file is looked for: without a signature nobody learns whether it exists.
            turn = self._lookup().anonymous(self._client(request))
            signed = await self._delivery.check(project, path, request.query, turn)
        except ApiError as error:
            raise _with_cors(error) from None
        file = await self._file(project, path, self._client(request))
        stat = await storage.stat(file.key)
        if stat is None:
            raise _with_cors(file_not_found())
        return await _respond(request, storage, file, stat, _SIGNED if signed else _caching(file))

    async def _file(self, project: str, path: str, client: str) -> StoredFile:
        """Raises ApiError 404 and, where a deleted item had the name, 410."""
        # No file has U+0000 in its name, and Postgres rejects a query with it.
        if "\0" in path:
            raise _with_cors(file_not_found())
        file = await self._lookup().file(project, path, client)
        if file is None:
            had = await self._lookup().had_file(project, path, client)
            raise _with_cors(file_gone() if had else file_not_found())
        return file


def _caching(file: StoredFile) -> str:
    return _IMMUTABLE if file.lasting else _REVALIDATED


async def _respond(
    request: web.Request, storage: Storage, file: StoredFile, stat: Stat, cache_control: str
) -> web.StreamResponse:
    etag, modified = f'"{stat.etag}"', datetime.fromtimestamp(stat.modified, UTC)
    headers = _CORS | {
        "Accept-Ranges": "bytes",
        "Cache-Control": cache_control,
        "ETag": etag,
        "Last-Modified": http_date(modified),
    }
    start, end, status = 0, stat.size, 200
    match decide(request.method, request.headers, size=stat.size, etag=etag, modified=modified):
        case NotModified():
            return web.Response(status=304, headers=headers)
        case Unsatisfiable():
            raise _with_cors(range_not_satisfiable(stat.size))
        case PartialContent(first, last):
            start, end, status = first, last + 1, 206
            headers["Content-Range"] = f"bytes {first}-{last}/{stat.size}"
    headers |= {
        "Content-Type": file.content_type,
        "Content-Length": str(end - start),
        "Content-Disposition": disposition(file.content_type, request.match_info["path"]),
    }
    response = web.StreamResponse(status=status, headers=headers)
    await _stream(request, response, storage, file.key, start, end)
    return response


def _with_cors(error: ApiError) -> ApiError:
    error.headers |= _CORS
    return error


def disposition(content_type: str, path: str) -> str:
    """`inline` for what browsers play and show, `attachment` for the rest; the file name is the path's last part."""
    shown = content_type in _INLINE or content_type.startswith(("video/", "audio/"))
    name = "".join(char for char in path.rpartition("/")[2] if char.isascii() and (char.isalnum() or char in "._-"))
    return f'{"inline" if shown else "attachment"}; filename="{name or "file"}"'


async def _stream(
    request: web.Request, response: web.StreamResponse, storage: Storage, key: str, start: int, end: int
) -> None:
    if request.method == "HEAD" or start == end:
        await response.prepare(request)
        return
    chunks = storage.read(key, start, end)
    async with AsyncExitStack() as stack:
        if isinstance(chunks, AsyncGenerator):
            # A player that disconnects must not leave the file open until garbage collection.
            stack.push_async_callback(chunks.aclose)
        try:
            # The first chunk before the headers: an object that was deleted meanwhile is still a 404.
            chunk = await anext(chunks)
        except (ObjectMissing, StopAsyncIteration):
            raise file_not_found() from None
        await response.prepare(request)
        left = end - start - len(chunk)
        await response.write(chunk)
        async for chunk in chunks:
            left -= len(chunk)
            await response.write(chunk)
        if left:
            # The announced length cannot be sent: the connection has to break, so that the client sees the failure.
            raise ConnectionAbortedError(f"the object ended {left} bytes too early")
