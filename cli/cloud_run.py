"""The inputs of one command through the API: a file is uploaded, a job made and followed, the output downloaded."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.api_address import Address
from cli.api_client import ApiClient, open_client
from cli.connection_names import connection_id
from cli.job_follow import create_and_follow
from cli.job_lines import JobLine, free_target, output_path, require_places
from cli.job_options import extension_of, is_s3, request_body
from cli.parallel import run_lines
from cli.reporter import Reporter
from cli.transfers import readable, upload

AT_ONCE = 8
"""Inputs that are uploaded or followed at a time."""


async def run_in_cloud(
    arguments: argparse.Namespace, lines: list[JobLine], values: dict[str, Any], address: Address, reporter: Reporter
) -> int:
    """Returns the exit status."""
    require_places(lines)
    for line in lines:
        if line.is_file:
            readable(line.input)
        _require_free(line, values.get("format"))
    async with open_client(address, debug=arguments.debug) as client:
        connection = await connection_id(client, arguments.connection)

        async def run(line: JobLine, own: Reporter) -> int:
            return await _Job(client, arguments, line, values, connection).run(own)

        return await run_lines(lines, reporter, run, at_once=AT_ONCE)


@dataclass(frozen=True)
class _Job:
    client: ApiClient
    arguments: argparse.Namespace
    line: JobLine
    values: dict[str, Any]
    connection: str | None

    async def run(self, reporter: Reporter) -> int:
        line, input, size = self.line, self.line.input, None
        if line.is_file:
            path = readable(input)
            size = path.stat().st_size
            input = (await upload(self.client, path, reporter))["address"]
        body = request_body(self.arguments, input, line.output, self.values)
        if self.connection is not None:
            body["connection_id"] = self.connection
        wait = not self.arguments.detach
        return await create_and_follow(self.client, body, reporter, target=self._target, wait=wait, input_bytes=size)

    def _target(self, job: dict[str, Any]) -> Path | None:
        """A file gives a file; the output of an address stays in the installation, unless a file was named for it."""
        if is_s3(self.line.output) or not (self.line.is_file or self.line.output or self.line.folder):
            return None
        return output_path(self.line, job["output"]["format"])


def _require_free(line: JobLine, format: str | None) -> None:
    """Before any work, as far as the name of the output is known. Raises `UsageError`."""
    if is_s3(line.output):
        return
    if line.output is not None:
        free_target(Path(line.output), line)
    elif format is not None or line.kind == "video":
        name = f"{line.stem}-{line.kind}.{extension_of(format or 'mp4')}"
        if line.is_file or line.folder:
            free_target(Path(line.folder) / name, line)
