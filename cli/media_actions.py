"""`ittybit media`: media items of the API, by the key of a project."""

import argparse
from pathlib import Path
from typing import Any

from cli.api_client import ApiClient
from cli.api_command import through_api
from cli.bar import size_text
from cli.errors import UsageError
from cli.job_options import is_url, pairs
from cli.reporter import Reporter
from cli.safe_text import printable
from cli.transfers import readable, upload
from schemas.ids import is_id

_SORTING = ("kind", "sort", "order", "limit", "page")


def list_(arguments: argparse.Namespace) -> int:
    """Print one page of media items, a line each."""
    query = [(name, str(value)) for name in _SORTING if (value := getattr(arguments, name)) is not None]
    query += [(f"metadata.{key}", value) for key, value in pairs(arguments.metadata)]

    async def work(client: ApiClient, reporter: Reporter) -> int:
        for item in (await client.get("/media", query))["data"]:
            reporter.result(item, _line(item))
        return 0

    return through_api(arguments, "media list", work)


def get(arguments: argparse.Namespace) -> int:
    """Show one media item."""
    id = _media_id(arguments)

    async def work(client: ApiClient, reporter: Reporter) -> int:
        item = (await client.get(f"/media/{id}"))["data"]
        reporter.result(item, _text(item))
        return 0

    return through_api(arguments, "media get", work)


def create(arguments: argparse.Namespace) -> int:
    """Make a media item of a file, which is uploaded first, or of an address. Status 1 if its import failed."""
    body = _changes(arguments)
    if arguments.filename is not None:
        body["filename"] = arguments.filename
    path = None if is_url(arguments.input) else readable(arguments.input)

    async def work(client: ApiClient, reporter: Reporter) -> int:
        body["url"] = arguments.input if path is None else (await upload(client, path, reporter))["address"]
        if path is not None:
            body.setdefault("title", Path(arguments.input).name)
        reporter.progress("import", None)
        item = (await client.post("/media", body))["data"]
        reporter.result(item, _text(item))
        return 1 if item["status"] == "failed" else 0

    return through_api(arguments, "media create", work, bars=True)


def update(arguments: argparse.Namespace) -> int:
    """Change a media item."""
    id, body = _media_id(arguments), _changes(arguments)
    if arguments.clear_metadata:
        body["metadata"] = {}
    elif "metadata" in body:
        body["metadata"] = {key: value or None for key, value in body["metadata"].items()}
    if not body:
        raise UsageError("media update: name what is to be changed (--title, --folder, --metadata)")

    async def work(client: ApiClient, reporter: Reporter) -> int:
        item = (await client.patch(f"/media/{id}", body))["data"]
        reporter.result(item, _text(item))
        return 0

    return through_api(arguments, "media update", work)


def delete(arguments: argparse.Namespace) -> int:
    """Delete a media item."""
    id = _media_id(arguments)

    async def work(client: ApiClient, reporter: Reporter) -> int:
        await client.delete(f"/media/{id}")
        reporter.result({"id": id, "deleted": True}, f"{id} deleted")
        return 0

    return through_api(arguments, "media delete", work)


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:
    body: dict[str, Any] = {
        name: value for name in ("title", "folder") if (value := getattr(arguments, name)) is not None
    }
    if arguments.overwrite:
        body["overwrite"] = True
    if metadata := dict(pairs(arguments.metadata)):
        body["metadata"] = metadata
    return body


def _line(item: dict[str, Any]) -> str:
    size = size_text(item["filesize"]) if item.get("filesize") is not None else ""
    title = printable(str(item.get("title") or ""))
    return f"{printable(item['id']):30}  {item['status']:10}  {item.get('kind') or '':5}  {size:>9}  {title}".rstrip()


def _text(item: dict[str, Any]) -> str:
    error = item.get("error")
    facts = [
        ("status", item["status"]),
        ("title", item.get("title")),
        ("folder", item.get("folder")),
        ("kind", item.get("kind")),
        ("size", f"{item['width']}x{item['height']}" if item.get("width") else ""),
        ("duration", f"{item['duration']:.1f} s" if item.get("duration") else ""),
        ("filesize", size_text(item["filesize"]) if item.get("filesize") is not None else ""),
        ("original", item.get("original")),
        ("error", f"{error['message']} [{error['kind']}]" if error else ""),
        *((f"metadata {key}", value) for key, value in (item.get("metadata") or {}).items()),
    ]
    return "\n".join([item["id"], *(f"  {name:<10} {printable(str(value))}" for name, value in facts if value)])


def _media_id(arguments: argparse.Namespace) -> str:
    id: str = arguments.id
    if not is_id(id, "med"):
        raise UsageError(f"MEDIA_ID must be the id of a media item (med_…), not {id[:60]!r}")
    return id
