"""Record batches that no client library makes, and sending them to Kafka as they are."""

import asyncio
import struct
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NoError, NotLeaderForPartitionError, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""By their numbers in a batch (KIP-98, and KIP-110 for zstd)."""
_CRC_AT = 17

Record = tuple[bytes | None, Sequence[tuple[str, bytes | None]]]
"""Value and headers."""


def batch(*records: Record, codec: int = 0, key: bytes | None = b"k") -> bytes:
    """A batch of message format v2."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=2**30,
    )
    for offset, (value, headers) in enumerate(records):
        assert builder.append(offset, int(time.time() * 1000), key, value, list(headers)) is not None
    return bytes(builder.build())


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    """The batch with other bytes of the same length, and the checksum that fits."""
    assert old in data and len(old) == len(new)
    changed = bytearray(data.replace(old, new))
    struct.pack_into(">I", changed, _CRC_AT, calc_crc32c(bytes(changed[_CRC_AT + 4 :])))
    return bytes(changed)


async def send_batches(bootstrap: str, topic: str, *batches: bytes, partition: int = 0) -> None:
    """Sends them one after another; fails where the broker refuses one."""
    client: Any = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        for data in batches:
            request = ProduceRequest(None, -1, 10_000, [(topic, [(partition, data)])])
            # A broker needs a moment until it leads a topic that was made just now.
            async with asyncio.timeout(60):
                while (error := _error_of(await client.send(node, request))) is NotLeaderForPartitionError:
                    await asyncio.sleep(0.05)
            if error is not NoError:
                raise error(f"{len(data)} bytes")
    finally:
        await client.close()


def _error_of(response: Any) -> type[Exception]:
    ((_, ((_, code, *_),)),) = response.topics
    kind: type[Exception] = for_code(code)
    return kind
