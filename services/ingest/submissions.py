"""Jobs and media items that arrive over Kafka: the same use cases as over HTTP, with a reason instead of an answer.

A submission's id makes it happen once, whatever Kafka or its producer repeats.
"""

from chassis.egress.guard import Guard
from chassis.ids import new_id, now_ms
from chassis.kafka.errors import Rejected
from schemas.api import MediaRequest
from schemas.explain import sentence, shown
from schemas.faults import FieldFault
from schemas.topics import JOB_SUBMITTED_TOPIC, MEDIA_SUBMITTED_TOPIC
from services.ingest import claims, jobs
from services.ingest.errors import NameTaken, name_taken
from services.ingest.items import MediaItems
from services.ingest.requests import JobBody, job_addresses, media_faults
from services.ingest.store import Store


class Submissions:
    """Takes submissions; raises Rejected with the fields at fault where it does not."""

    def __init__(self, store: Store, jobs: jobs.Jobs, items: MediaItems, guard: Guard) -> None:
        self._store = store
        self._jobs = jobs
        self._items = items
        self._guard = guard
        # Projects are never removed: one that was seen is there.
        self._projects: set[str] = set()

    async def job(self, project: str, submission_id: str, body: JobBody) -> bool:
        """Accepts a job; False where the submission was seen before."""
        await self._known(project)
        _refuse(job_addresses(body, self._guard))
        at = now_ms()
        claim = claims.by_submission(JOB_SUBMITTED_TOPIC.name, submission_id, at)
        return await self._jobs.accept_once(jobs.queued(body, id=new_id("job"), project=project, at=at), claim)

    async def media(self, project: str, submission_id: str, body: MediaRequest) -> bool:
        """Accepts a media item; False where the submission was seen before."""
        await self._known(project)
        _refuse(media_faults(body, self._guard))
        at = now_ms()
        claim = claims.by_submission(MEDIA_SUBMITTED_TOPIC.name, submission_id, at)
        try:
            item = await self._items.accept(body, id=new_id("med"), project=project, at=at, claim=claim)
        except NameTaken:
            raise Rejected(sentence(name_taken(body.folder, body.filename or "").faults)) from None
        return item is not None

    async def _known(self, project: str) -> None:
        if project in self._projects:
            return
        if not await self._store.project_exists(project):
            raise Rejected(f"unknown project {shown(project)} in the header ce_project")
        self._projects.add(project)


def _refuse(faults: list[FieldFault]) -> None:
    if faults:
        raise Rejected(sentence(faults))
