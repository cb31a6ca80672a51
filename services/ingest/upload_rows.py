"""The tables of uploads. Rows go in and come out as this module's types. `conn` belongs to the caller's transaction."""

from dataclasses import dataclass

from chassis.adapters.postgres import Connection
from schemas.files import File
from schemas.ids import derived
from services.ingest.store import QUERIES
from worker.attempt_object import attempt_key

_ANY_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Receiving:
    """An attempt to receive the file of an upload; `size` is what the customer has announced, in bytes."""

    id: str
    project: str
    filename: str | None
    size: int | None
    attempt: int
    created_at: int

    @property
    def key(self) -> str:
        """The object that this attempt stores."""
        return upload_key(self.project, self.id, self.attempt)


@dataclass(frozen=True)
class UploadState:
    """Whether the file is stored, and until when it is awaited or kept (Unix milliseconds)."""

    stored: bool
    expires_at: int


def upload_key(project: str, id: str, attempt: int) -> str:
    """The key in storage of the object that an attempt stores (pure)."""
    return attempt_key(f"{project}/uploads/{id}", derived("file", id, "upload"), attempt, "bin")


async def add(
    conn: Connection,
    *,
    id: str,
    project: str,
    token_hash: str,
    filename: str | None,
    size: int | None,
    at: int,
    until: int,
) -> None:
    await conn.execute(QUERIES["add_upload"], id, project, token_hash, filename, size, at, until)


async def begin(conn: Connection, id: str, token_hash: str, at: int, most_attempts: int) -> Receiving | None:
    """The next attempt; None where there is none of this token, or it may not be sent (again)."""
    row = await conn.fetchrow(QUERIES["begin_upload"], id, token_hash, at, most_attempts)
    if row is None:
        return None
    return Receiving(row["id"], row["project"], row["filename"], row["size"], row["attempts"], row["created_at"])


async def by_token(conn: Connection, id: str, token_hash: str) -> UploadState | None:
    row = await conn.fetchrow(QUERIES["upload_by_token"], id, token_hash)
    return UploadState(row["stored_at"] is not None, row["expires_at"]) if row else None


async def end(conn: Connection, received: Receiving, size: int, at: int, until: int) -> bool:
    """Records that this attempt has stored the file; False where another one had."""
    row = (received.id, at, received.attempt, size, until)
    return await conn.fetchval(QUERIES["end_upload"], *row) is not None


async def use(conn: Connection, id: str, project: str, user_id: str, at: int) -> File | None:
    """The stored file, which stays until the job or media item `user_id` has ended.

    None where the project has no such upload, its file has not arrived, or is kept no longer than until `at`.
    """
    row = await conn.fetchrow(QUERIES["use_upload"], id, project, user_id, at)
    if row is None:
        return None
    key = upload_key(project, id, row["attempt"])
    # What it is, the probe of the job or of the import says.
    return File(
        id=derived("file", id, "upload"),
        key=key,
        kind="unknown",
        format="unknown",
        content_type=_ANY_TYPE,
        filesize=row["size"],
    )


async def state(conn: Connection, id: str, project: str) -> UploadState | None:
    row = await conn.fetchrow(QUERIES["upload_state"], id, project)
    return UploadState(row["stored"], row["expires_at"]) if row else None
