"""`GET /media` and `GET /media/{id}` on real Kafka and Postgres."""

import asyncio
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest

from chassis.core.ids import new_id, now_ms
from schemas.delivery import DeliveryUrls
from schemas.envelope import org_id
from schemas.events import MediaAccepted, MediaCreated, MediaDeleted
from schemas.media import MediaItem
from schemas.media_resource import media_resource
from tests.services.catalog import factories
from tests.services.catalog.service import CatalogService, Customer

HOST = "https://api.example.com"
NASTY = {
    "plain": "123",
    "source": "YourApp/iOS",
    "case": "MiXeD",
    "a.b": "dotted",
    "a": "not dotted",
    "quote'\"": 'it\'s "quoted"',
    "sql": "'; DROP TABLE media; --",
    "like": "100%_\\",
    "json": '{"$ne": null}',
    "path": "$.a[*] ? (@ > 0)",
    "space": " leading and trailing ",
    "plus": "1+1=2&b=3",
    "slash": "a/b\\c%2F",
    "unicode": "Zoë \U0001f3ac Ω",
    "newline": "a\r\nb\tc",
    "empty": "",
    "long": "x" * 1000,
    "wide": "é" * 1024,
    "kind": "video",
    "k" * 128: "longest key",
}


async def media_of(catalog: CatalogService, *items: dict[str, Any]) -> tuple[Customer, list[MediaItem]]:
    """A customer with these items, a second apart, oldest first, all of them projected."""
    who = await catalog.new_customer()
    built = []
    for number, fields in enumerate(items):
        at = factories.OLD_MS + 1000 * number
        given: dict[str, Any] = {"id": factories.old_id("med", number), "created_at": at, "updated_at": at} | fields
        built.append(factories.item(who.project, **given))
    await catalog.publish(*(MediaCreated(media=item) for item in built))
    await catalog.until("/media", who, lambda body: body["meta"]["total"] == len(items))
    return who, built


async def listed(catalog: CatalogService, who: Customer, *query: tuple[str, str]) -> list[str]:
    status, body = await catalog.get(f"/media?{urlencode(query)}", who)
    assert status == 200
    assert body["meta"]["total"] >= len(body["data"])
    return [item["id"] for item in body["data"]]


async def test_an_item_comes_in_the_envelope(catalog: CatalogService) -> None:
    who, (item,) = await media_of(catalog, {})
    status, body = await catalog.get(f"/media/{item.id}", who)
    assert status == 200
    assert body["data"] == media_resource(item, DeliveryUrls("https://cdn.example.com"))
    assert body["links"] == {"self": f"{HOST}/media/{item.id}", "parent": f"{HOST}/media"}
    assert body["meta"].pop("id").startswith("req_")
    assert body["meta"] == {
        "org_id": org_id(who.project),
        "project_id": who.project,
        "method": "GET",
        "host": HOST,
        "path": f"/media/{item.id}",
        "version": "2024-08-21",
        "status": 200,
        "type": "object",
    }


async def test_the_published_filter_finds_the_item_and_is_repeated_in_the_answer(catalog: CatalogService) -> None:
    who, items = await media_of(catalog, {}, {"metadata": {"user_id": "123", "source": "web"}}, {"metadata": {}})
    status, body = await catalog.get("/media?metadata.user_id=123&metadata.source=YourApp/iOS", who)
    assert status == 200
    assert [found["id"] for found in body["data"]] == [items[0].id]
    meta = body["meta"]
    assert meta["query"] == {"user_id": "123", "source": "YourApp/iOS"}
    assert (meta["type"], meta["total"], meta["limit"], meta["page"], meta["pages"]) == ("list", 1, 12, 1, 1)
    assert body["links"]["next"] is None
    assert await listed(catalog, who, ("metadata.user_id", "123")) == [items[1].id, items[0].id]


async def test_every_value_is_found_as_it_was_written_and_no_other(catalog: CatalogService) -> None:
    who, (item, _) = await media_of(catalog, {"metadata": NASTY}, {"metadata": {}})
    for key, value in NASTY.items():
        assert await listed(catalog, who, (f"metadata.{key}", value)) == [item.id], key
        for other in (value + "x", value.swapcase() + "!", value[:-1] + "\n", f"{value}\0"):
            assert await listed(catalog, who, (f"metadata.{key}", other)) == [], key
    assert await listed(catalog, who, *((f"metadata.{key}", value) for key, value in list(NASTY.items())[:16])) == [
        item.id
    ]
    assert await listed(catalog, who, ("metadata.plain", "123"), ("metadata.plain", "124")) == []
    assert await listed(catalog, who, ("metadata.Plain", "123")) == []


async def test_metadata_of_another_project_is_never_found(catalog: CatalogService) -> None:
    _, items = await media_of(catalog, {"metadata": {"user_id": "777"}})
    other_customer, own = await media_of(catalog, {"metadata": {"user_id": "777"}})
    assert await listed(catalog, other_customer, ("metadata.user_id", "777")) == [own[0].id]
    status, body = await catalog.get(f"/media/{items[0].id}", other_customer)
    assert status == 404
    assert (body["data"], body["error"]["kind"], body["meta"]["status"]) == (None, "media_not_found", 404)
    assert body["meta"]["project_id"] == other_customer.project


SORTS: dict[str, list[dict[str, Any]]] = {
    "filesize": [{"file": {"filesize": size}} for size in (5, 3_000_000_000, 7)],
    "duration": [{"file": {"duration": seconds}} for seconds in (1.5, None, 0.1, 90.0, None)],
    "width": [{"file": {"width": pixels}} for pixels in (100, None, 50, 100)],
    "height": [{"file": {"height": pixels}} for pixels in (None, None, 50)],
    "fps": [{"file": {"fps": frames}} for frames in (29.97, 30.0, None)],
    "filename": [{"filename": name} for name in ("b.mp4", "B.mp4", None, "a.mp4", "b-2.mp4")],
    "updated": [{"updated_at": factories.OLD_MS + at} for at in (9_000, 3_000, 6_000)],
    "created": [{}, {}, {}],
}


