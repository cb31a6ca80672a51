"""From snapshots to rows, a batch in one transaction.

Events come more than once and in any order, in batches of any size, and two replicas may project the same ones at the
same time: the resulting rows are the same. A job's snapshot wins by `schemas.jobs.supersedes`, a media item's by its
version, and the revocation of a key is final.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence

from chassis.core import logs
from schemas.events import KeyChanged, ProjectChanged
from schemas.keys import Revocation
from services.catalog.job_changes import changes, histories
from services.catalog.snapshots import (
    JobSnapshot,
    MediaSnapshot,
    NewMedia,
    PurgedJob,
    latest_jobs,
    latest_keys,
    latest_media,
    latest_projects,
    named_files,
)
from services.catalog.store import Store

log = logs.get_logger(__name__)


def file_name(project: str, path: str) -> str:
    """The name under which `Projection` announces a file."""
    return f"{project}/{path}"


class Projection:
    """Writes snapshots. `announce` gets, after the commit, what can be found now: ids, hashes of keys, `file_name`s;
    `changed` the projects that have new events of jobs."""

    def __init__(
        self,
        store: Store,
        announce: Callable[[Iterable[str]], None],
        changed: Callable[[Collection[str]], None] | None = None,
    ) -> None:
        self._store = store
        self._announce = announce
        self._changed = changed

    async def jobs(self, snapshots: Sequence[JobSnapshot]) -> None:
        await self._put_jobs(snapshots, logging.INFO)

    async def jobs_purged(self, purged: Sequence[PurgedJob]) -> None:
        """Removes jobs for good. Events about them that come later change nothing."""
        if not purged:
            return
        async with self._store.transaction() as transaction:
            removed = await transaction.purge_jobs(sorted(set(purged)))
        log.info("jobs_purged", job_ids=removed)

    async def progress(self, snapshots: Sequence[JobSnapshot]) -> None:
        """As `jobs`, but logged for debugging only: there is one a second for each running job."""
        await self._put_jobs(snapshots, logging.DEBUG)

    async def media_created(self, created: Sequence[NewMedia]) -> None:
        snapshots = latest_media(each.media for each in created)
        new_jobs = [job for each in created for job in each.jobs]
        jobs = latest_jobs(new_jobs)
        async with self._store.transaction() as transaction:
            written_media = await transaction.put_media(snapshots)
            written_jobs = await transaction.put_jobs(jobs)
            await transaction.put_job_events(changes(histories(new_jobs), written_jobs))
        self._announce_media(snapshots, written_media)
        self._announce_jobs(jobs, written_jobs)

    async def media_changed(self, snapshots: Sequence[MediaSnapshot]) -> None:
        latest = latest_media(snapshots)
        async with self._store.transaction() as transaction:
            written = await transaction.put_media(latest)
        self._announce_media(latest, written)

    async def keys(self, events: Sequence[KeyChanged]) -> None:
        keys = latest_keys(event.key for event in events)
        async with self._store.transaction() as transaction:
            await transaction.put_keys(keys)
        self._announce(key.hash for key in keys)
        log.info("keys_projected", key_ids=[key.id for key in keys])

    async def projects(self, events: Sequence[ProjectChanged]) -> None:
        projects = latest_projects(event.project for event in events)
        async with self._store.transaction() as transaction:
            await transaction.put_projects(projects)
        for project in projects:
            log.info("project_projected", project=project.id, delivery=project.delivery)

    async def revoke_keys(self, revocations: Sequence[Revocation]) -> None:
        """Revocations that were announced and whose events may still be on their way."""
        async with self._store.transaction() as transaction:
            await transaction.revoke_keys(sorted(revocations))

    async def _put_jobs(self, snapshots: Sequence[JobSnapshot], level: int) -> None:
        if not snapshots:
            return
        jobs = latest_jobs(snapshots)
        async with self._store.transaction() as transaction:
            written = await transaction.put_jobs(jobs)
            await transaction.put_job_events(changes(histories(snapshots), written))
        self._announce_jobs(jobs, written, level)

    def _announce_jobs(
        self, snapshots: Sequence[JobSnapshot], written: Collection[str], level: int = logging.INFO
    ) -> None:
        self._announce(_names_of_jobs(snapshots))
        if self._changed is not None:
            self._changed({job.project for job in snapshots if job.id in written})
        for status, ids in _by_status((job.id, job.status) for job in snapshots if job.id in written):
            log.log(level, "jobs_projected", status=status, job_ids=ids)

    def _announce_media(self, snapshots: Sequence[MediaSnapshot], written: Collection[str]) -> None:
        self._announce(_names_of_media(snapshots))
        items = (snapshot.item for snapshot in snapshots)
        for status, ids in _by_status((item.id, item.status) for item in items if item.id in written):
            log.info("media_projected", status=status, media_ids=ids)


def _names_of_jobs(snapshots: Sequence[JobSnapshot]) -> Iterable[str]:
    for job in snapshots:
        yield job.id
        if job.output is not None:
            yield file_name(job.project, job.output.path)


def _names_of_media(snapshots: Sequence[MediaSnapshot]) -> Iterable[str]:
    for snapshot in snapshots:
        yield snapshot.item.id
        for path in named_files(snapshot):
            yield file_name(snapshot.item.project, path)


def _by_status(written: Iterable[tuple[str, str]]) -> Iterable[tuple[str, list[str]]]:
    """The ids of (id, status) by status. One log line each: every id can be found, and a batch costs a few lines."""
    ids: dict[str, list[str]] = {}
    for id, status in written:
        ids.setdefault(status, []).append(id)
    return ids.items()
