"""Real servers with the API of S3: moto in this process, and versitygw where Go has installed it.

`go install github.com/versity/versitygw/cmd/versitygw@v1.8.0` installs the latter, which checks signatures, clocks and
conditions as AWS does.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from moto.server import ThreadedMotoServer

from chassis.adapters.s3.client import S3Access, S3Store, open_s3
from tests.support.processes import killed_process
from tests.support.system import free_port
from tests.support.waiting import until

ACCESS_KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI-K7MDENG-EXAMPLE", "us-east-1"


@dataclass(frozen=True)
class S3Server:
    """A running server. `name` is that of the program; `strict` says whether it checks signatures."""

    name: str
    endpoint: str

    @property
    def strict(self) -> bool:
        return self.name != "moto"

    @property
    def access(self) -> S3Access:
        return S3Access(self.endpoint, REGION, ACCESS_KEY, SECRET)

    @asynccontextmanager
    async def open(self, endpoint: str | None = None) -> AsyncIterator[S3Store]:
        """The store, or the same through another address."""
        async with open_s3(S3Access(endpoint or self.endpoint, REGION, ACCESS_KEY, SECRET), None) as store:
            yield store

    async def create_buckets(self, *names: str) -> None:
        async with self.open() as store:
            for name in names:
                await store.client.create_bucket(Bucket=name)

    async def put(self, bucket: str, key: str, data: bytes) -> None:
        async with self.open() as store:
            await store.client.put_object(Bucket=bucket, Key=key, Body=data)

    async def get(self, bucket: str, key: str) -> bytes:
        async with self.open() as store:
            found = await store.client.get_object(Bucket=bucket, Key=key)
            async with found["Body"] as body:
                return await body.read()

    async def keys(self, bucket: str) -> list[str]:
        async with self.open() as store:
            listed = await store.client.list_objects_v2(Bucket=bucket)
            return [each["Key"] for each in listed.get("Contents", ())]

    async def uploads(self, bucket: str) -> int:
        """How many uploads have begun and not ended."""
        async with self.open() as store:
            listed = await store.client.list_multipart_uploads(Bucket=bucket)
            return len(listed.get("Uploads", ()))


@asynccontextmanager
async def moto() -> AsyncIterator[S3Server]:
    """moto: in a thread of this process. It accepts every signature."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    await asyncio.to_thread(server.start)
    try:
        host, port = server.get_host_and_port()
        yield S3Server("moto", f"http://{host}:{port}")
    finally:
        await asyncio.to_thread(server.stop)


def versitygw_program() -> str | None:
    """The path of versitygw, None where it is not installed."""
    if (found := shutil.which("versitygw")) is not None:
        return found
    go = shutil.which("go")
    if go is None:
        return None
    folder = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=True).stdout.strip()
    program = Path(folder) / "bin" / "versitygw"
    return str(program) if program.exists() else None


@asynccontextmanager
async def versitygw(program: str, folder: Path) -> AsyncIterator[S3Server]:
    """versitygw, with its objects in the folder."""
    port = free_port()
    for name in ("objects", "versions", "attributes"):
        (folder / name).mkdir()
    command = (
        *(program, "--access", ACCESS_KEY, "--secret", SECRET, "--region", REGION, "--port", f"127.0.0.1:{port}"),
        *("--quiet", "posix", "--sidecar", str(folder / "attributes"), str(folder / "objects")),
    )
    devnull = subprocess.DEVNULL
    async with killed_process(*command, env=dict(os.environ), stdout=devnull, stderr=devnull):
        await until(lambda: _accepts(port))
        yield S3Server("versitygw", f"http://127.0.0.1:{port}")


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
