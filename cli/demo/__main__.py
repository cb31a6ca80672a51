"""`python -m cli.demo`: set the stage, play, show, clear away. Exit status 0 when everything truly worked."""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.args import default_data
from cli.demo import darkroom, story, system
from cli.demo.bare import seconds_of_bare_ffmpeg
from cli.demo.report import catalog_table, outputs_table
from cli.errors import CliError
from cli.footage import FootageUnavailable, fetch_footage

UPLOADS = (
    story.Upload("bigbuckbunny.mp4", "usr_ada", "Darkroom/iOS"),
    story.Upload("bikes.mp4", "usr_ada", "Darkroom/Web"),
    story.Upload("carphone_pristine.mp4", "usr_bob", "Darkroom/iOS"),
)
PHOTOS = (
    story.Upload("chelsea.png", "usr_bob", "Darkroom/Web"),
    story.Upload("coffee.png", "usr_ada", "Darkroom/iOS"),
)


async def play(console: Console, data: Path) -> bool:
    """The whole demonstration; whether every job succeeded."""
    console.rule("1. A bitmill of its own")
    footage = fetch_footage(default_data().absolute() / "footage", console.print)
    began = time.monotonic()
    async with darkroom.running(footage.bunny.parent) as room, system.running(data, console.print) as bitmill:
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
                    bare[done.job["id"]] = await seconds_of_bare_ffmpeg(footage.bunny.parent, done, data)
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


def _next_steps(console: Console) -> None:
    console.rule("What next")
    console.print(
        "Everything that ran has been stopped, its data removed. To keep one running:\n\n"
        "  make up                                    # address, key and a first curl on one screen\n"
        "  source .venv/bin/activate                  # then, without any service:\n"
        "  ittybit video -i .bitmill/footage/bikes.mp4 -o bikes-small.mp4 --width 320\n",
        highlight=False,
    )


def main() -> int:
    console = Console()
    # Kept when something goes wrong: the log in it says what.
    data = Path(tempfile.mkdtemp(prefix="bitmill-demo-"))
    try:
        good = asyncio.run(play(console, data))
    except (CliError, FootageUnavailable, TimeoutError) as error:
        console.print(f"[red]The demonstration stopped:[/] {error or 'a job took too long'}\nIts log: {data / 'log'}")
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(data, ignore_errors=True)
        return 130
    if not good:
        console.print(f"[red]Not every job succeeded.[/] The log: {data / 'log'}")
        return 1
    shutil.rmtree(data, ignore_errors=True)
    _next_steps(console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
