"""Jobs and media items that arrive over Kafka: the same use cases as over HTTP, with a reason instead of an answer.

A submission's id makes it happen once, whatever Kafka or its producer repeats.
"""

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.kafka.errors import Rejected
from chassis.core.ids import new_id, now_ms
from schemas.api import MediaRequest
from schemas.explain import format_errors, render_value
from schemas.faults import FieldFault
from schemas.ids import is_id
from schemas.topics import JOB_SUBMITTED_TOPIC, MEDIA_SUBMITTED_TOPIC
from services.ingest import claims, jobs, transitions
from services.ingest.errors import NameTaken, name_taken
from services.ingest.items import MediaItems
from services.ingest.requests import JobBody, job_addresses, media_faults
from services.ingest.store import Store


class Submissions:
    """Takes submissions; raises Rejected with the fields at fault where it does not."""

    def __init__(self, store: Store, jobs: jobs.Jobs, items: MediaItems, guard: EgressPolicy) -> None:
        self._store = store
        self._jobs = jobs
        self._items = items
        self._guard = guard
        # Projects are never removed: one that was seen is there.
        self._projects: set[str] = set()

    async def job(self, project: str, submission_id: str, body: JobBody) -> bool:
        """Accepts a job; False where the submission was seen before."""
        await self._check(project, submission_id, job_addresses(body, self._guard))
        at = now_ms()
        claim = claims.by_submission(JOB_SUBMITTED_TOPIC.name, submission_id, at)
        return await self._jobs.accept_once(jobs.queued(body, id=new_id("job"), project=project, at=at), claim)

    async def media(self, project: str, submission_id: str, body: MediaRequest) -> bool:
        """Accepts a media item; False where the submission was seen before."""
        await self._check(project, submission_id, media_faults(body, self._guard))
        at = now_ms()
        claim = claims.by_submission(MEDIA_SUBMITTED_TOPIC.name, submission_id, at)
        item = transitions.accepted(body, id=new_id("med"), project=project, at=at)
        try:
            return await self._items.accept(item, body.url, claim)
        except NameTaken:
            raise Rejected(format_errors(name_taken(body.folder, body.filename or "").faults)) from None

    async def _check(self, project: str, submission_id: str, faults: list[FieldFault]) -> None:
        # What Postgres would refuse has to be refused here: an error of Postgres brings the record again for ever.
        if not claims.usable(submission_id):
            raise Rejected(f"ce_id must be 1 to {claims.MAX_KEY_CHARS} printable characters")
        if project not in self._projects:
            if not is_id(project, "prj") or not await self._store.project_exists(project):
                raise Rejected(f"unknown project {render_value(project)} in the header ce_project")
            self._projects.add(project)
        if faults:
            raise Rejected(format_errors(faults))
