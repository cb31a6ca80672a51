"""Fetches the inputs of jobs and imports to local files, and explains to the customer why one cannot be fetched."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from chassis.adapters.egress.errors import FetchError, FetchReason
from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.storage import Storage, StorageFull, StorageUnavailable
from chassis.core import logs
from chassis.core.encryption import Keyring, reveal_url
from chassis.core.retry import Backoff
from schemas.faults import Fault, FaultKind
from schemas.jobs import Job, url_context
from schemas.s3_addresses import is_s3
from worker.s3_files import S3Files

STORAGE_TIMEOUT = timedelta(minutes=10)
"""How long an attempt waits for a full disk or an unreachable storage before it ends."""
_FILENAME = "source"
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SERVER = "The server that holds the file"
_FETCH_FAULTS: dict[FetchReason, tuple[FaultKind, str]] = {
    "forbidden": ("input_forbidden", "{detail}"),
    "not_found": ("input_not_found", f"{_SERVER} says that it is not there ({{status}})."),
    "denied": ("input_denied", f"{_SERVER} refuses to give it out ({{status}}): sign the URL or make it public."),
    "too_large": ("input_too_large", "The file is larger than the limit of {limit:.0f} bytes."),
    "empty": ("input_empty", f"{_SERVER} sent no bytes."),
    "response_timeout": ("input_timeout", f"{_SERVER} did not respond in time."),
    "head_too_large": (
        "input_unreachable",
        f"{_SERVER} sends response headers of more than {{limit:.0f}} bytes.",
    ),
    "too_many_interim_responses": (
        "input_unreachable",
        f"{_SERVER} sends more than {{limit:.0f}} interim responses (status 1xx) before its response.",
    ),
    "too_slow": (
        "input_timeout",
        f"{_SERVER} sends fewer than {{limit:.0f}} bytes per second; {{received}} bytes had arrived.",
    ),
    "tiny_chunks": (
        "input_unreachable",
        f"{_SERVER} sends the file in chunks of a few bytes: send larger ones, or a Content-Length.",
    ),
    "stalled": ("input_timeout", f"{_SERVER} stopped sending after {{received}} bytes."),
    "total_timeout": ("input_timeout", "The file did not arrive within {limit:g} seconds."),
    "host_not_found": (
        "input_unreachable",
        "The address names a host that cannot be found, or whose addresses are private or reserved. Private networks "
        "can be contacted only if the operator of this installation has added them to the setting ALLOW_NET.",
    ),
    "name_server_timeout": (
        "input_unreachable",
        "The name servers of the host that the address names did not answer in time.",
    ),
    "connect_failed": ("input_unreachable", "No connection to the server that holds the file could be opened."),
    "tls_failed": (
        "input_unreachable",
        f"{_SERVER} has no valid certificate, so that no secure connection is possible.",
    ),
    "disconnected": ("input_unreachable", f"{_SERVER} closed the connection before it responded."),
    "invalid_http": ("input_unreachable", f"{_SERVER} does not respond in valid HTTP."),
    "too_many_redirects": ("input_unreachable", "The address redirects more than {limit:.0f} times."),
    "invalid_redirect": ("input_unreachable", "The address redirects to something that is no URL."),
    "unexpected_status": ("input_unreachable", f"{_SERVER} responded with {{status}} instead of sending it."),
    "unsupported_coding": (
        "input_unreachable",
        f"{_SERVER} sends it compressed as {{detail}} (Content-Encoding), which cannot be read: send it as it is.",
    ),
    "damaged_coding": (
        "input_unreachable",
        f"{_SERVER} sends data that is not compressed as its header Content-Encoding says.",
    ),
    "truncated": (
        "input_unreachable",
        "The connection to the server that holds the file broke off after {received} bytes.",
    ),
}

log = logs.get_logger(__name__)
T = TypeVar("T")


async def fetch_input(
    job: Job,
    folder: Path,
    storage: Storage,
    policy: EgressPolicy,
    limits: FetchLimits,
    *,
    keyring: Keyring | None = None,
    s3: S3Files,
    on_size: Callable[[int], None] = lambda _: None,
) -> Path:
    """The job's input as a local file. It must not be written to: it may be the stored object itself.

    `on_size` is called with the size of what is fetched, as far as it is known; what it raises is raised. Raises
    FetchError for a URL, StoreFailed for an object of S3, StorageError for a stored file, DecryptionError without the
    key of the address.
    """
    dest = folder / _FILENAME
    if job.source is None and is_s3(job.input):
        await s3.fetch(job, dest, limits, on_size)
        return dest
    if job.source is None:
        url = reveal_url(keyring, job.input, job.encrypted_input, url_context(job.project, "input"))
        await fetch(url, dest, policy, limits, project=job.project, on_size=on_size)
        return dest
    local = storage.local_path(job.source.key)
    if local is not None and local.is_file():
        return local
    on_size(job.source.filesize)
    await storage.download(job.source.key, dest)
    return dest


async def retry_while_full(
    operation: Callable[[], Awaitable[T]],
    *,
    timeout: timedelta = STORAGE_TIMEOUT,
    first_pause_s: float = 1.0,
    longest_pause_s: float = 15.0,
) -> T:
    """The result of `operation`, repeated while the disk is full or the storage is unavailable, for at most `timeout`.

    Waiting here keeps what the job has done so far; a new attempt would fetch and encode again. Other errors are
    raised at once.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout.total_seconds()
    backoff = Backoff(log, "storage", first_s=first_pause_s, longest_s=longest_pause_s)
    while True:
        try:
            result = await operation()
        except (StorageFull, StorageUnavailable, OSError) as error:
            if (isinstance(error, OSError) and error.errno not in _DISK_FULL) or loop.time() >= deadline:
                raise
            await backoff.sleep(error)
        else:
            backoff.reset()
            return result


def fetch_fault(error: FetchError) -> Fault:
    """The published code and the sentence for the uploader (pure). The URL is not in it."""
    kind, sentence = _FETCH_FAULTS[error.reason]
    received = str(error.received) if error.expected is None else f"{error.received} of {error.expected}"
    facts = {"status": error.status, "limit": error.limit, "detail": error.detail, "received": received}
    return Fault(kind=kind, message=sentence.format(**facts))
