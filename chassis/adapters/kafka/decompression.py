"""Decompresses the records of a batch, never to more than a limit: whoever may write to a topic chooses what they are.

The functions of aiokafka have no limit: a batch of a few kilobytes may decompress to gigabytes, and a block of snappy
with a negative length makes them loop for ever. Formats: the batch of Kafka's message format v2 (KIP-98, zstd KIP-110);
snappy is what snappy-java writes (header, then blocks with a length each), or one raw block.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import cramjam

_SNAPPY_JAVA_MAGIC = b"\x82SNAPPY\x00"
_SNAPPY_JAVA_HEADER_BYTES = 16
_BLOCK_LENGTH = struct.Struct(">i")


class Undecompressable(Exception):
    """The data is damaged, or would be longer than the limit; the message says which codec and why."""


def decompress(codec: int, data: bytes, limit: int) -> bytes:
    """The records of a batch, at most `limit` bytes; `codec` is its number in the batch. Raises Undecompressable."""
    name, function = CODECS.get(codec, ("", None))
    if function is None:
        raise Undecompressable(f"the compression codec {codec} is unknown")
    try:
        return function(data, limit)
    except (cramjam.DecompressionError, ValueError, OSError, EOFError, zlib.error) as error:
        # Of zstd and lz4 this is also said of what is too long: the buffer for the output is full.
        detail = f"longer than {limit} bytes" if "write whole buffer" in str(error) else str(error)
        raise Undecompressable(f"its records cannot be decompressed ({name}): {detail}") from None


def _gzip(data: bytes, limit: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        found = stream.read(limit + 1)
    if len(found) > limit:
        raise ValueError(f"longer than {limit} bytes")
    return found


def _snappy(data: bytes, limit: int) -> bytes:
    blocks = list(_snappy_blocks(data))
    # Each block begins with the length of what is in it, so that nothing has to be decompressed to know it.
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > limit:
        raise ValueError(f"longer than {limit} bytes")
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def _snappy_blocks(data: bytes) -> Iterator[bytes]:
    if not data.startswith(_SNAPPY_JAVA_MAGIC):
        yield data
        return
    position = _SNAPPY_JAVA_HEADER_BYTES
    while position < len(data):
        if data.startswith(_SNAPPY_JAVA_MAGIC, position):  # streams may follow one another
            position += _SNAPPY_JAVA_HEADER_BYTES
            continue
        begin = position + _BLOCK_LENGTH.size
        if begin > len(data):
            raise ValueError("a block ends early")
        (length,) = _BLOCK_LENGTH.unpack_from(data, position)
        position = begin + length
        if length < 0 or position > len(data):
            raise ValueError(f"a block says that it has {length} bytes")
        if length:
            yield data[begin:position]


def _into_buffer(decompress_into: Callable[[bytes, bytearray], int]) -> Callable[[bytes, int], bytes]:
    """For codecs whose output has no length that can be known before: one buffer, of which only what is used becomes
    real memory."""

    def decompressed(data: bytes, limit: int) -> bytes:
        buffer = bytearray(limit)
        length = decompress_into(data, buffer)
        with memoryview(buffer) as view:
            return bytes(view[:length])

    return decompressed


CODECS: Mapping[int, tuple[str, Callable[[bytes, int], bytes]]] = MappingProxyType(
    {
        1: ("gzip", _gzip),
        2: ("snappy", _snappy),
        3: ("lz4", _into_buffer(cramjam.lz4.decompress_into)),
        4: ("zstd", _into_buffer(cramjam.zstd.decompress_into)),
    }
)
"""By their numbers in a batch."""
