"""Files between this machine and the API: uploads of inputs, downloads of outputs, with their progress."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from cli.api_client import ApiClient, Refused
from cli.errors import CliError, Unreachable
from cli.reporter import Reporter
from schemas.uploads import MAX_NAME_CHARS

_PAUSES_S = (0.5, 2.0, 5.0)
"""Between attempts to send a file."""
_PASSING = frozenset({408, 429, 502, 503, 504})


async def upload(client: ApiClient, path: Path, reporter: Reporter) -> dict[str, Any]:
    """The upload of a file, whose `address` can be the input of jobs and the url of media items."""
    size = path.stat().st_size
    if size == 0:
        raise CliError(f"{path} is empty")
    reporter.progress("upload", 0.0, size, "bytes")
    begun = await client.post("/uploads", {"filename": path.name[:MAX_NAME_CHARS], "size": size})
    for pause_s in (*_PAUSES_S, None):
        try:
            return await client.put_file(
                begun["url"], path, lambda sent: reporter.progress("upload", min(1.0, sent / size), size, "bytes")
            )
        except (Unreachable, Refused) as error:
            # A file that did not arrive completely may be sent again to the same address.
            if pause_s is None or (isinstance(error, Refused) and error.http_status not in _PASSING):
                raise
            await asyncio.sleep(pause_s)
    raise AssertionError("the last try returns or raises")


def readable(name: str) -> Path:
    """The file of this name. Raises `CliError` where it is none, or may not be read."""
    path = Path(name)
    if path.is_dir():
        raise CliError(f"{name} is a folder; name a file")
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise CliError(f"{name}: there is no such file") from None
    except OSError as error:
        raise CliError(f"{name} cannot be read: {error.strerror}") from None
    return path


async def download(client: ApiClient, url: str, target: Path, reporter: Reporter) -> None:
    """Fetch the output of a job. Raises `CliError` with the address where the file cannot be written."""
    try:
        await client.download(url, target, _on_bytes(reporter))
    except OSError as error:
        if isinstance(error, (aiohttp.ClientError, TimeoutError)):
            raise
        raise CliError(f"--output {target}: {error.strerror}; the result is at {url}") from None


def _on_bytes(reporter: Reporter) -> Callable[[int, int | None], None]:
    def on_bytes(received: int, size: int | None) -> None:
        if size:
            reporter.progress("download", received / size, size, "bytes")

    return on_bytes
