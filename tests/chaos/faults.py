"""Makes the faults of a schedule happen, and counts them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tests.chaos.cluster import Cluster
from tests.chaos.load import Load
from tests.chaos.network import IsEndCommit, Trap, is_offset_commit, is_postgres_commit
from tests.chaos.schedule import DISK_KINDS, WAIT_SECONDS, Fault


class Faults:
    """`injected` counts by kind, `at_their_moment` those that met a commit or a download.

    `times` are (begin, end, fault) on the monotonic clock: waits are judged by them.
    """

    def __init__(self, cluster: Cluster, load: Load) -> None:
        self.injected: Counter[str] = Counter()
        self.at_their_moment: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.times: list[tuple[float, float, Fault]] = []
        self._cluster = cluster
        self._load = load
        self._going_on: set[asyncio.Task[None]] = set()

    async def run(self, schedule: Sequence[Fault], seconds: float) -> None:
        """Returns once the schedule is over and what it broke has been repaired."""
        begin = time.monotonic()
        try:
            for fault in schedule:
                await asyncio.sleep(max(0.0, begin + fault.at - time.monotonic()))
                if fault.kind == "power_cut":
                    stopped = time.monotonic()
                    await self._finish()
                    await self._inject(fault)
                    begin += time.monotonic() - stopped - fault.seconds
                else:
                    task = asyncio.create_task(self._inject(fault))
                    self._going_on.add(task)
            await asyncio.sleep(max(0.0, begin + seconds - time.monotonic()))
            await self._finish()
        finally:
            for task in self._going_on:
                task.cancel()
            await asyncio.gather(*self._going_on, return_exceptions=True)

    async def _finish(self) -> None:
        going_on, self._going_on = self._going_on, set()
        await asyncio.gather(*going_on)

    async def _inject(self, fault: Fault) -> None:
        if fault.kind in DISK_KINDS and not self._cluster.disk.mounted:
            self.skipped[fault.kind] += 1
            return
        began = time.monotonic()
        await self._make(fault)
        self.injected[fault.kind] += 1
        self.times.append((began, time.monotonic(), fault))

    async def _make(self, fault: Fault) -> None:
        match fault.kind:
            case "kill":
                self._cluster.replicas[fault.target].kill()
            case "stop":
                await self._cluster.replicas[fault.target].stop()
            case "kill_at_fetch":
                await self._wait_for_fetch(fault)
                self._cluster.replicas[fault.target].kill()
            case "freeze_at_fetch":
                await self._wait_for_fetch(fault)
                await self._freeze([fault.target], fault.seconds)
            case "freeze" | "freeze_past_lease":
                await self._freeze([fault.target], fault.seconds)
            case "kill_server":
                self._cluster.servers.kill(fault.target)
            case "kill_at_postgres_commit" | "kill_at_end_commit" | "kill_at_kafka_commit":
                await self._kill_at_commit(fault)
            case "disk_full":
                await self._fill_disk(fault.seconds)
            case "power_cut":
                names = [replica.name for replica in self._cluster.of(fault.target)]
                await self._freeze(names, fault.seconds, thaw=False)
                await self._cluster.cut_power()
            case _:
                await self._disturb_network(fault)

    async def _freeze(self, names: Sequence[str], seconds: float, *, thaw: bool = True) -> None:
        replicas = [self._cluster.replicas[name] for name in names]
        try:
            for replica in replicas:
                replica.freeze()
            await asyncio.sleep(seconds)
        finally:
            if thaw:
                for replica in replicas:
                    replica.thaw()

    async def _wait_for_fetch(self, fault: Fault) -> None:
        """Until the replica downloads an input, so that it has claimed an item."""

        async def is_its(port: int) -> bool:
            return fault.target in (await self._cluster.owners_of([port])).values()

        with suppress(TimeoutError):
            await asyncio.wait_for(self._load.fetched_by(is_its), WAIT_SECONDS)
            self.at_their_moment[fault.kind] += 1

    async def _kill_at_commit(self, fault: Fault) -> None:
        """At the first commit within the fault's time; without one the replica is killed all the same."""
        replica = self._cluster.replicas[fault.target]
        traps: Mapping[str, tuple[str, Callable[[bytes], bool]]] = {
            "kill_at_postgres_commit": ("postgres", is_postgres_commit),
            "kill_at_end_commit": ("postgres", IsEndCommit()),
            "kill_at_kafka_commit": ("kafka", is_offset_commit),
        }
        server, matches = traps[fault.kind]
        proxy = self._cluster.servers.proxy(server)
        trap = Trap(replica.name, matches, replica.kill)
        await proxy.arm(trap)
        with suppress(TimeoutError):
            await asyncio.wait_for(trap.sprung.wait(), WAIT_SECONDS)
            self.at_their_moment[fault.kind] += 1
        proxy.disarm(trap)
        if not trap.sprung.is_set():
            replica.kill()

    async def _fill_disk(self, seconds: float) -> None:
        disk = self._cluster.disk
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                await asyncio.to_thread(disk.fill)  # what others have freed meanwhile as well
                await asyncio.sleep(0.5)
        finally:
            disk.free_space()

    async def _disturb_network(self, fault: Fault) -> None:
        server, _, replica = fault.target.partition(":")
        proxy = self._cluster.servers.proxy(server)
        owner = replica or "*"
        await proxy.set_mode(fault.kind, owner)
        try:
            if fault.kind != "silent":
                await asyncio.sleep(fault.seconds)
        finally:
            await proxy.set_mode("pass", owner)
