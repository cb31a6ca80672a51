"""What the input of a job is, where it names a media item, a file or a delivery address of the project.

Nothing is fetched over HTTP then: the worker gets the stored file. A file that is still to come, because its media item
is being imported or its job is under way, makes the job wait: `release` lets it go on, in the transaction that ends
what it waits for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.adapters.postgres import Connection
from chassis.runtime.outbox import Outbox
from schemas.events import JobCreated
from schemas.explain import render_value
from schemas.faults import Fault, FieldFault
from schemas.files import File
from schemas.ids import derived, is_id
from schemas.jobs import Job
from schemas.media import MediaItem
from services.ingest import input_rows
from services.ingest.connection_rows import with_connections
from services.ingest.idempotency import is_storable
from services.ingest.own_addresses import OwnId, OwnInput, OwnPath, own_input

MAX_FILES = 64
"""Of one media item, those included that unfinished jobs make: the item's events carry all of them."""
_UNKNOWN_ITEM = "must be the id of a media item of this project that is not deleted"
_UNKNOWN_FILE = "must be the id of a file of this project that is not deleted"
_UNKNOWN_ADDRESS = "is a delivery address of this installation at which this project has no file"


class InputRefused(Exception):
    """The input or the media item of a job cannot be used. `fault` names the field."""

    def __init__(self, fault: FieldFault) -> None:
        super().__init__(f"{fault.field} {fault.rule}")
        self.fault = fault


class _NoFile(Exception):
    """The input will never be a file. The text is the rule that it breaks."""


@dataclass(frozen=True)
class _Found:
    """A stored file, or the id of the item or job that will have it. Neither: the address is fetched after all."""

    source: File | None = None
    waits_for: str | None = None


