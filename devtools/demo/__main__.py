"""`python -m devtools.demo`: set the stage, play, show, clear away. Exit status 0 when everything truly worked."""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.args import default_data
from cli.errors import CliError
from devtools.demo import darkroom, story, system
from devtools.demo.bare import seconds_of_bare_ffmpeg
from devtools.demo.report import catalog_table, outputs_table
from devtools.footage import Footage, FootageUnavailable, fetch_footage

UPLOADS = (
    story.Upload("bunny.mov", "usr_ada", "Darkroom/iOS"),
    story.Upload("bikes.mov", "usr_ada", "Darkroom/Web"),
    story.Upload("car.mov", "usr_bob", "Darkroom/iOS"),
)
PHOTOS = (
    story.Upload("cat.png", "usr_bob", "Darkroom/Web"),
    story.Upload("coffee.png", "usr_ada", "Darkroom/iOS"),
)


async def play(console: Console, data: Path) -> bool:
    """The whole demonstration; whether every job succeeded."""
    console.rule("1. A bitmill of its own")
    uploads = _uploaded(fetch_footage(default_data().absolute() / "footage", console.print), data / "uploads")
    began = time.monotonic()
    async with darkroom.running(uploads) as room, system.running(data / "bitmill", console.print) as bitmill:
        room.secret = bitmill.secret
        console.print(f"Five services, Apache Kafka and Postgres: ready after {time.monotonic() - began:.1f} s.")
        console.print(f"Darkroom keeps its uploads at {room.address}/uploads/ and waits for webhooks.\n")

        console.rule("2. Three jobs for each upload, all at once")
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
        with Progress(*columns, console=console) as bars:
            made = await story.transform(bitmill, room, list(UPLOADS), bars)
        good = all(done.job["status"] == "succeeded" for done in made) and room.refused == 0
        console.print(f"{len(made)} webhooks, every signature verified.\n")
        bare = {}
        with console.status("The same with bare ffmpeg, one after another, for comparison …"):
            for done in made:
                if done.job["status"] == "succeeded":
                    bare[done.job["id"]] = await seconds_of_bare_ffmpeg(uploads, done, data)
        console.print(outputs_table(made, bare))

        console.rule("3. The catalog")
        items = await story.collect(bitmill, room, [*UPLOADS, *PHOTOS])
        items = await story.with_posters(bitmill, items)
        console.print(f"{len(items)} uploads stored under Darkroom's own metadata; posters came by themselves.")
        for wanted in ({"user_id": "usr_ada"}, {"user_id": "usr_ada", "source": "Darkroom/iOS"}):
            found = await story.find(bitmill, **wanted)
            console.print(catalog_table(wanted, found))
            good = good and found["meta"]["total"] > 0
    return good


def _uploaded(footage: Footage, folder: Path) -> Path:
    """Darkroom's folder of uploads, under the names that its users gave them."""
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


def _next_steps(console: Console) -> None:
    console.rule("What next")
    console.print(
        "Everything that ran has been stopped, its data removed. To keep one running:\n\n"
        "  make up             # address, key and a first curl on one screen\n\n"
        "Or without any service, one file here:\n\n"
        "  .venv/bin/ittybit video -i .bitmill/footage/bikes.mp4 -o small.mp4 --width 320\n",
        highlight=False,
    )


def main() -> int:
    console = Console()
    # Kept when something goes wrong: the log in it says what.
    data = Path(tempfile.mkdtemp(prefix="bitmill-demo-"))
    log = data / "bitmill" / "log"
    try:
        good = asyncio.run(play(console, data))
    except (CliError, FootageUnavailable, TimeoutError) as error:
        console.print(
            f"[red]The demonstration stopped:[/] {error or 'a job took too long'}\nIts log: {data / 'bitmill' / 'log'}"
        )
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(data, ignore_errors=True)
        return 130
    if not good:
        console.print(f"[red]Not every job succeeded.[/] The log: {log}")
        return 1
    shutil.rmtree(data, ignore_errors=True)
    _next_steps(console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
