"""The input of a job on this machine: a file, an address that is fetched, an object in a bucket; and why it fails."""

import os
import stat
from errno import EACCES
from ipaddress import ip_network
from pathlib import Path

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.lookups import NameServersUnavailable
from chassis.adapters.egress.policy import EgressPolicy
from cli.errors import CliError, UsageError
from cli.job_options import is_s3, is_url
from cli.local_s3 import fetch_object
from cli.reporter import Reporter
from media.faults import MediaFault
from schemas.faults import Fault
from worker.input import fetch_fault
from worker.s3_faults import StoreFailed

_ALL_NETWORKS = (ip_network("0.0.0.0/0"), ip_network("::/0"))
"""Users may fetch from their own network on their own machine; only the API restricts addresses."""


def fault_of(error: MediaFault | FetchError | StoreFailed) -> Fault:
    """The code and the sentence that the API would show."""
    match error:
        case StoreFailed():
            return error.fault
        case FetchError():
            return fetch_fault(error)
        case MediaFault():
            return error.fault()


async def open_input(name: str, scratch: Path, reporter: Reporter, connection: str | None = None) -> Path:
    """The input as a file of this machine. Raises `CliError`, FetchError and StoreFailed."""
    if is_s3(name):
        reporter.progress("fetch", None)
        target = scratch / "input"
        await fetch_object(name, target, connection, lambda _: None)
        return target
    if is_url(name):
        if not name.startswith(("http://", "https://")):
            raise UsageError(
                f"--input {name} must be a file, or start with http://, https:// or s3://, when the work is done here"
            )
        reporter.progress("fetch", None)
        target = scratch / "input"
        try:
            policy, on_size = EgressPolicy(_ALL_NETWORKS), _Fetched(reporter)
            await fetch(name, target, policy, FetchLimits(), project="local", on_size=on_size)
        except NameServersUnavailable:
            raise CliError(f"--input {name}: no name server answers; connect to a network") from None
        return target
    return readable_file(name)


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


def readable_file(name: str) -> Path:
    """The file of this name. Raises `CliError`, also where a sandboxed child could not read it."""
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
