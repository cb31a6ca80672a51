"""`bitmill video` and `bitmill image`: one job, here or through the API."""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from cli.errors import UsageError
from cli.show import Show, open_show
from schemas.explain import explain
from schemas.options import OPTIONS, ImageOptions, VideoOptions

EXTENSIONS = {"jpg": "jpeg"}


def is_url(text: str) -> bool:
    return "://" in text


def in_cloud(arguments: argparse.Namespace) -> bool:
    """Where the job runs: as asked; otherwise a URL goes to the API when a key is configured, a file stays here."""
    if arguments.cloud or arguments.local:
        return bool(arguments.cloud)
    return is_url(arguments.input) and bool(os.environ.get("ITTYBIT_API_KEY"))


def options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options as the API takes them; the format from the output's extension where none is named."""
    found = {
        name: getattr(arguments, name)
        for name in ("format", "quality", "width", "height", "start", "end")
        if getattr(arguments, name) is not None
    }
    if found.get("format") in EXTENSIONS:
        found["format"] = EXTENSIONS[found["format"]]
    extension = Path(arguments.output).suffix.lower().lstrip(".") if arguments.output else ""
    if extension:
        named = EXTENSIONS.get(extension, extension)
        if found.setdefault("format", named) != named:
            raise UsageError(f"--output {arguments.output} does not fit --format {found['format']}")
    return found


def checked(kind: str, values: dict[str, Any]) -> VideoOptions | ImageOptions:
    """The options, refused in the API's own words but with the shell's names."""
    try:
        return OPTIONS[kind].model_validate(values)
    except ValidationError as error:
        faults = explain(error)
        lines = (f"--{fault.field} {fault.rule} (got {fault.value})" for fault in faults)
        raise UsageError("; ".join(lines).replace("--body ", "")) from None


def local_output(arguments: argparse.Namespace, format: str) -> Path:
    """Where a local result goes: `--output`, or the input's name in the current folder, never the input itself."""
    if arguments.output:
        if is_url(arguments.output):
            raise UsageError(f"--output {arguments.output} must be a file when the work is done here")
        return Path(arguments.output)
    path = unquote(urlsplit(arguments.input).path) if is_url(arguments.input) else arguments.input
    stem = Path(path).stem or "output"
    extension = "jpg" if format == "jpeg" else format
    target = Path(f"{stem}.{extension}")
    source = Path(arguments.input)
    if target.exists() and source.exists() and target.samefile(source):
        target = Path(f"{stem}-{arguments.kind}.{extension}")
    return target


def run(arguments: argparse.Namespace) -> int:
    values = options(arguments)
    wanted = checked(arguments.kind, values)
    with open_show(arguments, sys.stdout, sys.stderr) as show:
        return asyncio.run(_run(arguments, values, wanted, show))


async def _run(
    arguments: argparse.Namespace, values: dict[str, Any], wanted: VideoOptions | ImageOptions, show: Show
) -> int:
    if in_cloud(arguments):
        from cli.cloud import run_job

        return await run_job(arguments, values, show)
    from cli.local import run_here

    return await run_here(arguments, wanted, show)