@dataclass(frozen=True)
class Inputs:
    """`base` is the URL below which files are delivered."""

    outbox: Outbox
    base: str

    def concerns(self, job: Job) -> bool:
        """Whether the job has to be prepared: it names something of this installation."""
        return job.media_id is not None or self._own(job) is not None

    def _own(self, job: Job) -> OwnInput | None:
        own = own_input(job.input, self.base)
        return None if isinstance(own, OwnPath) and own.upload else own

    async def prepared(self, conn: Connection, job: Job) -> Job:
        """A new job with its input, and with a media item that takes its output. Raises InputRefused."""
        own = self._own(job)
        if job.media_id is not None and isinstance(own, OwnId) and is_id(own.id, "med"):
            # In the order of ids, as those lock them who change several.
            for id in sorted({job.media_id, own.id}):
                await input_rows.shared_item(conn, id, job.project)
        field = "input.url" if job.atomic else "input"
        try:
            prepared = await self._with_input(conn, job)
        except _NoFile as reason:
            raise InputRefused(FieldFault(field=field, rule=str(reason), value=render_value(job.input))) from None
        # After the input: the ends of jobs are recorded before their media items are locked.
        if job.media_id is not None:
            await self._require_item(conn, job.media_id, job.project)
        return prepared

    async def refreshed(self, conn: Connection, job: Job) -> Job:
        """A job that is to run (again), with its input as it is now; without one it will fail."""
        try:
            found = await self._with_input(conn, job)
        except _NoFile as reason:
            fault = Fault(kind="input_gone", message=f"The input {reason}.")
            found = job.with_input(source=None, waits_for=None, fault=fault)
        await input_rows.set_input(conn, found)
        return found

    async def release(self, conn: Connection, awaited: Sequence[str]) -> None:
        """Announces the jobs that wait for these media items and jobs, as far as those have ended.

        The caller wakes the outbox after the commit.
        """
        for job in await input_rows.lock_waiting_jobs(conn, awaited):
            found = await self.refreshed(conn, job)
            if found.waits_for is None:
                [found] = await with_connections(conn, [found])
                await self.outbox.put(conn, JobCreated(job=found))

    async def _with_input(self, conn: Connection, job: Job) -> Job:
        own = self._own(job)
        if own is None:
            return job
        found = await self._find(conn, own, job.project)
        return job.with_input(source=found.source, waits_for=found.waits_for, fault=None)

    async def _require_item(self, conn: Connection, id: str, project: str) -> None:
        item = await input_rows.shared_item(conn, id, project)
        rule = None
        if item is None or item.status == "deleted":
            rule = _UNKNOWN_ITEM
        elif len(item.files) + await input_rows.count_unfinished_jobs_of_item(conn, id) >= MAX_FILES:
            rule = f"has {MAX_FILES} files, with those that are being made: as many as an item may have"
        if rule is not None:
            raise InputRefused(FieldFault(field="media_id", rule=rule, value=render_value(id)))

    async def _find(self, conn: Connection, own: OwnInput, project: str) -> _Found:
        match own:
            case OwnId(id) if is_id(id, "med"):
                return _of_item(await input_rows.shared_item(conn, id, project), _UNKNOWN_ITEM)
            case OwnId(id):
                return await self._of_file(conn, id, project)
            case OwnPath(owner, path):
                # Of another project's files nobody learns whether they exist.
                if owner != project or not is_storable(path):
                    raise _NoFile(_UNKNOWN_ADDRESS)
                return await self._of_path(conn, path, project)

    async def _of_file(self, conn: Connection, file_id: str, project: str) -> _Found:
        items, jobs = await input_rows.owners_of_time(conn, file_id, project)
        for id in items:
            if derived("file", id, "original") == file_id:
                return _of_item(await input_rows.shared_item(conn, id, project), _UNKNOWN_FILE)
        for id in jobs:
            if derived("file", id, "output") == file_id:
                return await self._of_job(conn, id, project, _UNKNOWN_FILE)
        raise _NoFile(_UNKNOWN_FILE)

    async def _of_path(self, conn: Connection, path: str, project: str) -> _Found:
        folders = path.split("/")[:-1]
        if folders and is_id(folders[0], "job", "task"):
            return await self._of_job(conn, folders[0], project, _UNKNOWN_ADDRESS, path)
        # Below the id of an item are its files from jobs; otherwise it is the name of an original.
        of_item = bool(folders) and is_id(folders[-1], "med")
        media_id = folders[-1] if of_item else await input_rows.name_holder(conn, project, path)
        item = None if media_id is None else await input_rows.shared_item(conn, media_id, project)
        if item is None or item.status == "deleted":
            raise _NoFile(_UNKNOWN_ADDRESS)
        named = [derived.file for derived in item.files if derived.path == path]
        if item.original is not None and item.original_path == path:
            named.append(item.original)
        if not named:
            raise _NoFile(_UNKNOWN_ADDRESS)
        return _Found(source=named[0])

    async def _of_job(self, conn: Connection, id: str, project: str, unknown: str, path: str | None = None) -> _Found:
        """`path`: the name that the output has to have."""
        job = await input_rows.shared_job(conn, id, project)
        if job is None:
            raise _NoFile(unknown)
        if job.ended is None:
            return _Found(waits_for=job.id)
        if job.ended != "succeeded" or job.kind == "probe":
            raise _NoFile(f"is of a job without an output: {id} has ended with status {job.ended}")
        if job.output is None:  # it ended in an earlier release
            return _Found()
        if path is not None and job.output.path != path:
            raise _NoFile(unknown)
        if job.output.location is not None:
            raise _NoFile(f"is not stored here: give its address {job.output.location}")
        if job.media_id is not None:
            item = await input_rows.shared_item(conn, job.media_id, project)
            if item is None or item.status == "deleted":
                raise _NoFile(unknown)
        return _Found(source=File.model_validate(job.output.model_dump(exclude={"path", "warnings"})))


def _of_item(item: MediaItem | None, unknown: str) -> _Found:
    if item is None or item.status == "deleted":
        raise _NoFile(unknown)
    if item.original is not None:
        return _Found(source=item.original)
    if item.status == "processing":
        return _Found(waits_for=item.id)
    raise _NoFile(f"is a media item without a file: the import of {item.id} has failed")
