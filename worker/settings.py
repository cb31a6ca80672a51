"""Settings of services that work on files, and the scratch directory below their work folder."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypedDict
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import NoDecode

from chassis.adapters.egress.fetch import FetchLimits
from chassis.adapters.sandbox.limits import SandboxMode
from chassis.core.setting_types import Base, Duration, parsed, service_url
from chassis.core.settings import CommonSettings
from schemas.connections import DEFAULT_REGION
from worker.fetch_bounds import FetchBounds
from worker.fetch_retries import FetchRetries
from worker.input_space import InputSpace
from worker.s3_files import InstallationStore

_LOCK_NAME = ".lock"
_PREFIX = "run-"


def _buckets(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


class RunnerSlots(TypedDict):
    """Arguments of `Runner`."""

    slots: int
    slots_per_project: int


class SandboxSettings(Base):
    """The settings of whatever starts sandboxed children."""

    sandbox: SandboxMode = Field(
        "required",
        title="Sandbox",
        description="required: do not start where the self-test finds the sandbox too weak. weak: warn, and start.",
    )


class FileSettings(CommonSettings, SandboxSettings):
    """The common settings, and those of a service that works on files."""

    work_dir: Path = Field(
        Path(tempfile.gettempdir()) / "bitmill",
        title="Work folder",
        description="Where inputs and unfinished outputs lie while they are worked on; needs room for them.",
    )
    fetch_max_bytes: int = Field(
        10 * 1024**3, ge=1, title="Largest input", description="In bytes; larger ones fail with input_too_large."
    )
    fetch_timeout: Duration = Field(
        timedelta(hours=1),
        gt=timedelta(0),
        title="Fetch timeout",
        description="How long the download of one input may take.",
    )
    fetch_retry_span: Duration = Field(
        timedelta(minutes=15),
        ge=timedelta(0),
        title="Fetch retries",
        description=(
            "How long an input is tried again whose server is away (5xx, 429, no connection, a timeout): the sum of "
            "the pauses between attempts, which grow."
        ),
    )
    drain_timeout: Duration = Field(
        timedelta(0),
        title="Drain timeout",
        description=(
            "How long a stopping worker goes on with the jobs that it works on, before SHUTDOWN_TIMEOUT begins; 0: it "
            "releases them at once, and another worker begins again. The orchestrator has to wait at least as long."
        ),
    )
    fetch_slots: int = Field(
        32,
        ge=1,
        le=512,
        title="Inputs fetched at a time",
        description="Fetched or waiting to be worked on, in each process, besides those that are worked on.",
    )
    fetch_slots_per_project: int = Field(
        8,
        ge=1,
        le=512,
        title="Inputs of one project fetched at a time",
        description="Of FETCH_SLOTS; less than half, so that slow servers of one project leave most of them free.",
    )
    fetch_slots_per_host: int = Field(
        16,
        ge=1,
        le=512,
        title="Inputs fetched from one host at a time",
        description=(
            "Of all projects together; more than of one project. A project that exceeds it may still have an equal "
            "share of it, so that others cannot block a host for it."
        ),
    )
    fetch_space_bytes: int | None = Field(
        None,
        ge=1,
        title="Disk space for inputs",
        description="In bytes, in each process; one project gets half. A quarter of the disk's free space if not set.",
    )

    default_s3_buckets: Annotated[tuple[str, ...], NoDecode, parsed(_buckets)] = Field(
        (),
        title="Buckets without a connection",
        description=(
            "Separated by commas: jobs of every project may read and write s3:// addresses in them without a "
            "connection, with the credentials of this installation (where AWS tools look for them). None if not set."
        ),
    )
    default_s3_endpoint: Annotated[str, parsed(service_url("http", "https"))] | None = Field(
        None, title="Endpoint of these buckets", description="The store of DEFAULT_S3_BUCKETS; AWS if not set."
    )
    default_s3_region: str = Field(
        DEFAULT_REGION, title="Region of these buckets", description="The region of DEFAULT_S3_BUCKETS."
    )

    @model_validator(mode="after")
    def _storage_is_no_default_bucket(self) -> "FileSettings":
        parts = urlsplit(self.storage_url)
        if parts.scheme == "s3" and parts.netloc in self.default_s3_buckets:
            raise ValueError(
                "DEFAULT_S3_BUCKETS must not have the bucket of STORAGE_URL: it has the files of all projects"
            )
        return self

    @property
    def installation_store(self) -> InstallationStore:
        """What jobs without a connection may use."""
        return InstallationStore(frozenset(self.default_s3_buckets), self.default_s3_endpoint, self.default_s3_region)

    @property
    def fetch_limits(self) -> FetchLimits:
        """The limits of one download."""
        return FetchLimits(
            max_bytes=self.fetch_max_bytes,
            total=self.fetch_timeout,
            min_rate=self.egress_min_rate,
            rate_window=self.egress_rate_window,
        )

    @property
    def fetch_retries(self) -> FetchRetries:
        """When a download that failed is tried again."""
        return FetchRetries(span=self.fetch_retry_span)

    def fetch_bounds(self, work_slots: int) -> FetchBounds:
        """The bounds of all downloads for a runner with these slots. The work folder must exist."""
        total = self.fetch_space_bytes
        if total is None:
            total = max(shutil.disk_usage(self.work_dir).free // 4, self.fetch_max_bytes)
        return FetchBounds(InputSpace(total, total // 2), self.fetch_slots_per_host + work_slots)

    def runner_slots(self, work_slots: int) -> RunnerSlots:
        """How many items a runner has in work at a time, `work_slots` of them worked on."""
        return {"slots": self.fetch_slots + work_slots, "slots_per_project": self.fetch_slots_per_project + work_slots}


@contextmanager
def scratch_dir(work_dir: Path) -> Iterator[Path]:
    """A new folder below `work_dir` for one process, removed at the end. Folders of killed processes are removed first.

    A process holds a file lock in its folder as long as it lives, so several may share one `work_dir`.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    with _gate(work_dir):
        _abandoned(work_dir, remove=True)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=work_dir))
        lock = (folder / _LOCK_NAME).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


@contextmanager
def _gate(work_dir: Path) -> Iterator[None]:
    """Held while folders are removed and made: one that has no lock yet must not be taken for an abandoned one."""
    with (work_dir / _LOCK_NAME).open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


def abandoned_folders(work_dir: Path) -> list[Path]:
    """The scratch folders below `work_dir` of processes that were killed."""
    with _gate(work_dir):
        return _abandoned(work_dir, remove=False)


def remove_abandoned_folders(work_dir: Path) -> list[Path]:
    """Removes them; those that were removed. A process that starts meanwhile waits, and so does this."""
    with _gate(work_dir):
        return _abandoned(work_dir, remove=True)


def _abandoned(work_dir: Path, *, remove: bool) -> list[Path]:
    found = []
    for folder in sorted(work_dir.glob(f"{_PREFIX}*")):
        # OSError: the folder is gone already, or its process lives and holds the lock.
        with suppress(OSError), (folder / _LOCK_NAME).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(folder)
            if remove:
                shutil.rmtree(folder, ignore_errors=True)
    return found
