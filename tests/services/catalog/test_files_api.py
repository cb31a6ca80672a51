"""Files at their public address: complete, in parts, conditionally, and only while they may be seen."""

import asyncio
import json
import os
from ipaddress import ip_network
from pathlib import Path

from multidict import CIMultiDict

from chassis.core.ids import new_id, now_ms
from schemas.events import JobCreated, JobSucceeded, MediaCreated, MediaDeleted, ProjectChanged
from schemas.jobs import Job
from schemas.projects import Project
from services.catalog.waiting import MAX_WAITING
from tests.services.catalog import factories
from tests.services.catalog.conftest import Tables
from tests.services.catalog.service import CatalogService, running
from tests.support.waiting import until

DATA = os.urandom(700_001)
"""More than two chunks of the store, and no round number."""


async def delivered_job(catalog: CatalogService, data: bytes = DATA, **fields: object) -> tuple[str, Job]:
    """The path of a finished job's stored output, projected."""
    project = new_id("prj")
    ended = factories.snapshots(factories.queued(project, **fields))[-1]
    assert ended.output is not None
    await catalog.store(ended.output.key, data, "video/mp4")
    await catalog.publish(JobSucceeded(job=ended))
    return f"/{project}/{ended.output.path}", ended


async def fetch(
    catalog: CatalogService, path: str, method: str = "GET", **headers: str
) -> tuple[int, CIMultiDict[str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with catalog.session.request(method, catalog.url + path, headers=named) as response:
        return response.status, CIMultiDict(response.headers), await response.read()


async def test_a_file_is_delivered_without_a_key_and_with_all_its_headers(catalog: CatalogService) -> None:
    path, _ = await delivered_job(catalog)
    status, headers, body = await fetch(catalog, path)
    assert status == 200
    assert body == DATA
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Content-Length"] == str(len(DATA))
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["Content-Disposition"] == 'inline; filename="video.mp4"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["ETag"].startswith('"')
    assert headers["Last-Modified"].endswith("GMT")


async def test_head_tells_the_same_and_sends_nothing(catalog: CatalogService) -> None:
    path, _ = await delivered_job(catalog)
    _, full, _ = await fetch(catalog, path)
    status, headers, body = await fetch(catalog, path, "HEAD", Range="bytes=0-9")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(DATA)))
    for differing in ("Date", "X-Request-Id"):
        del full[differing], headers[differing]
    assert headers == full


async def test_players_and_resumed_downloads_get_the_part_they_ask_for(catalog: CatalogService) -> None:
    path, _ = await delivered_job(catalog)
    size = len(DATA)
    for range_, start, end in (
        ("bytes=0-", 0, size),
        ("bytes=0-0", 0, 1),
        ("bytes=262143-262145", 262143, 262146),
        (f"bytes={size - 1}-", size - 1, size),
        ("bytes=-5", size - 5, size),
        ("bytes=600000-9999999", 600000, size),
    ):
        status, headers, body = await fetch(catalog, path, Range=range_)
        assert status == 206
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert headers["Content-Length"] == str(end - start)
        assert body == DATA[start:end]


async def test_an_unsatisfiable_range_is_refused_and_several_ranges_return_the_full_file(
    catalog: CatalogService,
) -> None:
    path, _ = await delivered_job(catalog)
    status, headers, _ = await fetch(catalog, path, Range=f"bytes={len(DATA)}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")
    assert headers["Access-Control-Allow-Origin"] == "*"
    status, _, body = await fetch(catalog, path, Range="bytes=0-1,5-6")
    assert (status, body) == (200, DATA)


async def test_a_cache_with_the_current_version_gets_304(catalog: CatalogService) -> None:
    path, _ = await delivered_job(catalog)
    _, headers, _ = await fetch(catalog, path)
    for condition in ({"If_None_Match": headers["ETag"]}, {"If_Modified_Since": headers["Last-Modified"]}):
        status, revalidated, body = await fetch(catalog, path, **condition)
        assert (status, body, revalidated["ETag"]) == (304, b"", headers["ETag"])
    status, _, body = await fetch(catalog, path, If_Range='"other"', Range="bytes=0-1")
    assert (status, body) == (200, DATA)
    status, _, body = await fetch(catalog, path, If_Range=headers["ETag"], Range="bytes=0-1")
    assert (status, body) == (206, DATA[:2])


