"""The files themselves: `/{project}/{path}`, public, in parts where a player asks for parts."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from aiohttp import web

from chassis.adapters.http.errors import range_not_satisfiable
from chassis.adapters.storage import ObjectMissing, Stat, Storage
from services.catalog.errors import file_not_found
from services.catalog.ranges import NotModified, Part, Unsatisfiable, decide, http_date
from services.catalog.reading import Reading
from services.catalog.rows import Deliverable

FILES = r"/{project:prj_[0-9a-z]{26}}/{path:.+}"
_LASTING = "public, max-age=31536000, immutable"
_RENEWED = "public, no-cache"
"""A media item can be deleted or renamed at any moment: caches keep the bytes and ask whether they still hold."""
_INLINE = frozenset(
    {"image/jpeg", "image/png", "image/webp", "image/avif", "image/gif", "application/json", "text/vtt"}
)
"""Shown in a browser, besides all video and audio. Never HTML or SVG: they would run as pages of this address."""
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag, X-Request-Id",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match, If-Modified-Since, Authorization",
    "Access-Control-Max-Age": "86400",
}


class Delivery:
    """The routes of the delivery address. `reading` gives what is open while the service runs."""

    def __init__(self, reading: Callable[[], Reading]) -> None:
        self._reading = reading

    def routes(self) -> list[web.RouteDef]:
        return [web.get(FILES, self.get), web.options(FILES, self.preflight)]

    async def preflight(self, _: web.Request) -> web.Response:
        """Scripts of other sites may ask for parts of files."""
        return web.Response(status=204, headers=_CORS | _PREFLIGHT)

    async def get(self, request: web.Request) -> web.StreamResponse:
        reading = self._reading()
        project, path = request.match_info["project"], request.match_info["path"]
        # U+0000 cannot be stored, so no file has it in its name; Postgres would refuse the question.
        file = None if "\0" in path else await reading.file(project, path)
        stat = await reading.storage.stat(file.key) if file else None
        if file is None or stat is None:
            refusal = file_not_found()
            refusal.headers |= _CORS
            raise refusal
        return await _answer(request, reading.storage, file, stat)


async def _answer(request: web.Request, storage: Storage, file: Deliverable, stat: Stat) -> web.StreamResponse:
    etag, modified = f'"{stat.etag}"', datetime.fromtimestamp(stat.modified, UTC)
    headers = _CORS | {
        "Accept-Ranges": "bytes",
        "Cache-Control": _LASTING if file.lasting else _RENEWED,
        "ETag": etag,
        "Last-Modified": http_date(modified),
    }
    start, end, status = 0, stat.size, 200
    match decide(request.method, request.headers, size=stat.size, etag=etag, modified=modified):
        case NotModified():
            return web.Response(status=304, headers=headers)
        case Unsatisfiable():
            refusal = range_not_satisfiable(stat.size)
            refusal.headers |= _CORS
            raise refusal
        case Part(first, last):
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


def disposition(content_type: str, path: str) -> str:
    """Inline for what browsers play and show, an attachment for everything else; the name is the path's last part."""
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
            # A player that goes away in the middle must not leave the file open until the garbage collector comes.
            stack.push_async_callback(chunks.aclose)
        try:
            # The first chunk before the headers: an object that is gone by now is still a 404.
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
            # The promised length cannot be kept: the connection has to break, so that nobody takes this for a whole.
            raise ConnectionAbortedError(f"the object ended {left} bytes too early")
