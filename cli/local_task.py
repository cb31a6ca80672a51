"""One task in this process: a file object in, a file object with a `file://` address out."""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from chassis.adapters.egress.errors import FetchError
from chassis.core import logs
from chassis.core.settings import StartRefused
from cli.errors import CliError, UsageError
from cli.job_lines import JobLine, free_target, output_path, require_output
from cli.job_options import extension_of, is_s3, validated
from cli.local_input import fault_of, open_input
from cli.local_run import check_sandbox, make
from cli.local_s3 import store_object
from cli.reporter import Reporter, summary
from cli.safe_text import printable
from media.faults import MediaFault
from media.info import MediaInfo
from media.tools import Tools, open_tools
from schemas.faults import Fault
from worker.s3_faults import StoreFailed

_FACTS = ("kind", "format", "width", "height", "duration", "fps", "filesize")


async def run_task(
    arguments: argparse.Namespace, file: dict[str, Any], options: dict[str, Any], reporter: Reporter
) -> int:
    """Reports the task; returns the exit status."""
    logs.configure("text", "debug" if arguments.debug else "error")
    require_output(arguments.output)
    line = JobLine(arguments.kind, _name(file["url"]), arguments.output, force=arguments.force)
    with tempfile.TemporaryDirectory(prefix="bitmill-") as folder:
        try:
            await check_sandbox()
            async with open_tools(Path(folder)) as tools:
                path, info = await _done(line, options, tools, Path(folder), reporter, arguments.connection)
        except StartRefused as error:
            raise UsageError(str(error)) from None
        except (MediaFault, FetchError, StoreFailed) as error:
            return _report(reporter, line, file, None, fault_of(error))
        url = path if isinstance(path, str) else path.absolute().as_uri()
    return _report(reporter, line, file, {**_file(info), "url": url}, None)


async def _done(
    line: JobLine, options: dict[str, Any], tools: Tools, scratch: Path, reporter: Reporter, connection: str | None
) -> tuple[Path | str, MediaInfo]:
    """The file that the task leaves, or its address in a bucket, and its facts."""
    model = validated(line.kind, options) if line.kind not in ("probe", "import", "export") else None
    source = await open_input(line.input, scratch, reporter, connection)
    info = await tools.prober.probe(source)
    if model is not None:
        target = output_path(line, model.format or "jpeg")
        made, _ = await make(source, info, model, target, tools, reporter)
        return target, made
    if line.kind == "probe":
        return Path(line.input) if line.is_file else line.input, info
    if line.kind == "export" and line.output is None:
        raise UsageError("task export needs --output")
    if line.output is not None and is_s3(line.output):
        stored = await store_object(source, line.output, connection, input=line.input, kind=line.kind, info=info)
        return stored, info
    extension = extension_of(info.format)
    target = Path(line.output) if line.output else Path(f"{line.stem}-{line.kind}.{extension}")
    _copy(source, free_target(target, line))
    return target, info


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, partial)
        partial.replace(target)
    except OSError as error:
        raise CliError(f"--output {target} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def _name(url: str) -> str:
    """The file that a `file://` address names; any other address itself."""
    return unquote(urlsplit(url).path) if url.startswith("file://") else url


def _file(info: MediaInfo) -> dict[str, Any]:
    return {"object": "file", **{name: getattr(info, name) for name in _FACTS}}


def _report(
    reporter: Reporter, line: JobLine, file: dict[str, Any], output: dict[str, Any] | None, fault: Fault | None
) -> int:
    status = "failed" if fault else "succeeded"
    resource = {"object": "task", "kind": line.kind, "status": status, "input": file, "output": output}
    sentence = (
        f"failed: {fault.message} [{fault.kind}]"
        if output is None and fault
        else f"{printable(str((output or {}).get('url')))}  ({summary(output or {})})"
    )
    reporter.result({**resource, "error": fault.model_dump() if fault else None}, sentence)
    return 1 if fault else 0
