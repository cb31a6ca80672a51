"""The worker app: a service that queues jobs of one kind, runs them in sandboxed children and stores their outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from chassis.adapters.egress.policy import egress_policy
from chassis.adapters.sandbox import self_test
from chassis.adapters.sandbox.limits import Limits
from chassis.core.ids import now_ms
from chassis.runtime.job_queue import Runner, WorkSlots
from chassis.runtime.job_queue.erasures import Erasures
from chassis.runtime.job_queue.order import QueueOrder
from chassis.runtime.service_app import Components, Resources, ServiceApp, ServiceSpec
from media.tools import ENCODE_LIMITS, Tools, open_tools
from schemas.jobs import JobKind
from schemas.topics import Service
from worker.expired_outputs import expired_outputs
from worker.handlers import Estimate, JobIntake, register
from worker.queue_reports import QueueReports
from worker.runner import Encoder, JobRunner
from worker.s3_files import S3Files
from worker.settings import FileSettings, scratch_dir

WORKER_CONNECTIONS = 4
"""Postgres connections of a worker process. Its statements are short, and autoscaling starts many processes."""

S = TypeVar("S", bound=FileSettings)


@dataclass(frozen=True)
class WorkerSpec:
    """How one worker differs from another: it runs jobs of these `kinds`, works on `slots` at a time.

    `encoder` makes the outputs of those kinds that have one: `worker.runner` itself probes and imports. `preload` names
    modules that the encoder calls in the sandbox; `limits` are those of one encode.
    """

    kinds: tuple[JobKind, ...]
    slots: int
    encoder: Callable[[Tools], Encoder]
    estimate: Estimate
    preload: tuple[str, ...] = ()
    limits: Limits = ENCODE_LIMITS


def worker_service(name: Service) -> ServiceSpec:
    """What every worker requires."""
    return ServiceSpec(
        name=name, pool_size=WORKER_CONNECTIONS, outbox=True, job_queue=True, storage=True, lossy_events=True
    )


class WorkerApp(ServiceApp[S, None]):
    """A worker as a ServiceApp without HTTP routes. Subclasses set `spec` and write `worker`."""

    def worker(self) -> WorkerSpec:
        raise NotImplementedError

    @property
    def drain_timeout(self) -> timedelta:
        return self.settings.drain_timeout

    async def build(self, resources: Resources) -> Components[None]:
        settings, worker = self.settings, self.worker()
        sandbox = await self_test.require(settings.sandbox)
        folder = resources.stack.enter_context(scratch_dir(settings.work_dir))
        tools = await resources.stack.enter_async_context(
            open_tools(folder, preload=worker.preload, limits=worker.limits)
        )
        queue = resources.job_queue
        slots, policy = WorkSlots(queue, worker.slots), egress_policy(settings)
        jobs = JobRunner(
            queue,
            resources.storage,
            policy,
            tools,
            worker.encoder(tools),
            resources.lossy_events,
            slots=slots,
            estimate=worker.estimate,
            bounds=settings.fetch_bounds(worker.slots),
            s3=S3Files(policy, settings.keyring, settings.installation_store),
            fetch_limits=settings.fetch_limits,
            fetch_retries=settings.fetch_retries,
            keyring=settings.keyring,
            now_ms=now_ms,
        )
        reports = QueueReports(QueueOrder(resources.pool), queue.added, resources.lossy_events, self.name, now_ms)
        intake = JobIntake(resources.pool, queue, worker.kinds, worker.estimate, jobs.on_cancel)
        runner = Runner(
            queue,
            jobs.run,
            exhausted=jobs.exhausted,
            on_cancel=jobs.on_cancel,
            has_begun=slots.has_begun,
            full_projects=slots.full_projects,
            **settings.runner_slots(worker.slots),
        )
        expired = expired_outputs(resources.storage, self.name)
        erasures = Erasures(resources.pool, queue, self.name, expired.before)
        return Components(
            parts=None,
            subscribe=lambda broker: register(broker, intake),
            runner=runner,
            background={"queue reports": reports.run(), "erasures": erasures.run()},
            checks={"sandbox": sandbox.check},
            purge_hooks={"job_queue": expired},
        )
