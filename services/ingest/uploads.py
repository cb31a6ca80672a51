"""Uploads: a customer gets an address, sends a file there, and the file can be the input of jobs and media items.

The address has a random token and needs no key. Each attempt to send the file is received on the disk, then stored
under a key of its own; the first one that ends counts, in one statement, so that an address stores one file whatever is
repeated, and behind however many replicas. What other attempts stored is deleted at once, or with the row.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web

from chassis.adapters.http.errors import unavailable
from chassis.adapters.http.streamed_body import BodyLimits, NoSpace, receive_body
from chassis.adapters.storage import Storage
from chassis.core import logs
from chassis.core.ids import new_id, now_ms
from chassis.core.metrics import counter
from chassis.runtime.purge import PurgeHook
from schemas.delivery import DeliveryUrls
from schemas.ids import is_id
from schemas.uploads import UploadRequest, UploadResource
from services.ingest import upload_rows
from services.ingest.errors import (
    empty_upload,
    upload_expired,
    upload_not_found,
    upload_size,
    upload_too_large,
    upload_used,
)
from services.ingest.store import Store
from services.ingest.upload_rows import Receiving, upload_key
from worker.attempt_object import attempt_object

MAX_ATTEMPTS = 50
"""To send the file of one upload: each may store an object, which is deleted with the row at the latest."""
_TOKEN_BYTES = 32
_TOKEN_CHARS = 43
_RETRY_AFTER_S = 5

log = logs.get_logger(__name__)
_uploads = counter("bitmill_uploads", "Attempts to upload a file that ended, by result.", ("service", "result"))


@dataclass(frozen=True)
class UploadLimits:
    """`lifetime`: how long the file is awaited; `keep`: how long it is kept; `slots`: received at a time."""

    body: BodyLimits
    lifetime: timedelta
    keep: timedelta
    slots: int


@dataclass
class Uploads:
    """`public_base` is the API's address; `delivery_base` that below which the addresses of files are."""

    store: Store
    storage: Storage
    scratch_dir: Path
    limits: UploadLimits
    public_base: str
    delivery_base: str
    now_ms: Callable[[], int] = now_ms
    _receiving: dict[str, int] = field(default_factory=dict)

    async def begin(self, project: str, request: UploadRequest) -> UploadResource:
        """A new upload, with the address to which its file is sent. Raises ApiError 400."""
        if request.size is not None and request.size > self.limits.body.max_bytes:
            raise upload_too_large(request.size, self.limits.body.max_bytes)
        id, token, at = new_id("upl"), secrets.token_urlsafe(_TOKEN_BYTES), self.now_ms()
        until = at + _milliseconds(self.limits.lifetime)
        fields = {"filename": request.filename, "size": request.size, "at": at, "until": until}
        async with self.store.transaction() as conn:
            await upload_rows.add(conn, id=id, project=project, token_hash=_hash(token), **fields)  # type: ignore[arg-type]
        return {
            "id": id,
            "object": "upload",
            "status": "waiting",
            "method": "PUT",
            "url": f"{self.public_base}/uploads/{id}?token={token}",
            "address": self._address(project, id),
            "filename": request.filename,
            "size": request.size,
            "max_bytes": self.limits.body.max_bytes,
            "created_at": at,
            "expires_at": until,
        }

    async def receive(self, id: str, token: str, request: web.Request) -> UploadResource:
        """Stores the body of the request as the file of the upload. Raises ApiError, and then nothing is stored."""
        attempt = await self._attempt(id, token)
        with (
            logs.bind_context(upload_id=id, project=attempt.project),
            self._slot(attempt.project),
            _counted(),
            TemporaryDirectory(prefix="upload-", dir=self.scratch_dir, ignore_cleanup_errors=True) as folder,
        ):
            path = Path(folder) / "file"
            size = await self._received(request, path)
            if attempt.size is not None and size != attempt.size:
                raise upload_size(size, attempt.size)
            return await self._stored(attempt, path, size)

    async def _received(self, request: web.Request, path: Path) -> int:
        try:
            size = await receive_body(request, path, self.limits.body)
        except NoSpace:
            log.warning("upload_refused_disk_full")
            raise unavailable(_RETRY_AFTER_S, "There is no space left for uploads; try again later.") from None
        if size == 0:
            raise empty_upload()
        return size

    async def _attempt(self, id: str, token: str) -> Receiving:
        # Before any query: whoever has no token costs nothing.
        if not is_id(id, "upl") or len(token) != _TOKEN_CHARS or not token.isascii():
            raise upload_not_found()
        async with self.store.transaction() as conn:
            attempt = await upload_rows.begin(conn, id, _hash(token), self.now_ms(), MAX_ATTEMPTS)
            if attempt is not None:
                return attempt
            found = await upload_rows.by_token(conn, id, _hash(token))
        if found is None:
            raise upload_not_found()
        if not found.stored and found.expires_at <= self.now_ms():
            raise upload_expired()
        raise upload_used()

    async def _stored(self, attempt: Receiving, path: Path, size: int) -> UploadResource:
        async with attempt_object(self.storage) as stored:
            await stored.put(attempt.key, path, "application/octet-stream")
            at = self.now_ms()
            until = at + _milliseconds(self.limits.keep)
            async with self.store.transaction() as conn:
                first = await upload_rows.end(conn, attempt, size, at, until)
            if not first:
                raise upload_used()
        log.info("upload_stored", size=size)
        return {
            "id": attempt.id,
            "object": "upload",
            "status": "stored",
            "address": self._address(attempt.project, attempt.id),
            "filename": attempt.filename,
            "size": size,
            "created_at": attempt.created_at,
            "expires_at": until,
        }

    def _address(self, project: str, id: str) -> str:
        return DeliveryUrls(self.delivery_base).url(project, id)

    @contextmanager
    def _slot(self, project: str) -> Iterator[None]:
        """One of the files that are received at a time; of one project at most half of them. Raises ApiError 503."""
        most, own = self.limits.slots, self._receiving.get(project, 0)
        if sum(self._receiving.values()) >= most or own >= max(1, most // 2):
            raise unavailable(_RETRY_AFTER_S, "As many files as possible are being received; try again soon.")
        self._receiving[project] = own + 1
        try:
            yield
        finally:
            self._receiving[project] -= 1
            if not self._receiving[project]:
                del self._receiving[project]


def expired_uploads(storage: Storage) -> PurgeHook:
    """The hook of the table `uploads`: deletes what any attempt may have stored. Raises StorageError."""

    async def before(rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            for attempt in range(1, row["attempts"] + 1):
                await storage.delete(upload_key(row["project"], row["id"], attempt))

    return PurgeHook(("project", "attempts"), before)


@contextmanager
def _counted() -> Iterator[None]:
    try:
        yield
    except BaseException:
        _uploads.labels("ingest", "failed").inc()
        raise
    _uploads.labels("ingest", "stored").inc()


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _milliseconds(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)
