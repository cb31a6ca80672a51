"""`python -m devtools.demo`: start a bitmill, run the scenario, print the results. Exit status 0 if all succeeded."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.args import default_data
from cli.errors import CliError
from devtools.baseline import seconds_of_ffmpeg
from devtools.demo import scenario
from devtools.demo.bitmill_process import Api, bitmill_process
from devtools.demo.failures import DemoFailed, explanation, until_failure
from devtools.demo.platform_server import PlatformServer, platform_server
from devtools.demo.report import catalog_table, outputs_table
from devtools.footage import Footage, FootageUnavailable, fetch_footage

VIDEOS = [
    scenario.Upload("bunny.mov", "usr_ada", "Example/iOS"),
    scenario.Upload("bikes.mov", "usr_ada", "Example/Web"),
    scenario.Upload("car.mov", "usr_bob", "Example/iOS"),
]
PHOTOS = [
    scenario.Upload("cat.png", "usr_bob", "Example/Web"),
    scenario.Upload("coffee.png", "usr_ada", "Example/iOS"),
]


async def run_demo(console: Console, data: Path, footage: Footage) -> None:
    """Runs the demo in the folder `data`. Raises `DemoFailed`, or another `CliError`, at the first failure."""
    console.rule("1. A bitmill of its own")
    uploads = _copy_uploads(footage, data / "uploads")
    began = time.monotonic()
    async with platform_server(uploads) as platform, bitmill_process(data / "bitmill", _say(console)) as api:
        platform.secret = api.secret
        console.print(f"Five services, Apache Kafka and Postgres: ready after {time.monotonic() - began:.1f} s.")
        console.print(f"An example platform serves its users' uploads and receives webhooks at {platform.address}.\n")
        await until_failure(log_of(data), _show_all(console, api, platform, uploads, data))


def log_of(data: Path) -> Path:
    """The log of the demo's bitmill."""
    return data / "bitmill" / "log"


async def _show_all(console: Console, api: Api, platform: PlatformServer, uploads: Path, data: Path) -> None:
    await _show_jobs(console, api, platform, uploads, data)
    await _show_catalog(console, api, platform)


async def _show_jobs(console: Console, api: Api, platform: PlatformServer, uploads: Path, data: Path) -> None:
    console.rule("2. Three jobs for each video, all at once")
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=console) as bars:
        finished = await scenario.run_jobs(api, platform, VIDEOS, bars)
    console.print(f"{len(finished)} webhooks, every signature verified.\n")
    baseline = {}
    with console.status("The same with ffmpeg alone, one after another, for comparison …"):
        for done in finished:
            baseline[done.job["id"]] = await seconds_of_ffmpeg(uploads / done.upload.name, done.job, data)
    console.print(outputs_table(finished, baseline))


async def _show_catalog(console: Console, api: Api, platform: PlatformServer) -> None:
    console.rule("3. The catalog")
    items = await scenario.create_media(api, platform, [*VIDEOS, *PHOTOS])
    items = await scenario.wait_for_posters(api, items)
    console.print(f"{len(items)} uploads are media items with the platform's own metadata; bitmill made the posters.")
    for metadata in ({"user_id": "usr_ada"}, {"user_id": "usr_ada", "source": "Example/iOS"}):
        console.print(catalog_table(metadata, await scenario.find_media(api, metadata)))


def _say(console: Console) -> Callable[[str], None]:
    """Prints lines as they are: a path may have what rich takes for markup."""
    return partial(console.print, markup=False, highlight=False)


def _footage_folder(data: Path) -> Path:
    """In the current folder, where the next demo finds it; below `data` if nothing can be written there."""
    folder = default_data().absolute() / "footage"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return data / "footage"
    return folder


def _copy_uploads(footage: Footage, folder: Path) -> Path:
    """The platform's folder of uploads, under the names that its users gave them."""
    folder.mkdir()
    for name, path in (
        ("bunny.mov", footage.bunny),
        ("bikes.mov", footage.bikes),
        ("car.mov", footage.carphone),
        ("cat.png", footage.chelsea),
        ("coffee.png", footage.coffee),
    ):
        shutil.copy(path, folder / name)
    return folder


def _print_next_steps(console: Console) -> None:
    console.rule("What next")
    console.print(
        "Everything that ran has been stopped, its data removed. To keep one running:\n\n"
        "  make up             # prints address, key and a first request\n\n"
        "Or without any service, one file on this machine:\n\n"
        "  .venv/bin/ittybit video -i .bitmill/footage/bikes.mp4 -o small.mp4 --width 320\n",
        highlight=False,
    )


def print_failure(console: Console, error: Exception, log: Path) -> None:
    """Why the demo stopped, and the lines of the log that explain it."""
    console.print("[red]The demo stopped:[/]", end=" ")
    console.print(str(error) or type(error).__name__, markup=False, highlight=False)
    if lines := explanation(log, error.ids if isinstance(error, DemoFailed) else ()):
        console.print("\nThe log says:")
        for line in lines:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"\nThe whole log: {log}", soft_wrap=True)


def main() -> int:
    console = Console()
    # Kept if something fails, for the log in it.
    try:
        data = Path(tempfile.mkdtemp(prefix="bitmill-demo-"))
    except OSError as error:
        _say(console)(f"The demo needs a temporary folder: {error.strerror}; set TMPDIR to one that can be written to")
        return 1
    try:
        asyncio.run(run_demo(console, data, fetch_footage(_footage_folder(data), _say(console))))
    except (CliError, FootageUnavailable) as error:
        print_failure(console, error, log_of(data))
        return 1
    except OSError as error:  # a full disk, for example
        where, reason = error.filename or data, error.strerror or str(error) or "something took too long"
        print_failure(console, CliError(f"{where}: {reason}"), log_of(data))
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(data, ignore_errors=True)
        return 130
    shutil.rmtree(data, ignore_errors=True)
    _print_next_steps(console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
