"""One HTTP/1.1 exchange over an open connection: the request's bytes out, the response's head and body in, bounded.

The parser is h11, which is pure Python and returns after each event. So whatever the server sends, this module decides
how much is parsed before other coroutines get their turn, and which responses are given up: more than a few interim
(1xx) responses, heads that are too large or too slow, bodies below the least rate or cut into tiny chunks. All the
responses that are slow to parse share a quarter of the event loop, fairly by project. Bodies stay compressed.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import inf
from time import perf_counter, thread_time
from typing import Protocol
from weakref import WeakKeyDictionary

import h11

from chassis.adapters.egress.errors import RequestError, RequestReason
from chassis.core.fair_slots import FairSlots

HEAD_SLICE_BYTES = 4 * 1024
BODY_SLICE_BYTES = 256 * 1024
"""Bytes given to the parser at once."""
MAX_HEAD_LINES = 512
TURN_S = 0.002
"""Time of parsing after which other coroutines get a turn."""
UNTIMED_BYTES = 1024
"""So few bytes take no longer than a turn, whatever they are. Most responses to a POST have fewer, and asking for the
processor time of the thread costs as much as parsing them."""
CHEAP_TURN_BYTES = 512 * 1024
"""After a turn that parsed fewer bytes the exchange rests for `REST` times as long, and of all exchanges of the event
loop only one rests or parses on at a time."""
REST = 3
MAX_SMALL_CHUNKS = 2048
LEAST_MEAN_CHUNK_BYTES = 192
"""The mean size of the chunks of a body that has more than `MAX_SMALL_CHUNKS`. Servers send kilobytes."""
MAX_OVERHEAD_BYTES = 64 * 1024
"""Framing (chunk headers, their extensions, trailers) beyond an eighth of the body."""


class Reader(Protocol):
    """Gives received bytes, none at the end. Raises OSError, or RequestError."""

    async def read(self, size: int) -> bytes: ...


Headers = Sequence[tuple[str, str]]
_STATUS_LINE = b"HTTP/"
_REQUEST_LINE = re.compile(r"[A-Z]+ [!-~]+ HTTP/1\.1\r\n")
_HEADER_LINE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ([!-~]([ \t!-~]*[!-~])?)?\r\n")
"""A value begins and ends with a visible character (RFC 9110, 5.5)."""
_END_OF_REQUEST = h11.EndOfMessage()
_expensive: "WeakKeyDictionary[asyncio.AbstractEventLoop, FairSlots]" = WeakKeyDictionary()


@dataclass(frozen=True)
class ResponseLimits:
    """Bounds of a response. Times are seconds, `min_rate` bytes per second, and 0 for no least rate.

    The rate is the mean over each `rate_window_s` that was spent waiting for the server; time that the caller needs
    for the bytes does not count. `head_s` runs from the request to the end of the final head.
    """

    connect_s: float = 10.0
    head_s: float = 30.0
    idle_s: float = 30.0
    min_rate: int = 4096
    rate_window_s: float = 30.0
    interim_responses: int = 8
    head_bytes: int = 64 * 1024


def request_head(method: str, target: str, headers: Headers) -> bytes:
    """A request up to its body (pure). Raises ValueError for what HTTP cannot express.

    The parser can do that as well, but in ten times as long, which is a third of all that an exchange takes.
    """
    lines = [f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers)]
    if not _REQUEST_LINE.fullmatch(lines[0]) or not all(map(_HEADER_LINE.fullmatch, lines[1:])):
        raise ValueError("not a well-formed request")
    return "".join((*lines, "\r\n")).encode("ascii")


@cache
def _request_event(method: str) -> h11.Request:
    return h11.Request(method=method, target="/", headers=[("Host", "")])


class Exchange:
    """Call `request`, `head`, then `read` until the end. The last two raise RequestError."""

    def __init__(self, limits: ResponseLimits, project: str) -> None:
        self._limits = limits
        self._project = project
        # Larger than what is given to it of a head, so that the error is ours.
        buffer_bytes = limits.head_bytes + 2 * HEAD_SLICE_BYTES
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=buffer_bytes)
        self._rate = RateWindow(limits.min_rate, limits.rate_window_s)
        self._ended = False
        self._responded = False
        self._received = 0
        self._framed = 0
        self._chunks = 0
        self._busy_s = 0.0
        self._turn_bytes = 0

    def request(self, method: str, target: str, headers: Headers, body: bytes) -> bytes:
        """The bytes to send. Raises ValueError for what HTTP cannot express."""
        data = request_head(method, target, headers) + body
        # The parser only needs to know which response to expect.
        self._parser.send(_request_event(method))
        self._parser.send(_END_OF_REQUEST)
        return data

    @property
    def responded(self) -> bool:
        """Whether any byte of the response has arrived."""
        return self._responded

    def is_over(self) -> bool:
        """Whether the response was read to its end, nothing followed it, and another request may come after it."""
        parser = self._parser
        return parser.our_state is h11.DONE and parser.their_state is h11.DONE and parser.trailing_data == (b"", False)

    async def head(self, reader: Reader) -> h11.Response:
        """The final response's status and headers; interim responses are skipped. The body comes from `reader` too."""
        self._reader = reader
        try:
            async with asyncio.timeout(self._limits.head_s):
                response = await self._final_head()
        except TimeoutError:
            raise RequestError("response_timeout", limit=self._limits.head_s) from None
        # What is left of the last slice belongs to the body.
        self._framed = len(self._parser.trailing_data[0])
        return response

    async def read(self) -> bytes:
        """The next bytes of the body, without its framing; none at its end."""
        while True:
            match await self._next_event():
                case h11.Data(data=data, chunk_start=starts):
                    self._received += len(data)
                    self._chunks += starts
                    self._check_chunks()
                    return data
                case h11.EndOfMessage():
                    return b""
                case h11.NEED_DATA:
                    self._check_framing()
                    await self._receive()
                case _:
                    raise RequestError("truncated", received=self._received)

    async def _final_head(self) -> h11.Response:
        interim = received = lines = 0
        start = b""
        while True:
            match await self._next_event():
                case h11.Response() as response:
                    return response
                case h11.InformationalResponse():
                    interim += 1
                    if interim > self._limits.interim_responses:
                        raise RequestError("too_many_interim_responses", limit=self._limits.interim_responses)
                case h11.NEED_DATA:
                    if received > self._limits.head_bytes or lines > MAX_HEAD_LINES:
                        raise RequestError("head_too_large", limit=self._limits.head_bytes)
                    data = await self._read(HEAD_SLICE_BYTES, "disconnected")
                    start = (start + data)[: len(_STATUS_LINE)]
                    if not data:
                        raise RequestError("disconnected")
                    self._responded = True
                    if not _STATUS_LINE.startswith(start):
                        raise RequestError("invalid_http")
                    received += len(data)
                    lines += data.count(b"\n")
                    self._receive_data(data)
                case _:
                    raise RequestError("invalid_http")

    async def _next_event(self) -> "h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]":
        if self._busy_s > TURN_S:
            await self._rest()
        timed = self._turn_bytes >= UNTIMED_BYTES
        started = thread_time() if timed else 0.0
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError:
            if self._ended:
                raise RequestError("truncated", received=self._received) from None
            raise RequestError("invalid_http") from None
        finally:
            if timed:
                self._busy_s += thread_time() - started

    async def _rest(self) -> None:
        if self._turn_bytes >= CHEAP_TURN_BYTES:
            await asyncio.sleep(0)
        else:
            slots = _expensive.setdefault(asyncio.get_running_loop(), FairSlots(1))
            await slots.acquire(self._project)
            try:
                await asyncio.sleep(self._busy_s * REST)
            finally:
                slots.release(self._project)
        self._busy_s, self._turn_bytes = 0.0, 0

    def _receive_data(self, data: bytes) -> None:
        self._turn_bytes += len(data)
        if self._turn_bytes < UNTIMED_BYTES:
            self._parser.receive_data(data)
            return
        started = thread_time()
        self._parser.receive_data(data)
        self._busy_s += thread_time() - started

    async def _receive(self) -> None:
        """Gives the parser what arrives next of the body."""
        idle_s = self._limits.idle_s
        while True:
            started = perf_counter()
            data: bytes | None = None
            try:
                async with asyncio.timeout(min(idle_s, self._rate.left_s)):
                    data = await self._read(BODY_SLICE_BYTES, "truncated")
            except TimeoutError:
                pass
            waited = perf_counter() - started
            idle_s -= waited
            if data is None and idle_s <= 0:
                raise RequestError("stalled", received=self._received, limit=self._limits.idle_s)
            if data != b"" and self._rate.too_slow(waited, len(data or b"")):
                raise RequestError("too_slow", received=self._received, limit=self._limits.min_rate)
            if data is not None:
                self._ended = not data
                self._framed += len(data)
                self._receive_data(data)
                return

    async def _read(self, size: int, if_reset: RequestReason) -> bytes:
        try:
            return await self._reader.read(size)
        except OSError:
            raise RequestError(if_reset, received=self._received) from None

    def _check_chunks(self) -> None:
        if self._chunks > MAX_SMALL_CHUNKS and self._received < self._chunks * LEAST_MEAN_CHUNK_BYTES:
            raise RequestError("tiny_chunks", received=self._received, limit=LEAST_MEAN_CHUNK_BYTES)

    def _check_framing(self) -> None:
        if self._framed - self._received > MAX_OVERHEAD_BYTES + self._received // 8:
            raise RequestError("tiny_chunks", received=self._received, limit=MAX_OVERHEAD_BYTES)


class RateWindow:
    """Adds up bytes and waiting time; at the end of each window the mean rate must not be below the least."""

    def __init__(self, min_rate: int, window_s: float) -> None:
        self._min_rate = min_rate
        self._window_s = window_s if min_rate else inf
        self._waited_s = 0.0
        self._bytes = 0

    @property
    def left_s(self) -> float:
        """Until the end of the window."""
        return max(self._window_s - self._waited_s, 0.001)

    def too_slow(self, waited_s: float, size: int) -> bool:
        self._waited_s += waited_s
        self._bytes += size
        if self._waited_s < self._window_s:
            return False
        slow = self._bytes < self._min_rate * self._waited_s
        self._waited_s, self._bytes = 0.0, 0
        return slow
