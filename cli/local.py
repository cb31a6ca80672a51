"""One job here, without any service: the workers' own planners and children, on files of this machine."""

import argparse
import tempfile
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.policy import EgressPolicy
from chassis.core import logs
from cli.cloud import summary
from cli.errors import CliError, UsageError
from cli.jobs import is_url, local_output
from cli.show import Show
from media.faults import MediaFault
from media.info import MediaInfo
from media.tools import Tools, open_tools
from schemas.options import ImageOptions, VideoOptions
from worker.input import fetch_fault

_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
"""A person at their own shell may fetch from their own network; only the API must not be talked into it."""


async def run_here(arguments: argparse.Namespace, options: VideoOptions | ImageOptions, show: Show) -> int:
    logs.configure("text", "debug" if arguments.debug else "error")
    with tempfile.TemporaryDirectory(prefix="bitmill-") as folder:
        work = Path(folder)
        try:
            source = await _source(arguments.input, work, show)
            async with open_tools(work) as tools:
                show.progress("probe", None)
                info = await tools.prober.probe(source)
                target = local_output(arguments, options.format or _image_format(info))
                made = await _make(source, info, options, target, tools, show)
        except (MediaFault, FetchError) as error:
            fault = fetch_fault(error) if isinstance(error, FetchError) else error.fault()
            show.result(
                _resource(arguments, "failed", None, fault.model_dump()), f"failed: {fault.message} [{fault.kind}]"
            )
            return 1
    output = {"path": str(target), **_described(made)}
    show.result(_resource(arguments, "succeeded", output, None), f"{target}  ({summary(output)})")
    return 0


async def _source(name: str, work: Path, show: Show) -> Path:
    if is_url(name):
        if not name.startswith(("http://", "https://")):
            raise UsageError(f"--input {name} must be a file, http:// or https:// when the work is done here")
        show.progress("fetch", None)
        target = work / "input"
        await fetch(name, target, EgressPolicy(_EVERYWHERE), FetchLimits())
        return target
    path = Path(name)
    if not path.is_file():
        raise CliError(f"--input {name}: there is no such file")
    return path.absolute()


async def _make(
    source: Path, info: MediaInfo, options: VideoOptions | ImageOptions, target: Path, tools: Tools, show: Show
) -> MediaInfo:
    if not target.absolute().parent.is_dir():
        raise CliError(f"--output {target}: there is no such folder")
    match options:
        case VideoOptions():
            from services.transcoder.encode import encode

            return await encode(source, info, options, target.absolute(), tools, lambda p: show.progress("video", p))
        case ImageOptions():
            from services.thumbnailer.picture import make

            picture = await make(source, info, options, target.absolute(), tools, lambda p: show.progress("image", p))
            return picture.info


def _image_format(info: MediaInfo) -> str:
    return info.format if info.kind == "image" and info.format in ("jpeg", "png", "webp", "avif") else "jpeg"


def _described(info: MediaInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in ("kind", "format", "width", "height", "duration", "filesize")}


def _resource(
    arguments: argparse.Namespace, status: str, output: dict[str, Any] | None, error: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "object": "job",
        "kind": arguments.kind,
        "status": status,
        "input": arguments.input,
        "output": output,
        "error": error,
    }
