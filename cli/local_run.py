"""One job in this process, without any service: the workers' own code, on files of this machine."""

import os
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from errno import EACCES
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.lookups import NameServersUnavailable
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.sandbox import self_test
from chassis.core import logs
from chassis.core.settings import StartRefused, load
from cli.errors import CliError, UsageError
from cli.job_lines import JobLine, output_path, require_places
from cli.job_options import is_url
from cli.parallel import run_lines
from cli.reporter import Reporter, summary
from cli.safe_text import printable
from media.faults import MediaFault
from media.info import MediaInfo
from media.tools import Tools, open_tools
from schemas.faults import FAULTS, Fault, OutputWarning, warning_resource
from schemas.options import ImageOptions, VideoOptions
from worker.input import fetch_fault
from worker.settings import SandboxSettings

_ALL_NETWORKS = (ip_network("0.0.0.0/0"), ip_network("::/0"))
"""Users may fetch from their own network on their own machine; only the API restricts addresses."""

log = logs.get_logger(__name__)


async def run_locally(
    lines: Sequence[JobLine],
    options: VideoOptions | ImageOptions,
    reporter: Reporter,
    *,
    debug: bool = False,
    at_once: int | None = None,
) -> int:
    """Fetch or open each input, make its output, report; returns the exit status.

    `at_once` inputs are worked on at a time: by default two for each three processors, at most 8.
    """
    logs.configure("text", "debug" if debug else "error")
    require_places(lines)
    for line in lines:
        if not is_url(line.input):
            _readable_file(line.input)
    with tempfile.TemporaryDirectory(prefix="bitmill-") as folder:
        try:
            await check_sandbox()
            async with open_tools(Path(folder)) as tools:
                place = _Place(options, tools, Path(folder), debug)
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
    debug: bool

    async def run(self, line: JobLine, reporter: Reporter) -> int:
        try:
            with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
                return await self._run(line, reporter, Path(folder))
        except CliError:
            raise
        except (MediaFault, FetchError) as error:
            return _failed(line, reporter, fetch_fault(error) if isinstance(error, FetchError) else error.fault())
        except Exception as error:
            log.error("local_job_failed", detail=str(error), exc_info=self.debug)
            return _failed(line, reporter, Fault(kind="internal_error", message=FAULTS["internal_error"]))

    async def _run(self, line: JobLine, reporter: Reporter, folder: Path) -> int:
        source = await open_input(line.input, folder, reporter)
        reporter.progress("probe", None)
        info = await self.tools.prober.probe(source)
        target = output_path(line, self.options.format or _image_format(info))
        try:
            made, rescued = await make(source, info, self.options, target, self.tools, reporter)
        except OSError as error:
            raise CliError(f"--output {target} cannot be written: {error.strerror or error}") from None
        warnings = [warning_resource(warning) for warning in rescued]
        output = {"path": str(target), **_output_fields(made), "warnings": warnings}
        told = "".join(f"\nwarning: {warning['message']} [{warning['kind']}]" for warning in warnings)
        sentence = f"{printable(str(target))}  ({summary(output, source.stat().st_size)}){told}"
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


async def open_input(name: str, scratch: Path, reporter: Reporter) -> Path:
    if is_url(name):
        if not name.startswith(("http://", "https://")):
            raise UsageError(f"--input {name} must be a file, http:// or https:// when the work is done here")
        reporter.progress("fetch", None)
        target = scratch / "input"
        try:
            policy, on_size = EgressPolicy(_ALL_NETWORKS), _Fetched(reporter)
            await fetch(name, target, policy, FetchLimits(), project="local", on_size=on_size)
        except NameServersUnavailable:
            raise CliError(f"--input {name}: no name server answers; connect to a network") from None
        return target
    return _readable_file(name)


class _Fetched:
    """Reports a download: `fetch` calls it with the announced size, if there is one, then with what has arrived."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._size: int | None = None

    def __call__(self, size: int) -> None:
        if self._size is None:
            self._size = size
        elif self._size > 0 and size <= self._size:
            self._reporter.progress("fetch", size / self._size, self._size, "bytes")


def _readable_file(name: str) -> Path:
    path = Path(name)
    if path.is_dir():
        raise CliError(f"--input {name} is a folder; name a file")
    if not path.is_file():
        raise CliError(f"--input {name}: there is no such file")
    try:
        path.open("rb").close()
        if not _readable_by_child(path.stat()):
            raise PermissionError(EACCES, os.strerror(EACCES))
    except OSError as error:
        raise CliError(f"--input {name} cannot be read: {error.strerror}") from None
    return path.absolute()


def _readable_by_child(status: os.stat_result) -> bool:
    """Whether this user may read the file without the rights of root, which a sandboxed child does not have."""
    if status.st_uid == os.geteuid():
        return bool(status.st_mode & stat.S_IRUSR)
    if status.st_gid in {os.getegid(), *os.getgroups()}:
        return bool(status.st_mode & stat.S_IRGRP)
    return bool(status.st_mode & stat.S_IROTH)


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
