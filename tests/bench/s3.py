"""From a bucket to a bucket: 500 MB as a job reads and stores them, and as a plain copy with aiobotocore does.

Each copy is made by a process of its own, in turn, against one moto server in another process. Ours goes through the
disk, because decoders need files; the plain one hands each chunk on as the next part.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from chassis.adapters.egress.fetch import FetchLimits
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.s3.client import S3Access, S3Store, open_s3
from chassis.adapters.s3.download import download_object
from chassis.adapters.s3.upload import PART_BYTES, Writer, upload_object
from tests.bench.figures import Pairs, Row, print_rows
from tests.support.memory import peak_memory_mib, reset_peak_memory
from tests.support.processes import killed_process
from tests.support.system import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

MB = 1000 * 1000
SIZE = 500 * MB
ROUNDS = 3
MOST_MB, LEAST_RATIO = 150, 0.8
_BUCKET, _INPUT = "bench", "input"

Copy = Callable[[S3Store], Awaitable[None]]


@dataclass(frozen=True)
class Copied:
    """One copy: MB a second, and the memory above that of the process before it, in MB."""

    rate: float
    memory: float


async def as_a_job_does(store: S3Store) -> None:
    """To a file, with all limits, and from there in parallel parts with checksums, fenced."""

    async def may_write() -> None:
        pass

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        await download_object(store, _BUCKET, _INPUT, path, FetchLimits())
        writer = Writer(f"job_{time.time_ns()}", 1, 1)
        await upload_object(store, _BUCKET, "ours", path, "video/mp4", writer, may_write=may_write)


async def plainly(store: S3Store) -> None:
    """Each chunk of the response as the next part, one after the other."""
    client = store.client
    found = await client.get_object(Bucket=_BUCKET, Key=_INPUT)
    upload = (await client.create_multipart_upload(Bucket=_BUCKET, Key="plain"))["UploadId"]
    parts: list[CompletedPartTypeDef] = []
    async with found["Body"] as body:
        number = 1
        while data := await _chunk(body):
            part = await client.upload_part(Bucket=_BUCKET, Key="plain", UploadId=upload, PartNumber=number, Body=data)
            parts.append({"ETag": part["ETag"], "PartNumber": number})
            number += 1
    await client.complete_multipart_upload(
        Bucket=_BUCKET, Key="plain", UploadId=upload, MultipartUpload={"Parts": parts}
    )


async def _chunk(body: Any) -> bytes:
    data = bytearray()
    while len(data) < PART_BYTES and (more := await body.read(PART_BYTES - len(data))):
        data += more
    return bytes(data)


COPIES: dict[str, Copy] = {"ours": as_a_job_does, "plain": plainly}


async def rows(folder: Path) -> list[Row]:
    """The rate over that of the plain copy, and the memory that a copy needs."""
    pairs, memory = Pairs(), []
    port = free_port()
    command = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    quiet = asyncio.subprocess.DEVNULL
    async with killed_process(*command, cwd=Path.cwd(), stdout=quiet, stderr=quiet):
        endpoint = f"http://127.0.0.1:{port}"
        await until(lambda: _prepared(endpoint, folder))
        for _ in range(ROUNDS):
            ours, plain = await _in_a_process("ours", endpoint), await _in_a_process("plain", endpoint)
            pairs.add(ours.rate, plain.rate)
            memory.append(ours.memory)
    most = max(memory)
    how = (
        f"most of {ROUNDS} copies of {SIZE // MB} MB, each in a new process; median {statistics.median(memory):.0f} MB"
    )
    return [
        pairs.row(
            "S3 to S3, MB a second over a plain aiobotocore copy",
            LEAST_RATIO,
            f"median of {ROUNDS} rounds of {SIZE // MB} MB from moto to moto, ours through the disk",
            "ours (MB)",
            "plain (MB)",
        ),
        Row("Memory of a copy from S3 to S3 above idle", f"{most:.0f} MB", f"≤ {MOST_MB} MB", most <= MOST_MB, how),
    ]


async def _prepared(endpoint: str, folder: Path) -> bool:
    """Whether the server runs, and has the object now."""
    try:
        async with _open(endpoint) as store:
            await store.client.create_bucket(Bucket=_BUCKET)
            path = folder / "input"
            with path.open("wb") as file:
                for _ in range(SIZE // (10 * MB)):
                    file.write(os.urandom(10 * MB))
            writer = Writer("input", 1, 1)
            await upload_object(store, _BUCKET, _INPUT, path, "video/mp4", writer, may_write=_always)
            path.unlink()
            return True
    except Exception as error:
        if "unreachable" in str(error) or "connect" in str(error).lower():
            return False
        raise


async def _always() -> None:
    pass


def _open(endpoint: str) -> AbstractAsyncContextManager[S3Store]:
    access = S3Access(endpoint, "us-east-1", "AKID", "secret")
    return open_s3(access, EgressPolicy((ip_network("127.0.0.0/8"),)), project="bench")


async def _in_a_process(name: str, endpoint: str) -> Copied:
    command = (sys.executable, "-m", "tests.bench.s3", name, endpoint)
    async with killed_process(*command, cwd=Path.cwd(), stdout=asyncio.subprocess.PIPE) as process:
        out, _ = await process.communicate()
    assert process.returncode == 0
    return Copied(**orjson.loads(out.splitlines()[-1]))


async def _copy(name: str, endpoint: str) -> None:
    async with _open(endpoint) as store:
        # The first request loads what every process with a client has.
        await store.client.head_object(Bucket=_BUCKET, Key=_INPUT)
        reset_peak_memory()
        idle, started = peak_memory_mib(), time.perf_counter()
        await COPIES[name](store)
        seconds = time.perf_counter() - started
    memory = (peak_memory_mib() - idle) * 1024 * 1024 / MB
    print(orjson.dumps({"rate": SIZE / MB / seconds, "memory": memory}).decode())


async def _main() -> int:
    if len(sys.argv) == 3:
        await _copy(sys.argv[1], sys.argv[2])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return print_rows(await rows(Path(folder)))


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
