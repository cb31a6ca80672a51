"""One job in this process, without any service: the workers' own code, on files of this machine."""

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.sandbox import self_test
from chassis.core import logs
from chassis.core.settings import StartRefused, load
from cli.errors import CliError, UsageError
from cli.job_lines import JobLine, output_path, require_places
from cli.job_options import extension_of, is_s3, is_url
from cli.local_input import fault_of, open_input, readable_file
from cli.local_s3 import check_output, store_object
from cli.parallel import run_lines
from cli.reporter import Reporter, summary
from cli.safe_text import printable
from media.faults import MediaFault
from media.info import MediaInfo
from media.tools import Tools, open_tools
from schemas.faults import FAULTS, Fault, OutputWarning, warning_resource
from schemas.options import ImageOptions, VideoOptions
from worker.s3_faults import StoreFailed
from worker.settings import SandboxSettings

log = logs.get_logger(__name__)


async def run_locally(
    lines: Sequence[JobLine],
    options: VideoOptions | ImageOptions,
    reporter: Reporter,
    *,
    connection: str | None = None,
    debug: bool = False,
    at_once: int | None = None,
) -> int:
    """Fetch or open each input, make its output, report; returns the exit status. `connection`: of s3:// addresses.

    `at_once` inputs are worked on at a time: by default two for each three processors, at most 8.
    """
    logs.configure("text", "debug" if debug else "error")
    require_places(lines)
    for line in lines:
        if not is_url(line.input):
            readable_file(line.input)
        if line.output is not None and is_s3(line.output):
            check_output(line.output)
    with tempfile.TemporaryDirectory(prefix="bitmill-") as folder:
        try:
            await check_sandbox()
            async with open_tools(Path(folder)) as tools:
                place = _Place(options, tools, Path(folder), connection, debug)
                most = at_once or min(8, 1 + (os.cpu_count() or 1) * 2 // 3)
                return await run_lines(lines, reporter, place.run, at_once=most)
        except StartRefused as error:
            raise UsageError(str(error)) from None


@dataclass(frozen=True)
class _Place:
    """What all jobs of a command share."""

    options: VideoOptions | ImageOptions
    tools: Tools
    scratch: Path
    connection: str | None
    debug: bool

    async def run(self, line: JobLine, reporter: Reporter) -> int:
        try:
            with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
                return await self._run(line, reporter, Path(folder))
        except CliError:
            raise
        except (MediaFault, FetchError, StoreFailed) as error:
            return _failed(line, reporter, fault_of(error))
        except Exception as error:
            log.error("local_job_failed", detail=str(error), exc_info=self.debug)
            return _failed(line, reporter, Fault(kind="internal_error", message=FAULTS["internal_error"]))

    async def _run(self, line: JobLine, reporter: Reporter, folder: Path) -> int:
        source = await open_input(line.input, folder, reporter, self.connection)
        reporter.progress("probe", None)
        info = await self.tools.prober.probe(source)
        format = self.options.format or _image_format(info)
        in_bucket = line.output if line.output is not None and is_s3(line.output) else None
        target = folder / f"made.{extension_of(format)}" if in_bucket else output_path(line, format)
        try:
            made, rescued = await make(source, info, self.options, target, self.tools, reporter)
        except OSError as error:
            raise CliError(f"--output {target} cannot be written: {error.strerror or error}") from None
        warnings = [warning_resource(warning) for warning in rescued]
        place = str(target)
        if in_bucket:
            reporter.progress("store", None)
            place = await store_object(target, in_bucket, self.connection, input=line.input, kind=line.kind, info=made)
        output = {"url" if in_bucket else "path": place, **_output_fields(made), "warnings": warnings}
        told = "".join(f"\nwarning: {warning['message']} [{warning['kind']}]" for warning in warnings)
        sentence = f"{printable(place)}  ({summary(output, source.stat().st_size)}){told}"
        reporter.result(_job_resource(line, "succeeded", output=output), sentence)
        return 0


def _failed(line: JobLine, reporter: Reporter, fault: Fault) -> int:
    """Reports the end of the job with the sentence that the API would show."""
    resource = _job_resource(line, "failed", error=fault.model_dump())
    reporter.result(resource, f"failed: {fault.message} [{fault.kind}]")
    return 1


async def check_sandbox() -> None:
    """Also on the user's own machine: a film from elsewhere must not read the files of whoever converts it."""
    sandbox = await self_test.require(load(SandboxSettings).sandbox)
    if not sandbox.enforced:
        print(f"sandbox: {sandbox.summary()}", file=sys.stderr)


async def make(
    source: Path,
    info: MediaInfo,
    options: VideoOptions | ImageOptions,
    target: Path,
    tools: Tools,
    reporter: Reporter,
) -> tuple[MediaInfo, tuple[OutputWarning, ...]]:
    match options:
        case VideoOptions():
            from services.transcoder import encode as video

            end = min(options.end or info.duration or 0.0, info.duration or 0.0)
            seconds = max(0.0, end - (options.start or 0.0)) or None
            film = await video.encode(
                source,
                info,
                options,
                target.absolute(),
                tools,
                lambda fraction: reporter.progress("video", fraction, seconds, "seconds" if seconds else None),
            )
            return film.info, film.warnings
        case ImageOptions():
            from services.thumbnailer import encode as images

            image = await images.encode(
                source, info, options, target.absolute(), tools, lambda fraction: reporter.progress("image", fraction)
            )
            return image.info, ()


def _image_format(info: MediaInfo) -> str:
    return info.format if info.kind == "image" and info.format in ("jpeg", "png", "webp", "avif") else "jpeg"


def _output_fields(info: MediaInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in ("kind", "format", "width", "height", "duration", "filesize")}


def _job_resource(
    line: JobLine,
    status: str,
    *,
    output: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "object": "job",
        "kind": line.kind,
        "status": status,
        "input": line.input,
        "output": output,
        "error": error,
    }
