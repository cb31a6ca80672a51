"""What the commands that work through the API share: the address, a client, a reporter, an event loop."""

import argparse
import sys
from collections.abc import Awaitable, Callable

from cli.api_address import api_address
from cli.api_client import ApiClient, open_client
from cli.parallel import run_loop
from cli.reporter import Reporter, open_reporter

ApiWork = Callable[[ApiClient, Reporter], Awaitable[int]]


def through_api(arguments: argparse.Namespace, used_by: str, work: ApiWork, *, bars: bool = False) -> int:
    """The exit status that `work` returns. `bars`: whether it reports progress."""
    address = api_address(used_by)

    async def run(reporter: Reporter) -> int:
        async with open_client(address) as client:
            return await work(client, reporter)

    with open_reporter(arguments, sys.stdout, sys.stderr, bars=bars) as reporter:
        return run_loop(run(reporter))
