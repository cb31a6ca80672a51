"""Undoes the content coding of a response (RFC 9110, 8.4). Requests ask for none; some servers compress all the same.

Only gzip and deflate, which zlib decodes. It is given small slices and returns after a bounded output, in a thread, so
that neither a bomb nor a long file stops the event loop; the caller bounds the sum.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

from chassis.adapters.egress.errors import FetchError

PIECE_BYTES = 1024 * 1024
"""The most that is decompressed at once."""
_GZIP_START = b"\x1f\x8b"
_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 31, 15, -15
_DECODED = frozenset({"gzip", "x-gzip", "deflate"})
_NOT_DECODED = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
# Everything else is no coding: object stores deliver whatever was once set (`aws-chunked`, `utf-8`, `none`).

Read = Callable[[], Awaitable[bytes]]


async def decoded(read: Read, header: str | None) -> AsyncIterator[bytes]:
    """The body that `read` gives in pieces (none at its end), without the coding that the header names.

    A body that does not begin as the coding does is given as it is. Raises FetchError for a coding that is not
    supported, for damaged data, and for data that ends too early.
    """
    coding = _coding(header)
    chunk = await read()
    if coding and len(chunk) == 1:
        chunk += await read()
    window = _window(coding, chunk) if coding else None
    if window is not None:
        async for piece in _inflated(window, chunk, read):
            yield piece
        return
    while chunk:
        yield chunk
        chunk = await read()


async def _inflated(window: int, chunk: bytes, read: Read) -> AsyncIterator[bytes]:
    inflater, received = zlib.decompressobj(window), 0
    while chunk:
        received += len(chunk)
        while chunk:
            if inflater.eof:
                # What follows is another part of the file, or padding.
                if window != _GZIP_WINDOW or not chunk.startswith(_GZIP_START):
                    break
                inflater = zlib.decompressobj(window)
            piece, chunk = await asyncio.to_thread(_inflate, inflater, chunk)
            if piece:
                yield piece
        chunk = await read()
    if not inflater.eof:
        raise FetchError("truncated", received=received)


def _coding(header: str | None) -> str | None:
    names = [name.strip().lower() for name in (header or "").split(",")]
    known = [name for name in names if name in _DECODED | _NOT_DECODED]
    if len(known) > 1 or not _DECODED.issuperset(known):
        raise FetchError("unsupported_coding", detail=", ".join(known))
    return known[0] if known else None


def _window(coding: str, first: bytes) -> int | None:
    """zlib's `wbits` for a body that begins with these bytes; None where it is not compressed."""
    if coding != "deflate":
        return _GZIP_WINDOW if first.startswith(_GZIP_START) else None
    if len(first) > 1 and first[0] & 15 == 8 and int.from_bytes(first[:2], "big") % 31 == 0:
        return _ZLIB_WINDOW
    try:
        # Some servers leave out the header of zlib.
        zlib.decompressobj(_RAW_WINDOW).decompress(first, PIECE_BYTES)
    except zlib.error:
        return None
    return _RAW_WINDOW if first else None


def _inflate(inflater: "zlib._Decompress", data: bytes) -> tuple[bytes, bytes]:
    """The next piece, and what of `data` is left for the following call."""
    try:
        piece = inflater.decompress(data, PIECE_BYTES)
    except zlib.error:
        raise FetchError("damaged_coding") from None
    return piece, inflater.unconsumed_tail or inflater.unused_data
