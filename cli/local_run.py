"""One job in this process, without any service: the workers' own code, on files of this machine."""

import argparse
import os
import stat
import sys
import tempfile
from errno import EACCES
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.lookups import NameServersUnavailable
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.sandbox import self_test
from chassis.core import logs
from chassis.core.settings import StartRefused, load
from cli.errors import CliError, UsageError
from cli.job_options import is_url, require_output
from cli.reporter import Reporter, summary
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


async def run_locally(arguments: argparse.Namespace, options: VideoOptions | ImageOptions, reporter: Reporter) -> int:
    """Fetch or open the input, make the output, report; returns the exit status."""
    logs.configure("text", "debug" if arguments.debug else "error")
    if arguments.output and not is_url(arguments.output):
        require_output(arguments.output)
    with tempfile.TemporaryDirectory(prefix="bitmill-") as folder:
        scratch = Path(folder)
        try:
            await _check_sandbox()
            source = await _open_input(arguments.input, scratch, reporter)
            async with open_tools(scratch) as tools:
                reporter.progress("probe", None)
                info = await tools.prober.probe(source)
                target = output_path(arguments, options.format or _image_format(info))
                try:
                    made, rescued = await _make(source, info, options, target, tools, reporter)
                except OSError as error:
                    raise CliError(f"--output {target} cannot be written: {error.strerror or error}") from None
        except StartRefused as error:
            raise UsageError(str(error)) from None
        except CliError:
            raise
        except (MediaFault, FetchError) as error:
            return _failed(arguments, reporter, fetch_fault(error) if isinstance(error, FetchError) else error.fault())
        except Exception as error:
            log.error("local_job_failed", detail=str(error), exc_info=arguments.debug)
            fault = Fault(kind="internal_error", message=FAULTS["internal_error"])
            return _failed(arguments, reporter, fault)
    warnings = [warning_resource(warning) for warning in rescued]
    output = {"path": str(target), **_output_fields(made), "warnings": warnings}
    told = "".join(f"\nwarning: {warning['message']} [{warning['kind']}]" for warning in warnings)
    reporter.result(_job_resource(arguments, "succeeded", output=output), f"{target}  ({summary(output)}){told}")
    return 0


def _failed(arguments: argparse.Namespace, reporter: Reporter, fault: Fault) -> int:
    """Reports the end of the job with the sentence that the API would show."""
    resource = _job_resource(arguments, "failed", error=fault.model_dump())
    reporter.result(resource, f"failed: {fault.message} [{fault.kind}]")
    return 1


def output_path(arguments: argparse.Namespace, format: str) -> Path:
    """Where the output goes: `--output`, or the input's name in the current folder. It is never the input itself."""
    if arguments.output:
        if is_url(arguments.output):
            raise UsageError(f"--output {arguments.output} must be a file when the work is done here")
        target = Path(arguments.output)
        if _is_input(target, arguments.input):
            raise UsageError(f"--output {arguments.output} is the input; choose another name")
        return target
    path = unquote(urlsplit(arguments.input).path) if is_url(arguments.input) else arguments.input
    stem = Path(path).stem or "output"
    extension = "jpg" if format == "jpeg" else format
    target = Path(f"{stem}.{extension}")
    return Path(f"{stem}-{arguments.kind}.{extension}") if _is_input(target, arguments.input) else target


def _is_input(target: Path, name: str) -> bool:
    source = Path(name)
    return target.exists() and source.exists() and target.samefile(source)


async def _check_sandbox() -> None:
    """Also on the user's own machine: a film from elsewhere must not read the files of whoever converts it."""
    sandbox = await self_test.require(load(SandboxSettings).sandbox)
    if not sandbox.enforced:
        print(f"sandbox: {sandbox.summary()}", file=sys.stderr)


async def _open_input(name: str, scratch: Path, reporter: Reporter) -> Path:
    if is_url(name):
        if not name.startswith(("http://", "https://")):
            raise UsageError(f"--input {name} must be a file, http:// or https:// when the work is done here")
        reporter.progress("fetch", None)
        target = scratch / "input"
        try:
            await fetch(name, target, EgressPolicy(_ALL_NETWORKS), FetchLimits(), project="local")
        except NameServersUnavailable:
            raise CliError(f"--input {name}: no name server answers; connect to a network") from None
        return target
    return _readable_file(name)


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


async def _make(
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

            film = await video.encode(
                source, info, options, target.absolute(), tools, lambda fraction: reporter.progress("video", fraction)
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
    arguments: argparse.Namespace,
    status: str,
    *,
    output: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "object": "job",
        "kind": arguments.kind,
        "status": status,
        "input": arguments.input,
        "output": output,
        "error": error,
    }