def expected(items: list[MediaItem], sort: str, order: str) -> list[str]:
    def value(item: MediaItem) -> Any:
        if sort in ("created", "updated", "filename"):
            return getattr(item, sort if sort == "filename" else f"{sort}_at")
        return getattr(item.original, sort)

    known = [item for item in items if value(item) is not None]
    unknown = [item for item in items if value(item) is None]
    down = order == "desc"
    known.sort(key=lambda item: (value(item), item.id), reverse=down)
    unknown.sort(key=lambda item: item.id, reverse=down)
    return [item.id for item in known + unknown]


@pytest.mark.parametrize("sort", SORTS)
async def test_items_without_a_value_come_last_in_both_orders_and_ties_go_by_id(
    catalog: CatalogService, sort: str
) -> None:
    who, items = await media_of(catalog, *SORTS[sort])
    filters = [[], [("metadata.user_id", "123")], [("metadata.user_id", "123"), ("metadata.source", "YourApp/iOS")]]
    for order, filter in product(("asc", "desc"), filters):
        full = expected(items, sort, order)
        query = [("sort", sort), ("order", order), *filter]
        assert await listed(catalog, who, *query) == full
        pages = [await listed(catalog, who, *query, ("limit", "2"), ("page", str(page))) for page in (1, 2, 3)]
        assert [id for page in pages for id in page] == full[:6]


async def test_the_kind_filters_with_and_without_metadata(catalog: CatalogService) -> None:
    who, items = await media_of(catalog, {"kind": "image"}, {"kind": "video"}, {"kind": "audio"}, {"kind": "image"})
    images = [items[3].id, items[0].id]
    assert await listed(catalog, who, ("kind", "image")) == images
    assert await listed(catalog, who, ("kind", "image"), ("metadata.user_id", "123")) == images
    assert await listed(catalog, who, ("kind", "image"), ("metadata.user_id", "123"), ("sort", "width")) == images
    assert await listed(catalog, who, ("kind", "audio"), ("metadata.user_id", "124")) == []


async def test_pages_link_to_their_neighbours(catalog: CatalogService) -> None:
    who, items = await media_of(catalog, {}, {}, {}, {}, {})
    status, body = await catalog.get("/media?page=2&limit=2&metadata.source=YourApp%2FiOS", who)
    assert [found["id"] for found in body["data"]] == [items[2].id, items[1].id]
    assert (body["meta"]["total"], body["meta"]["pages"]) == (5, 3)
    kept = f"{HOST}/media?limit=2&metadata.source=YourApp%2FiOS"
    assert body["links"] == {"self": f"{kept}&page=2", "next": f"{kept}&page=3", "prev": kept}
    status, body = await catalog.get("/media?page=1000000000&limit=2", who)
    assert (status, body["data"], body["meta"]["total"]) == (200, [], 5)
    assert body["links"]["next"] is None


async def test_an_unknown_parameter_is_refused_in_the_envelope(catalog: CatalogService) -> None:
    who = await catalog.new_customer()
    status, body = await catalog.get("/media?metdata.user_id=1&limit=0", who)
    assert (status, body["error"]["kind"], body["meta"]["type"], body["data"]) == (400, "invalid_input", None, None)
    assert sorted(fault["field"] for fault in body["error"]["errors"]) == ["limit", "metdata.user_id"]
    assert body["meta"]["project_id"] == who.project


async def test_without_a_key_the_envelope_names_nobody(catalog: CatalogService) -> None:
    who, (item,) = await media_of(catalog, {})
    assert (await catalog.get("/media", who))[0] == 200
    status, body = await catalog.get(f"/media/{item.id}")
    assert (status, body["error"]["kind"]) == (401, "token_missing")
    assert (body["meta"]["project_id"], body["meta"]["org_id"]) == (None, None)


async def test_the_etag_of_an_item_is_its_version(catalog: CatalogService) -> None:
    who, (item,) = await media_of(catalog, {})
    url = f"{catalog.url}/media/{item.id}"
    for condition, status in ((None, 200), ('"1"', 304), ('W/"1", "7"', 304), ("*", 304), ('"2"', 200), ("1", 200)):
        headers = who.headers | ({} if condition is None else {"If-None-Match": condition})
        async with catalog.session.get(url, headers=headers) as answer:
            assert (answer.status, answer.headers["ETag"], bool(await answer.read())) == (
                status,
                '"1"',
                status == 200,
            ), condition


async def test_an_item_is_waited_for_until_it_is_projected_and_a_deleted_one_is_not(
    catalog: CatalogService,
) -> None:
    who = await catalog.new_customer()
    await catalog.get("/media", who)
    item = factories.item(who.project, id=new_id("med"), status="processing", original=None, original_path=None)
    with catalog.ingest.unpublished_row():
        request = asyncio.create_task(catalog.get(f"/media/{item.id}", who))
        done, _ = await asyncio.wait({request}, timeout=0.3)
        assert not done
        await catalog.publish(MediaAccepted(media=item))
        status, body = await request
    assert (status, body["data"]["status"], body["data"]["original"]) == (200, "processing", None)
    gone = item.model_copy(update={"version": 2, "status": "deleted", "updated_at": now_ms()})
    await catalog.publish(MediaDeleted(media=gone))
    await catalog.until("/media", who, lambda body: body["meta"]["total"] == 0)
    with catalog.ingest.unpublished_row():
        assert (await catalog.get(f"/media/{item.id}", who))[0] == 404
