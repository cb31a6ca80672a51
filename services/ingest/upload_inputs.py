"""The addresses of uploads as inputs of jobs and media items: the stored file is used, nothing is fetched."""

from dataclasses import dataclass

from schemas.explain import render_value
from schemas.faults import FieldFault
from schemas.files import File
from schemas.jobs import Job
from services.ingest import upload_rows
from services.ingest.own_addresses import upload_of
from services.ingest.store import Store

MARGIN_MS = 2 * 60 * 1000
"""An upload cannot be used any more so long before its file is removed."""
_UNKNOWN = "is the address of an upload of this project whose file has not arrived, or is not kept any more"
_OTHERS = "is the address of an upload of another project"


class UploadRefused(Exception):
    """The upload cannot be used. `fault` names the field."""

    def __init__(self, fault: FieldFault) -> None:
        super().__init__(f"{fault.field} {fault.rule}")
        self.fault = fault


@dataclass(frozen=True)
class UploadInputs:
    """`base` is the URL below which files, and the addresses of uploads, are."""

    store: Store
    base: str

    async def with_file(self, job: Job) -> Job:
        """The job with the file of the upload that its input names; any other job as it is. Raises UploadRefused."""
        file = await self.file_of(job.input, job.project, job.id, job.created_at, "input")
        return job if file is None else job.model_copy(update={"source": file})

    async def file_of(self, address: str, project: str, user_id: str, at: int, field: str) -> File | None:
        """The file at the address of an upload; None for any other address.

        It stays until the job or media item `user_id` has ended. Raises UploadRefused.
        """
        named = upload_of(address, self.base)
        if named is None:
            return None
        if named.project != project:
            raise UploadRefused(FieldFault(field=field, rule=_OTHERS, value=render_value(address)))
        async with self.store.transaction() as conn:
            file = await upload_rows.use(conn, named.path, project, user_id, at + MARGIN_MS)
        if file is None:
            raise UploadRefused(FieldFault(field=field, rule=_UNKNOWN, value=render_value(address)))
        return file
