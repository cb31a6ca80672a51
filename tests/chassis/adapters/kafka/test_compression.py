"""Customers' producers compress as they like: a batch that cannot be read would stop its partition for ever."""

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""By their numbers in a batch (KIP-98, and KIP-110 for zstd)."""
VALUE = b"the body of a job " * 100


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_of_every_codec_can_be_read(codec: str) -> None:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=CODECS[codec],
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )
    builder.append(0, 1_700_000_000_000, b"key", VALUE, [])
    data = bytes(builder.build())
    assert len(data) < len(VALUE)
    (found,) = MemoryRecords(data).next_batch()
    assert found.value == VALUE
