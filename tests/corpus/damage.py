"""What interrupted uploads, broken cards and careless tools do to the bytes of a file."""

import random
import struct
from collections.abc import Callable

Change = Callable[[bytes], bytes]


def cut(share: float) -> Change:
    """Only the first part is there: `share` from 0 to 1."""
    return lambda data: data[: int(len(data) * share)]


def without_last(count: int) -> Change:
    """The last `count` bytes are missing."""
    return lambda data: data[:-count]


def followed_by(tail: bytes) -> Change:
    """Something else stands behind the file."""
    return lambda data: data + tail


def noise(after: bytes, begin: int, end: int) -> Change:
    """The bytes from `begin` to `end` behind the first `after` are random, the same each time."""

    def change(data: bytes) -> bytes:
        start = data.index(after) + len(after)
        end_ = min(start + end, len(data))
        return data[: start + begin] + random.Random(1).randbytes(end_ - start - begin) + data[end_:]

    return change


def noise_at(share: float, count: int) -> Change:
    """`count` random bytes from a place on that is given as a share of the file."""

    def change(data: bytes) -> bytes:
        start = int(len(data) * share)
        return data[:start] + random.Random(1).randbytes(count) + data[start + count :]

    return change


def replaced(old: bytes, new: bytes) -> Change:
    """Other bytes of the same length."""
    assert len(old) == len(new)

    def change(data: bytes) -> bytes:
        assert old in data, f"{old!r} is not in the file"
        return data.replace(old, new)

    return change


def matroska_lasts(seconds: float) -> Change:
    """The element Duration (RFC 9559, 5.1.2.10): a double, in milliseconds."""

    def change(data: bytes) -> bytes:
        at = data.index(b"\x44\x89\x88") + 3
        return data[:at] + struct.pack(">d", seconds * 1000) + data[at + 8 :]

    return change
