"""What customers see: jobs and media items as JSON. The API and the webhook use one and the same function."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from schemas.files import File
from schemas.jobs import Job, Task
from schemas.media import MediaItem

API_VERSION = "2024-08-21"
"""The version that the envelope of `/media` names."""
MIME_ORIENTATIONS = ("landscape", "portrait", "square")


def delivery_url(base: str, project: str, path: str) -> str:
    """The public address of a file: `<base>/<project>/<path>`."""
    return f"{base.rstrip('/')}/{project}/{quote(path)}"


def iso(at_ms: int) -> str:
    """Unix milliseconds as `2024-08-30T15:00:00Z` (whole seconds, UTC)."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def job_resource(job: Job, base: str) -> dict[str, Any]:
    """The job as `GET /jobs/{id}` and the webhook show it; times in Unix milliseconds."""
    output = None
    if job.output is not None:
        shown = ("kind", "format", "width", "height", "duration", "filesize")
        output = {"url": delivery_url(base, job.project, job.output.path)}
        output |= {name: getattr(job.output, name) for name in shown}
    return {
        "id": job.id,
        "object": "job" if job.id.startswith("job_") else "task",
        "kind": job.kind,
        "status": job.status,
        "progress": job.progress,
        "input": job.input,
        "options": job.options,
        "metadata": job.metadata,
        "output": output,
        "error": job.error.model_dump() if job.error else None,
        "tasks": [task_resource(task, job.options if task.kind == job.kind else {}) for task in job.tasks],
        "media_id": job.media_id,
        "webhook_url": job.webhook_url,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "updated_at": job.updated_at,
    }


def task_resource(task: Task, options: dict[str, Any]) -> dict[str, Any]:
    """One step of a job."""
    return {
        "id": task.id,
        "object": "task",
        "kind": task.kind,
        "status": task.status,
        "progress": task.progress,
        "options": options,
        "error": task.error.model_dump() if task.error else None,
        "created_at": task.created_at,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "updated_at": task.finished_at or task.started_at or task.created_at,
    }


def media_resource(item: MediaItem, base: str) -> dict[str, Any]:
    """The media item as it stands in `data`; times in ISO 8601."""

    def address(path: str) -> str:
        return delivery_url(base, item.project, path)

    original = item.original
    sources = []
    if original is not None and item.original_path is not None:
        sources.append(_source(item, original, item.original_path, address(item.original_path), label=None))
    sources += [_source(item, made.file, made.path, address(made.path), label=made.ref) for made in item.files]
    sizes = [original.filesize] if original else []
    return {
        "id": item.id,
        "object": "media",
        "title": item.title,
        "folder": item.folder,
        "filename": item.filename,
        "kind": original.kind if original else None,
        "width": original.width if original else None,
        "height": original.height if original else None,
        "duration": original.duration if original else None,
        "fps": original.fps if original else None,
        "filesize": original.filesize if original else None,
        "total_filesize": sum(sizes + [made.file.filesize for made in item.files]),
        "sources": sources,
        "tracks": [],
        "intelligence": [],
        "original": address(item.original_path) if item.original_path else None,
        **{made.ref: address(made.path) for made in item.files},
        "placeholder": item.placeholder,
        "background": item.background,
        "metadata": item.metadata,
        "status": item.status,
        "error": item.error.model_dump() if item.error else None,
        "created": iso(item.created_at),
        "updated": iso(item.updated_at),
    }


def _source(item: MediaItem, file: File, path: str, url: str, label: str | None) -> dict[str, Any]:
    folder, _, filename = path.rpartition("/")
    orientation = None
    if file.width and file.height:
        orientation = MIME_ORIENTATIONS[(file.width < file.height) + 2 * (file.width == file.height)]
    return {
        "id": file.id,
        "object": "source",
        "media_id": item.id,
        "kind": file.kind,
        "format": file.format,
        "type": file.content_type,
        "codec": (file.codecs.video or file.codecs.audio) if file.codecs else None,
        "width": file.width,
        "height": file.height,
        "orientation": orientation,
        "duration": file.duration,
        "fps": file.fps,
        "filesize": file.filesize,
        "original": label is None,
        "label": label,
        "folder": folder or None,
        "filename": filename,
        "url": url,
        "created": iso(item.created_at),
        "updated": iso(item.updated_at),
    }
