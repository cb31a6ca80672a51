"""A store with two buckets, on each server that there is."""

from collections.abc import AsyncIterator

import pytest

from tests.support import s3_servers
from tests.support.s3_answers import Answers, s3_answers
from tests.support.s3_servers import S3Server


@pytest.fixture(scope="package", params=["moto", "versitygw"])
async def s3(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[S3Server]:
    """A server with the buckets `uploads` and `processed`."""
    if request.param == "moto":
        async with s3_servers.moto() as server:
            await server.create_buckets("uploads", "processed")
            yield server
        return
    program = s3_servers.versitygw_program()
    if program is None:
        pytest.skip("versitygw is not installed: see tests/support/s3_servers.py")
    async with s3_servers.versitygw(program, tmp_path_factory.mktemp("versitygw")) as server:
        await server.create_buckets("uploads", "processed")
        yield server


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    async with s3_answers() as server:
        yield server
