"""Kafka in: finished jobs become webhook deliveries; projects say how the files in them are addressed."""

from collections.abc import Sequence

from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.consumer import subscribe
from schemas.events import JobCancelled, JobFailed, JobSucceeded, ProjectChanged
from schemas.projects import Project
from schemas.topics import JOB_RESULTS, PROJECT_CHANGED
from services.notifier.deliveries import DeliveryQueue
from services.notifier.store import Store


def register(broker: KafkaBroker, deliveries: DeliveryQueue, store: Store) -> None:
    """Subscribes to what this service reads; `deliveries` and `store` are used only once a record arrives."""

    @subscribe(broker, JOB_RESULTS)
    async def on_job_finished(events: Sequence[JobSucceeded | JobFailed | JobCancelled]) -> None:
        await deliveries.add_for([event.job for event in events])

    @subscribe(broker, PROJECT_CHANGED)
    async def on_project_changed(events: Sequence[ProjectChanged]) -> None:
        latest: dict[str, Project] = {}
        for project in sorted((event.project for event in events), key=lambda project: project.version):
            latest[project.id] = project
        await store.put_projects(list(latest.values()))
