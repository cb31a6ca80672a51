"""The tables that the demo prints."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from devtools.demo.scenario import FinishedJob


def outputs_table(finished: list[FinishedJob], baseline: Mapping[str, float]) -> Table:
    """The outputs: size, dimensions, and the time of bitmill beside that of ffmpeg alone, by job id in `baseline`."""
    table = Table(title="Outputs", title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD)
    for column in ("Upload", "Job", "Format", "Size", "Pixels", "bitmill", "ffmpeg"):
        table.add_column(column, justify="left" if column in ("Upload", "Job", "Format") else "right", no_wrap=True)
    for done in finished:
        output = done.job["output"]
        table.add_row(
            done.upload.name,
            done.role,
            output["format"],
            f"{output['filesize'] / 1000:,.0f} kB",
            f"{output['width']}x{output['height']}",
            f"{done.seconds:.2f} s",
            f"{baseline[done.job['id']]:.2f} s",
        )
    table.caption = "bitmill: all at once, with fetching, checking and storing. ffmpeg: alone, one after another."
    return table


def catalog_table(metadata: Mapping[str, str], found: Mapping[str, Any]) -> Table:
    """One query of the catalog and its result."""
    query = "&".join(f"metadata.{key}={value}" for key, value in metadata.items())
    title = f"GET /media?{query}: {found['meta']['total']} found"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, min_width=len(title))
    for column in ("Title", "Kind", "Pixels", "Length", "Background", "Poster"):
        table.add_column(column, overflow="fold")
    for item in found["data"]:
        length = f"{item['duration']:.1f} s" if item["duration"] else ""
        pixels = f"{item['width']}x{item['height']}"
        poster = item.get("poster") or ""
        table.add_row(item["title"], item["kind"], pixels, length, item["background"], poster.rpartition("/")[2])
    return table
