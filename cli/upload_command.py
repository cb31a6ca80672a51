"""`ittybit upload`: files are sent to the API's storage; their addresses can be inputs of jobs and media items."""

import argparse

from cli.api_client import ApiClient
from cli.api_command import through_api
from cli.bar import size_text
from cli.job_lines import JobLine, expanded
from cli.parallel import run_lines
from cli.reporter import Reporter
from cli.transfers import readable, upload

AT_ONCE = 4


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 if every file was stored."""
    names = [name for text in arguments.file for name in expanded(text)]
    for name in names:
        readable(name)

    async def work(client: ApiClient, reporter: Reporter) -> int:
        async def send(line: JobLine, own: Reporter) -> int:
            stored = await upload(client, readable(line.input), own)
            own.result({**stored, "file": line.input}, f"{stored['address']}  ({size_text(stored['size'])})")
            return 0

        return await run_lines([JobLine("upload", name) for name in names], reporter, send, at_once=AT_ONCE)

    return through_api(arguments, "upload", work, bars=True)
