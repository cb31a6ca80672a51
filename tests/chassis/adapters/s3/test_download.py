"""Objects of stores as local files: complete or not at all, one version of them, within limits."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.adapters.egress.fetch import FetchLimits
from chassis.adapters.s3.client import S3Access, open_s3
from chassis.adapters.s3.download import download_object
from chassis.adapters.s3.errors import S3Error
from tests.chassis.adapters.s3.breaking_proxy import breaking_proxy
from tests.support.s3_servers import REGION, S3Server

LIMITS = FetchLimits()
MIB = 1024 * 1024
DATA = os.urandom(3 * MIB + 7)


async def read(
    server: S3Server, key: str, dest: Path, *, endpoint: str | None = None, bucket: str = "uploads"
) -> bytes:
    async with server.open(endpoint) as store:
        size = await download_object(store, bucket, key, dest, LIMITS, first_pause_s=0.01)
    assert size == dest.stat().st_size
    return dest.read_bytes()


async def test_an_object_arrives_as_it_is(s3: S3Server, tmp_path: Path) -> None:
    key = "2026/a b+c/%20é{x}.mov"
    await s3.put("uploads", key, DATA)
    assert await read(s3, key, tmp_path / "file") == DATA
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


async def test_a_read_that_breaks_off_goes_on_where_it_stopped(s3: S3Server, tmp_path: Path) -> None:
    await s3.put("uploads", "broken.mov", DATA)
    async with breaking_proxy(s3, MIB, times=3) as (endpoint, passed):
        assert await read(s3, "broken.mov", tmp_path / "file", endpoint=endpoint) == DATA
    assert len(passed) == 4 and sum(passed) < len(DATA) + MIB // 2


async def test_an_object_that_is_replaced_during_the_read_is_not_mixed(s3: S3Server, tmp_path: Path) -> None:
    await s3.put("uploads", "replaced.mov", DATA)

    async def replace_it() -> None:
        await s3.put("uploads", "replaced.mov", DATA[::-1])

    async with breaking_proxy(s3, MIB, on_break=replace_it) as (endpoint, _):
        with pytest.raises(S3Error) as failed:
            await read(s3, "replaced.mov", tmp_path / "file", endpoint=endpoint)
    assert failed.value.reason == "object_changed" and not failed.value.retriable
    assert list(tmp_path.iterdir()) == []


async def test_an_object_that_vanishes_during_the_read_is_said_to_have_vanished(s3: S3Server, tmp_path: Path) -> None:
    await s3.put("uploads", "vanishing.mov", DATA)

    async def delete_it() -> None:
        async with s3.open() as store:
            await store.client.delete_object(Bucket="uploads", Key="vanishing.mov")

    async with breaking_proxy(s3, MIB, on_break=delete_it) as (endpoint, _):
        with pytest.raises(S3Error) as failed:
            await read(s3, "vanishing.mov", tmp_path / "file", endpoint=endpoint)
    assert failed.value.reason == "object_vanished"
    assert list(tmp_path.iterdir()) == []


async def test_a_missing_bucket_and_a_missing_key_are_two_errors(s3: S3Server, tmp_path: Path) -> None:
    with pytest.raises(S3Error) as no_key:
        await read(s3, "nothing.mov", tmp_path / "file")
    with pytest.raises(S3Error) as no_bucket:
        await read(s3, "nothing.mov", tmp_path / "file", bucket="no-such-bucket")
    assert (no_key.value.reason, no_bucket.value.reason) == ("object_not_found", "bucket_not_found")


async def test_an_object_beyond_the_limit_is_not_read(s3: S3Server, tmp_path: Path) -> None:
    await s3.put("uploads", "large.mov", DATA)
    await s3.put("uploads", "empty.mov", b"")
    sizes: list[int] = []
    async with s3.open() as store:
        small = replace(LIMITS, max_bytes=MIB)
        with pytest.raises(S3Error) as too_large:
            await download_object(store, "uploads", "large.mov", tmp_path / "file", small, on_size=sizes.append)
        with pytest.raises(S3Error) as empty:
            await download_object(store, "uploads", "empty.mov", tmp_path / "file", LIMITS, on_size=sizes.append)
        await download_object(store, "uploads", "large.mov", tmp_path / "file", LIMITS, on_size=sizes.append)
    assert (too_large.value.reason, empty.value.reason, sizes) == ("too_large", "empty", [len(DATA)])


async def test_a_read_has_a_time_in_which_it_ends(s3: S3Server, tmp_path: Path) -> None:
    await s3.put("uploads", "slow.mov", DATA)
    async with s3.open() as store:
        short = replace(LIMITS, total=timedelta(microseconds=1))
        with pytest.raises(S3Error) as failed:
            await download_object(store, "uploads", "slow.mov", tmp_path / "file", short)
    assert failed.value.reason == "timeout" and failed.value.retriable


async def test_wrong_credentials_have_an_error_of_their_own(s3: S3Server, tmp_path: Path) -> None:
    if not s3.strict:
        pytest.skip("this server accepts every signature")
    await s3.put("uploads", "signed.mov", DATA)
    for access in (
        S3Access(s3.endpoint, REGION, "AKIDUNKNOWN", "secret"),
        S3Access(s3.endpoint, REGION, s3.access.access_key_id, "another secret"),
    ):
        async with open_s3(access, None) as store:
            with pytest.raises(S3Error) as failed:
                await download_object(store, "uploads", "signed.mov", tmp_path / "file", LIMITS)
        assert failed.value.reason == "credentials", failed.value
