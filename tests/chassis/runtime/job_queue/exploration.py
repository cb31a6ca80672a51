"""Explores the states of a job queue on a real Postgres: two workers, two items, every order of what can happen.

A step is an operation of the queue, or the passing of a lease, for which the row is changed: nothing sleeps. From each
state that was not seen before every step is tried, on the tables as they were in that state.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

from chassis.adapters.postgres import Pool
from chassis.runtime.job_queue import FinalState, JobQueue, LeaseLost, QueueItem
from tests.chassis.runtime.job_queue.conftest import event

ITEMS = ("job_a", "job_b")
WORKERS = ("w1", "w2")
ENDED = ("done", "failed", "cancelled")
StepKind = Literal["claim", "renew", "finish", "fail", "crash", "expire", "cancel", "cancel_and_die"]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """`who` does it, a worker or the outside; `id` is the item that it concerns."""

    kind: StepKind
    who: str = ""
    id: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The tables, and what each worker believes to have. A worker that crashed goes on under a new name."""

    tables: str
    memories: Mapping[str, Mapping[str, QueueItem]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=lambda: {worker: f"{worker}.0" for worker in WORKERS})

    def remembers(self, worker: str) -> Mapping[str, QueueItem]:
        return self.memories.get(worker, {})

    def with_memory(self, worker: str, id: str, item: QueueItem | None) -> "Snapshot":
        kept = {known: held for known, held in self.remembers(worker).items() if known != id}
        return replace(self, memories={**self.memories, worker: kept if item is None else {**kept, id: item}})

    def rows(self) -> Mapping[str, Row]:
        return {row["id"]: row for row in orjson.loads(self.tables)["job_queue"]}

    def ends(self, id: str) -> int:
        """How many events of the item are in the outbox; each is the end of it."""
        key = "\\x" + id.encode().hex()
        return sum(row["key"] == key for row in orjson.loads(self.tables)["outbox"])

    def has(self, worker: str, id: str) -> bool:
        """Whether what the worker believes to have is its own in the row."""
        item, row = self.remembers(worker).get(id), self.rows()[id]
        fence = (row["state"], row["worker"], row["attempt"])
        return item is not None and fence == ("running", item.worker, item.attempt)


class Exploration:
    """The queue under test, and the steps."""

    def __init__(self, pool: Pool, queue: JobQueue, tables: tuple[str, ...]) -> None:
        self._pool = pool
        self._queue = queue
        parts = ", ".join(f"'{name}', (SELECT coalesce(json_agg(t), '[]') FROM {name} AS t)" for name in tables)
        self._save = f"SELECT json_build_object({parts})::text"
        self._load = "; ".join(
            f"DELETE FROM {name}; INSERT INTO {name} OVERRIDING SYSTEM VALUE "
            f"SELECT * FROM json_populate_recordset(NULL::{name}, %s -> '{name}')"
            for name in tables
        )
        self.steps = 0

    async def snapshot(self, of: Snapshot) -> Snapshot:
        return replace(of, tables=await self._pool.fetchval(self._save))

    async def restore(self, state: Snapshot) -> None:
        literal = "'" + state.tables.replace("'", "''") + "'::json"
        await self._pool.execute(self._load.replace("%s", literal))

    async def take(self, before: Snapshot, step: Step) -> Snapshot:
        """The state after the step; asserts what has to hold of the step, and in the new state."""
        self.steps += 1
        await self.restore(before)
        after = await self._take(before, step)
        check(before, after, step)
        return after

    async def close(self, state: Snapshot) -> Snapshot:
        """What a third worker makes of the state once all leases are over: every item ends."""
        await self.restore(state)
        for id in ITEMS:
            await self._expire(id)
        while (item := await self._queue.claim("closer")) is not None:
            await self._end(item, "cancelled" if item.cancelled else "done")
        return await self.snapshot(state)

    async def _take(self, before: Snapshot, step: Step) -> Snapshot:
        worker, id = step.who, step.id
        item = before.remembers(worker).get(id)
        match step.kind:
            case "claim":
                held = [*before.remembers(worker)]
                claimed = (await self._queue.claim_many(before.names[worker], 1, held=held)).items
                after = await self.snapshot(before)
                return after.with_memory(worker, claimed[0].id, claimed[0]) if claimed else after
            case "crash":
                number = int(before.names[worker].partition(".")[2]) + 1
                names, memories = {**before.names, worker: f"{worker}.{number}"}, {**before.memories, worker: {}}
                return replace(before, names=names, memories=memories)
            case "expire":
                await self._expire(id)
                return await self.snapshot(before)
            case "cancel" | "cancel_and_die":
                async with self._pool.acquire() as conn:
                    queued = await self._queue.request_cancel(conn, id)
                for each in queued if step.kind == "cancel" else ():
                    await self._end(each, "cancelled")
                return await self.snapshot(before)
        assert item is not None
        return await self._as_holder(before, step, item)

    async def _as_holder(self, before: Snapshot, step: Step, item: QueueItem) -> Snapshot:
        kept: QueueItem | None = None
        try:
            match step.kind:
                case "renew":
                    (response,) = await self._queue.renew([item])
                    if response == "lost":
                        raise LeaseLost(item)
                    kept = replace(item, cancelled=response == "cancelled")
                case "finish":
                    await self._end(item, "cancelled" if item.cancelled else "done")
                case "fail":
                    await self._queue.retry(item, timedelta(0), "failed")
        except LeaseLost:
            assert not before.has(step.who, step.id), f"{step}: the holder was taken for lost"
            await self._queue.retract_crash(item)
        else:
            assert before.has(step.who, step.id), f"{step}: a write passed the fence"
        return (await self.snapshot(before)).with_memory(step.who, step.id, kept)

    async def _end(self, item: QueueItem, state: FinalState) -> None:
        await self._queue.finish(item, state, event(item.id))

    async def _expire(self, id: str) -> None:
        await self._pool.execute(
            "UPDATE job_queue SET lease_until = now() - interval '1 day' WHERE id = $1 AND state = 'running'", id
        )


