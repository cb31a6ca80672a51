"""Which changes of a job follow from the snapshots of a batch (pure).

Snapshots come more than once and in any order, and a later one may arrive without those before it: topics have no order
between them. The changes are complete and in order all the same: each run of a job is queued, begins and ends once. A
change whose snapshot has not come, or comes too late, is made from the one that replaced it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import orjson

from schemas.jobs import RANK, TaskStatus
from services.catalog.snapshots import JobSnapshot

ChangeName: TypeAlias = Literal["queued", "processing", "progress", "retrying", "succeeded", "failed", "cancelled"]
NAMES: tuple[ChangeName, ...] = get_args(ChangeName)
_QUEUED, _RUNNING, _ENDED = 0, 1, 2
_WAITING: TaskStatus = "waiting"
_UNSET = dict.fromkeys(("progress", "error", "started_at", "finished_at", "retry_at"))

JsonObject: TypeAlias = dict[str, Any]
"""A job as events have it, not validated again: a batch may have hundreds that were overtaken."""


class JobState(NamedTuple):
    """What decides which of two snapshots of a job is the later one; see `schemas.jobs.supersedes`."""

    run: int
    rank: int
    updated_at: int


class JobChange(NamedTuple):
    """A row of `job_events`. Its data are in the JSON `data` at `path`, as Postgres writes an array.

    Without `data` they are the job as it is in its table now.
    """

    project: str
    job_id: str
    kind: str
    status: str
    name: ChangeName
    data: str | None = None
    path: str = "{}"


def histories(snapshots: Iterable[JobSnapshot]) -> dict[str, list[JobSnapshot]]:
    """The snapshots of each job that follow one another, oldest first; the last is the one that wins."""
    found: dict[str, list[JobSnapshot]] = {}
    for snapshot in snapshots:
        history = found.setdefault(snapshot.id, [])
        if not history or _follows(_state(snapshot), _state(history[-1])):
            history.append(snapshot)
    return found


def changes(histories: Mapping[str, Sequence[JobSnapshot]], written: Mapping[str, JobState | None]) -> list[JobChange]:
    """The changes of the jobs that were written: by id, the state that the job had before, None if it was new."""
    found: list[JobChange] = []
    for id, replaced in written.items():
        found += _changes_of(histories[id], replaced)
    return found


def _changes_of(history: Sequence[JobSnapshot], before: JobState | None) -> Iterator[JobChange]:
    for snapshot in history:
        state = _state(snapshot)
        if before is not None and not _follows(state, before):
            continue
        yield from _missed(snapshot, before)
        yield _change(snapshot, _name(snapshot, before), last=snapshot is history[-1])
        before = state


def _missed(snapshot: JobSnapshot, before: JobState | None) -> Iterator[JobChange]:
    """The changes between `before` and `snapshot`."""
    reached = before.rank if before is not None and before.run == snapshot.run else -1
    rank = RANK[snapshot.status]
    unended = before is not None and before.run < snapshot.run and before.rank < _ENDED
    if rank <= reached + 1 and not unended:
        return
    job = _json(snapshot)
    if before is not None and unended:
        for each in job.get("earlier_runs", ()):
            if each["run"] >= before.run:
                yield _made(snapshot, _as_ended(job, each))
    if reached < _QUEUED < rank:
        yield _made(snapshot, _as_queued(job))
    if reached < _RUNNING < rank and job["started_at"] is not None:
        yield _made(snapshot, _as_started(job))


def _change(snapshot: JobSnapshot, name: ChangeName, *, last: bool) -> JobChange:
    known = (snapshot.project, snapshot.id, snapshot.kind, snapshot.status, name)
    if name == "progress":
        return JobChange(*known, snapshot.progress)
    return JobChange(*known) if last else JobChange(*known, snapshot.event_json.decode(), snapshot.json_path)


def _name(snapshot: JobSnapshot, before: JobState | None) -> ChangeName:
    match snapshot.status:
        case "queued" | "succeeded" | "failed" | "cancelled":
            return snapshot.status
        case _ if before is None or before.run < snapshot.run or before.rank < _RUNNING or snapshot.starts:
            return "processing"
        case _ if snapshot.waits:
            return "retrying"
        case _:
            return "progress"


def _state(snapshot: JobSnapshot) -> JobState:
    return JobState(snapshot.run, RANK[snapshot.status], snapshot.updated_at)


def _follows(new: JobState, old: JobState) -> bool:
    """The rule of `schemas.jobs.supersedes`."""
    return new.run > old.run or (new.run == old.run and old.rank < _ENDED and new > old)


def _json(snapshot: JobSnapshot) -> Any:
    found = orjson.loads(snapshot.event_json)
    for step in snapshot.json_path.strip("{}").split(","):
        found = found[int(step) if step.isdigit() else step]
    return found


def _made(snapshot: JobSnapshot, job: JsonObject) -> JobChange:
    name: ChangeName = job["status"] if job["status"] in NAMES else "processing"
    return JobChange(snapshot.project, snapshot.id, snapshot.kind, job["status"], name, orjson.dumps(job).decode())


def _as_queued(job: JsonObject) -> JsonObject:
    """The job before its present run began."""
    tasks = [{**task, **_UNSET, "status": _WAITING} for task in job["tasks"]]
    at = job["created_at"] if job.get("run", 1) == 1 else job["started_at"] or job["updated_at"]
    return {**job, **_UNSET, "output": None, "status": "queued", "tasks": tasks, "updated_at": at}


def _as_started(job: JsonObject) -> JsonObject:
    """The job when its present run had begun."""
    at, queued = job["started_at"], _as_queued(job)
    tasks = queued["tasks"]
    if tasks:
        tasks[0] |= {"status": "processing", "started_at": at}
    return {**queued, "status": "processing", "progress": 0.0, "started_at": at, "updated_at": at}


def _as_ended(job: JsonObject, ended: JsonObject) -> JsonObject:
    """The job after the end of an earlier run."""
    at = ended["finished_at"] or job["created_at"]
    earlier = [each for each in job["earlier_runs"] if each["run"] < ended["run"]]
    changed = {**ended, "finished_at": at, "updated_at": at, "earlier_runs": earlier}
    return _as_queued(job) | changed