async def test_an_output_is_waited_for_until_its_event_is_projected(catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    job = factories.queued(who.project, id=factories.old_id("job"))
    ended = factories.snapshots(job)[-1]
    assert ended.output is not None
    await catalog.store(ended.output.key, b"late", "video/mp4")
    await catalog.publish(JobCreated(job=job))
    await catalog.until(f"/jobs/{job.id}", who, lambda body: body["status"] == "queued")
    request = asyncio.create_task(fetch(catalog, f"/{who.project}/{ended.output.path}"))
    await catalog.publish(JobSucceeded(job=ended))
    status, _, body = await request
    assert (status, body) == (200, b"late")


async def test_what_is_not_there_is_not_found(catalog: CatalogService) -> None:
    path, job = await delivered_job(catalog)
    assert (await fetch(catalog, path))[0] == 200
    other = new_id("prj")
    old = factories.old_id("job")
    addresses = (
        path.replace("video.mp4", "video.webm"),
        path.replace(job.project, other).replace(job.id, old),
        f"/{job.project}/..%2f..%2fetc%2fpasswd",
        f"/{job.project}/%2e%2e/%2e%2e/etc/passwd",
        f"/{job.project}/a%00b",
        f"/{job.project}/{'x' * 5000}",
        f"/{job.project}/\u202e%F0%9F%8E%AC",
        "/prj_short/video.mp4",
    )
    answers = await asyncio.gather(*(fetch(catalog, address) for address in addresses))
    for address, (status, _, body) in zip(addresses, answers, strict=True):
        assert status == 404, address
        assert b"not_found" in body


async def test_a_record_whose_object_is_gone_is_not_found(catalog: CatalogService) -> None:
    path, job = await delivered_job(catalog)
    assert (await fetch(catalog, path))[0] == 200
    assert job.output is not None
    await catalog.storage.delete(job.output.key)
    assert (await fetch(catalog, path))[0] == 404


async def test_a_deleted_items_files_are_gone_and_were_never_immutable(catalog: CatalogService) -> None:
    # Of today: the purge, which runs meanwhile, removes what was deleted years ago.
    item = factories.item(new_id("prj"), id=new_id("med"), updated_at=now_ms())
    assert item.original is not None
    await catalog.store(item.original.key, b"original", "video/mp4")
    await catalog.publish(MediaCreated(media=item))
    path = f"/{item.project}/{item.original_path}"
    status, headers, body = await fetch(catalog, path)
    assert (status, body, headers["Cache-Control"]) == (200, b"original", "public, no-cache")
    await catalog.publish(MediaDeleted(media=item.model_copy(update={"version": 2, "status": "deleted"})))
    async with asyncio.timeout(60):
        while (await fetch(catalog, path))[0] != 410:
            await asyncio.sleep(0.02)
    status, headers, body = await fetch(catalog, path)
    assert (json.loads(body)["kind"], headers["Access-Control-Allow-Origin"]) == ("file_gone", "*")
    # Who takes the name over is served under it.
    other = factories.item(item.project, id=new_id("med"), original_path=item.original_path, updated_at=now_ms())
    assert other.original is not None
    await catalog.store(other.original.key, b"other", "video/mp4")
    await catalog.publish(MediaCreated(media=other))
    async with asyncio.timeout(60):
        while (await fetch(catalog, path))[2] != b"other":
            await asyncio.sleep(0.02)


async def test_scripts_of_other_sites_may_ask_for_parts(catalog: CatalogService) -> None:
    path, _ = await delivered_job(catalog)
    status, headers, _ = await fetch(catalog, path, "OPTIONS", Origin="https://example.com")
    assert status == 204
    assert "Range" in headers["Access-Control-Allow-Headers"]


async def test_what_could_run_as_a_page_is_an_attachment(catalog: CatalogService) -> None:
    item = factories.item(
        new_id("prj"), id=new_id("med"), original_path="a/page.html", file={"content_type": "text/html"}
    )
    assert item.original is not None
    await catalog.store(item.original.key, b"<script>", "text/html")
    await catalog.publish(MediaCreated(media=item))
    path = f"/{item.project}/a/page.html"
    status, headers, _ = await fetch(catalog, path)
    assert (status, headers["Content-Disposition"]) == (200, 'attachment; filename="page.html"')


async def test_clients_behind_a_trusted_proxy_are_bounded_each_by_itself(
    tables: Tables, database_url: str, kafka_bootstrap: str, tmp_path: Path, catalog: CatalogService, project: str
) -> None:
    proxies = (ip_network("127.0.0.1/32"),)
    async with running(
        database_url, kafka_bootstrap, tmp_path, beside=catalog.ingest, trusted_proxies=proxies
    ) as behind:

        async def statuses(client: str, count: int) -> list[int]:
            paths = [f"/{project}/{client}-{number}.png" for number in range(count)]
            forwarded = f"203.0.113.9, {client}"
            found = await asyncio.gather(*(fetch(behind, path, X_Forwarded_For=forwarded) for path in paths))
            return [status for status, _, _ in found]

        many, few = await asyncio.gather(statuses("198.51.100.1", 3 * MAX_WAITING), statuses("198.51.100.2", 10))
    assert many.count(503) > 0
    assert few == [404] * 10


async def test_a_project_with_signed_delivery_serves_nothing_without_a_valid_signature(
    catalog: CatalogService,
) -> None:
    customer = await catalog.new_customer()
    ended = factories.snapshots(factories.queued(customer.project))[-1]
    assert ended.output is not None
    await catalog.store(ended.output.key, DATA, "video/mp4")
    project = Project(id=customer.project, name="shop", delivery="signed", version=2)
    await catalog.publish(ProjectChanged(project=project), JobSucceeded(job=ended))

    job = await catalog.until(
        f"/jobs/{ended.id}", customer, lambda job: job["output"] and "signature=" in job["output"]["url"]
    )
    path = job["output"]["url"].removeprefix("https://cdn.example.com")
    status, headers, body = await fetch(catalog, path, Range="bytes=0-9")
    assert (status, body) == (206, DATA[:10])
    assert headers["Cache-Control"] == "private, no-cache"
    assert (await fetch(catalog, path, "HEAD"))[0] == 200

    bare = path.partition("?")[0]
    for refused in (bare, f"{bare}x", f"{path}x", path.replace("expiry=", "expiry=1"), f"{bare}?{os.urandom(4).hex()}"):
        status, headers, body = await fetch(catalog, refused)
        assert status == 403, refused
        assert json.loads(body)["kind"] in ("signature_missing", "signature_invalid")
        assert headers["Access-Control-Allow-Origin"] == "*"

    await catalog.publish(ProjectChanged(project=project.model_copy(update={"delivery": "public", "version": 3})))

    async def public_again() -> bool:
        return (await fetch(catalog, bare))[0] == 200

    await until(public_again)