def possible(state: Snapshot) -> Iterator[Step]:
    """Every step that makes sense in the state."""
    rows = state.rows()
    for worker in WORKERS:
        yield Step("claim", worker)
        if state.remembers(worker):
            yield Step("crash", worker)
        for id in state.remembers(worker):
            for kind in ("renew", "finish", "fail"):
                yield Step(kind, worker, id)
    for id in ITEMS:
        if rows[id]["state"] == "running" and not is_expired(rows[id]):
            yield Step("expire", id=id)
        if not rows[id]["cancel_requested"]:
            yield Step("cancel", id=id)
            yield Step("cancel_and_die", id=id)


def check(before: Snapshot, after: Snapshot, step: Step) -> None:
    """What has to hold after each step."""
    old, new = before.rows(), after.rows()
    for id in ITEMS:
        ended = new[id]["state"] in ENDED
        assert after.ends(id) == ended, f"{step}: {id} is {new[id]['state']} and has {after.ends(id)} final events"
        assert new[id]["attempt"] - old[id]["attempt"] in (0, 1), step
        assert min(new[id][name] for name in ("crashed", "crashed_alone", "crashed_waiting")) >= 0, step
        if old[id]["state"] in ENDED:
            assert new[id]["state"] == old[id]["state"], f"{step}: {id} has ended before"
        owners = [worker for worker in WORKERS if after.has(worker, id)]
        assert len(owners) <= 1, f"{step}: {id} belongs to {owners}"
    if step.kind == "claim":
        _check_claim(before, after, step)


def _check_claim(before: Snapshot, after: Snapshot, step: Step) -> None:
    old, new, held = before.rows(), after.rows(), before.remembers(step.who)
    claimable = {id for id in ITEMS if old[id]["state"] == "queued" or (is_expired(old[id]) and id not in held)}
    claimed = [id for id in ITEMS if new[id]["attempt"] > old[id]["attempt"]]
    assert len(claimed) == bool(claimable) and claimable.issuperset(claimed), f"{step}: {claimed} of {claimable}"
    for id in claimed:
        assert new[id]["worker"] == before.names[step.who] and not is_expired(new[id]), step
        crashed = old[id]["state"] == "running" and old[id]["worker"] != before.names[step.who]
        assert new[id]["crashed"] - old[id]["crashed"] == crashed, step


def is_expired(row: Row) -> bool:
    """Leases last longer than the exploration: only a step ends one."""
    return row["state"] == "running" and datetime.fromisoformat(row["lease_until"]) < datetime.now(UTC)


def canonical(state: Snapshot) -> object:
    """Equal for states from which the same can happen: counters and the names of workers make no difference."""
    return min(_canonical(state, WORKERS), _canonical(state, WORKERS[::-1]))


def _canonical(state: Snapshot, workers: tuple[str, ...]) -> tuple[Any, ...]:
    roles = {state.names[worker]: f"worker {place}" for place, worker in enumerate(workers)}
    items = []
    for id, row in sorted(state.rows().items()):
        beliefs = tuple(
            (state.has(worker, id), held.cancelled) if (held := state.remembers(worker).get(id)) else ()
            for worker in workers
        )
        owner = roles.get(row["worker"], "gone") if row["worker"] else ""
        items.append((row["state"], owner, is_expired(row), row["cancel_requested"], beliefs))
    return tuple(items)
