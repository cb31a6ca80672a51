"""Files between this machine and the API: uploads of inputs, downloads of outputs, with their progress."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from cli.api_client import ApiClient
from cli.errors import CliError
from cli.reporter import Reporter


async def upload(client: ApiClient, path: Path, reporter: Reporter) -> dict[str, Any]:
    """The upload of a file, whose `address` can be the input of jobs and the url of media items."""
    size = path.stat().st_size
    if size == 0:
        raise CliError(f"{path} is empty")
    reporter.progress("upload", 0.0, size, "bytes")
    begun = await client.post("/uploads", {"filename": path.name, "size": size})
    return await client.put_file(
        begun["url"], path, lambda sent: reporter.progress("upload", sent / size, size, "bytes")
    )


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
