"""Downloads files over HTTP(S): resumes after a break, verifies each checksum, and says why it failed.

It honours `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE` and `CURL_CA_BUNDLE`, and (through aiohttp) `HTTP_PROXY`, `HTTPS_PROXY`
and `NO_PROXY`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import aiohttp
from yarl import URL

from embedded.download_errors import DownloadError, from_disk, from_network, from_status, wrong_checksum

_CHUNK_BYTES = 1 << 16
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)


@dataclass(frozen=True)
class RemoteFile:
    """A file at `url` with a known checksum (hexadecimal) and size in bytes."""

    url: URL
    sha256: str
    size: int


@dataclass(frozen=True)
class RetryPolicy:
    """The delays, in seconds, before a failed request is repeated; `worth_bytes` received begin the list anew."""

    delays_seconds: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    worth_bytes: int = 1 << 20


@asynccontextmanager
async def open_session(environment: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that trusts the certificates which `environment` names, and uses the proxies of this process's own."""
    connector = aiohttp.TCPConnector(ssl=tls_context(environment), limit=4)
    headers = {"Accept-Encoding": "identity", "User-Agent": "bitmill"}
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=_TIMEOUT, trust_env=True) as session:
        yield session


def tls_context(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Certificates of the system or of `SSL_CERT_FILE`, and those of `REQUESTS_CA_BUNDLE` or `CURL_CA_BUNDLE`."""
    context = ssl.create_default_context()
    named = [name for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environment.get(name)]
    for name in named:
        path = Path(environment[name])
        try:
            context.load_verify_locations(*((None, path) if path.is_dir() else (path, None)))
        except OSError as error:  # ssl.SSLError is one as well
            reason = "it has no certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise DownloadError(f"{name} names {path}, which cannot be used: {reason}", retry=False) from None
    if not named:
        with suppress(ImportError):  # small images have no certificates of their own; jgo brings some
            import certifi

            context.load_verify_locations(certifi.where())
    return context


async def download(
    session: aiohttp.ClientSession,
    file: RemoteFile,
    target: Path,
    received: Callable[[int], None],
    policy: RetryPolicy,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Download to `target`, which appears complete and verified. `received` is called with the bytes of each chunk.

    What an earlier call left in `target`.part is not downloaded again. Raises `DownloadError`.
    """
    part = target.with_name(f"{target.name}.part")
    retries = 0
    while True:
        before = _size(part)
        try:
            await _continue(session, file, part, received)
            _verify(file, part, resumed=before > 0)
            break
        except DownloadError as error:
            if _size(part) - before >= policy.worth_bytes:
                retries = 0
            if not error.retry or retries == len(policy.delays_seconds):
                raise
            await sleep(policy.delays_seconds[retries])
            retries += 1
    try:
        part.replace(target)
    except OSError as error:
        raise from_disk(error, target.parent) from None


async def _continue(
    session: aiohttp.ClientSession, file: RemoteFile, part: Path, received: Callable[[int], None]
) -> None:
    """Fetch what `part` does not have yet."""
    have = _size(part)
    if have >= file.size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        async with session.get(file.url, headers=headers) as response:
            if response.status == 416:
                part.unlink(missing_ok=True)
                raise DownloadError(f"{file.url.host} cannot continue {file.url.path}", retry=True)
            if response.status not in (200, 206):
                raise from_status(file.url, response.status)
            # A server that does not know ranges sends the whole file.
            await _append(response, part, "ab" if response.status == 206 else "wb", file, received)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise from_network(error, file.url) from None


async def _append(
    response: aiohttp.ClientResponse, part: Path, mode: str, file: RemoteFile, received: Callable[[int], None]
) -> None:
    try:
        with part.open(mode) as output:
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                output.write(chunk)
                received(len(chunk))
                if output.tell() > file.size:
                    break
    except (aiohttp.ClientError, TimeoutError):  # some are OSErrors as well
        raise
    except OSError as error:
        raise from_disk(error, part.parent) from None


def _verify(file: RemoteFile, part: Path, *, resumed: bool) -> None:
    if _size(part) < file.size:
        raise DownloadError(f"{file.url.host} sent only a part of {file.url.path}", retry=True)
    with part.open("rb") as content:
        digest = sha256()
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != file.sha256:
        part.unlink()
        if resumed:
            raise DownloadError(f"the parts of {file.url.path} do not fit together", retry=True)
        raise wrong_checksum(file.url, file.sha256, digest.hexdigest())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
