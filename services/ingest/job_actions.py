"""Kafka in: what producers ask for of jobs on `job.control`: to cancel, retry or purge one of the project.

The same rules as over HTTP. What is refused becomes a dead letter with the `kind` of the refusal as its code.
"""

from dataclasses import dataclass
from typing import Protocol

from chassis.adapters.kafka.errors import RecordRejected
from chassis.core import logs
from chassis.core.ids import now_ms
from schemas.api import JobAction
from schemas.events import Submission
from schemas.explain import render_value
from schemas.topics import JOB_CONTROL
from services.ingest.cancellations import Cancellations, JobEnded, UnknownJob
from services.ingest.errors import connection_missing, job_ended, job_not_ended, job_not_failed, too_many_runs
from services.ingest.idempotency import IdempotencyKey, submission_key
from services.ingest.job_purges import JobNotEnded, JobPurges
from services.ingest.retries import ConnectionDeleted, JobNotFailed, Retries, TooManyRuns

log = logs.get_logger(__name__)


class SubmissionRules(Protocol):
    """What holds for every submission; both raise RecordRejected."""

    async def check(self, submission: Submission) -> None:
        """The project is known, the id can be stored."""

    async def admit_job(self, project: str, key: IdempotencyKey) -> None:
        """The project may have one more unfinished job."""


@dataclass(frozen=True)
class JobActions:
    """Takes actions on jobs. The id of a submission makes it take effect once, whatever Kafka or its producer repeats.

    `accept` raises RecordRejected. A job of another project than the record's is unknown.
    """

    rules: SubmissionRules
    cancellations: Cancellations
    retries: Retries
    purges: JobPurges

    async def accept(self, submission: Submission) -> None:
        action = submission.body
        if not isinstance(action, JobAction):
            raise RecordRejected("this topic takes actions on jobs", "invalid_input")
        await self.rules.check(submission)
        at, id, project = now_ms(), action.job_id, submission.project
        key = submission_key(JOB_CONTROL.name, submission.id, at)
        if action.action == "retry":
            await self.rules.admit_job(project, key)
        try:
            match action.action:
                case "cancel":
                    await self.cancellations.submit(id, project, at, key)
                case "retry":
                    await self.retries.submit(id, project, at, key)
                case "purge":
                    await self.purges.request(id, project, at, key)
        except UnknownJob:
            raise RecordRejected(f"the project has no job {render_value(id)}", "job_not_found") from None
        except JobEnded as ended:
            raise RecordRejected(job_ended(ended.status).message, "job_ended") from None
        except JobNotEnded:
            raise RecordRejected(job_not_ended().message, "job_not_ended") from None
        except JobNotFailed as error:
            raise RecordRejected(job_not_failed(error.status).message, "job_not_failed") from None
        except ConnectionDeleted:
            raise RecordRejected(connection_missing().message, "connection_missing") from None
        except TooManyRuns:
            raise RecordRejected(too_many_runs(self.retries.max_runs).message, "job_not_failed") from None
        log.info("job_action_submitted", action=action.action, job_id=id, project=project, submission_id=submission.id)
