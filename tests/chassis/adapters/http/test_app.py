"""The door: ids, refusals, routes, and what they never tell."""

import asyncio
import errno

import asyncpg
import pytest
from aiohttp import ClientPayloadError, web
from prometheus_client.parser import text_string_to_metric_families
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

from chassis.adapters.http.errors import ApiError, conflict, not_found, range_not_satisfiable, unavailable
from chassis.adapters.http.health import State
from chassis.adapters.http.json_body import json_response
from chassis.adapters.http.server import make_web_app
from chassis.adapters.storage import StorageFull, StorageUnavailable
from schemas.ids import is_id
from tests.chassis.adapters.http.harness import Small, raises, serving


async def fine(_: web.Request) -> web.Response:
    return json_response({"fine": True})


def failing(error: BaseException) -> web.RouteDef:
    async def handler(_: web.Request) -> web.Response:
        raise error

    return web.get("/fails", handler)


async def test_every_answer_has_an_id_and_is_not_sniffed() -> None:
    async with serving(Small(web.get("/fine", fine))) as client:
        for path in ("/fine", "/nowhere", "/livez", "/metrics"):
            async with client.get(path) as response:
                assert is_id(response.headers["X-Request-Id"], "req")
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Server"] == "bitmill"


async def test_an_error_carries_the_id_of_its_header() -> None:
    async with serving(Small()) as client:
        _, body, headers = await raises(client, "GET", "/nowhere")
        assert body["request_id"] == headers["X-Request-Id"]
        _, again, _ = await raises(client, "GET", "/nowhere")
        assert again["request_id"] != body["request_id"]


async def test_unknown_addresses_and_methods_are_refused_as_json() -> None:
    """Routes of one address may belong to two services; the refusal knows both."""
    one, other = Small(web.get("/jobs", fine), name="catalog"), Small(web.post("/jobs", fine), name="ingest")
    async with serving(one, other) as client:
        status, body, _ = await raises(client, "GET", "/nowhere/at/all")
        assert (status, body["kind"]) == (404, "not_found")
        status, body, headers = await raises(client, "DELETE", "/jobs")
        assert (status, body["kind"]) == (405, "method_not_allowed")
        assert headers["Allow"] == "GET, HEAD, POST"
        for method in ("GET", "POST", "HEAD"):
            async with client.request(method, "/jobs") as response:
                assert response.status == 200
                assert (await response.read() == b"") == (method == "HEAD")


def test_two_services_with_one_route_cannot_start() -> None:
    apps = [Small(web.get("/jobs", fine), name=name) for name in ("one", "two")]
    with pytest.raises(ValueError, match="GET /jobs is a route of one and of two"):
        make_web_app(apps, State())


@pytest.mark.parametrize(
    ("refusal", "status", "kind", "header"),
    [
        (not_found("job_not_found", "There is no such job."), 404, "job_not_found", None),
        (conflict("The name is taken."), 409, "conflict", None),
        (range_not_satisfiable(10), 416, "range_not_satisfiable", ("Content-Range", "bytes */10")),
        (unavailable(7), 503, "unavailable", ("Retry-After", "7")),
    ],
)
async def test_refusals_are_rendered_with_kind_message_and_headers(
    refusal: ApiError, status: int, kind: str, header: tuple[str, str] | None
) -> None:
    async with serving(Small(failing(refusal))) as client:
        found, body, headers = await raises(client, "GET", "/fails")
        assert (found, body["kind"], body["message"]) == (status, kind, refusal.message)
        assert set(body) == {"kind", "message", "request_id"}
        if header is not None:
            assert headers[header[0]] == header[1]


async def test_an_unexpected_error_is_logged_and_nothing_of_it_is_told() -> None:
    async with serving(Small(failing(KeyError("secret of ours")))) as client:
        with capture_logs() as lines:
            status, body, _ = await raises(client, "GET", "/fails")
    assert (status, body["kind"]) == (500, "internal_error")
    assert "secret" not in str(body) and "KeyError" not in str(body)
    errors = [line for line in lines if line["log_level"] == "error"]
    assert isinstance(errors[0]["exc_info"], KeyError)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.PostgresConnectionError("host db.internal"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("shutting down"),
        asyncpg.DiskFullError("no space"),
        asyncpg.TooManyConnectionsError("too many"),
        asyncpg.InterfaceError("pool is closing"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.ConnectionDoesNotExistError("connection was closed"),
        ConnectionRefusedError(errno.ECONNREFUSED, "db.internal"),
        TimeoutError(),
        OSError(errno.ENOSPC, "/var/lib/bitmill"),
        StorageFull("no room"),
        StorageUnavailable("away"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_outages_ask_to_come_again(error: BaseException) -> None:
    async with serving(Small(failing(error))) as client:
        status, body, headers = await raises(client, "GET", "/fails")
        assert (status, body["kind"]) == (503, "unavailable")
        assert int(headers["Retry-After"]) >= 1
        assert "internal" not in str(body) and "/var" not in str(body)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError("duplicate"),
        asyncpg.UndefinedTableError("no table"),
        asyncpg.InterfaceError("another operation is in progress"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (5) is in progress"),
        FileNotFoundError(errno.ENOENT, "x"),
        ZeroDivisionError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_faults_of_ours_are_not_called_outages(error: BaseException) -> None:
    async with serving(Small(failing(error))) as client:
        assert (await raises(client, "GET", "/fails"))[0] == 500


async def test_refusals_below_a_prefix_have_the_style_of_the_prefix() -> None:
    def enveloped(request: web.Request, refusal: ApiError, request_id: str) -> dict[str, object]:
        return {"meta": {"id": request_id, "path": request.path}, "error": refusal.kind}

    app = Small(web.get("/media/{id}", fine), styles={"/media": enveloped})
    async with serving(app) as client:
        for method, path, kind in (
            ("POST", "/media/1", "method_not_allowed"),
            ("GET", "/media/1/2", "not_found"),
            ("GET", "/media", "not_found"),
        ):
            _, body, headers = await raises(client, method, path)
            assert body == {"meta": {"id": headers["X-Request-Id"], "path": path}, "error": kind}
        _, body, _ = await raises(client, "GET", "/mediation")
        assert body["kind"] == "not_found"


async def test_before_a_service_runs_its_routes_ask_to_come_again() -> None:
    state = State()
    async with serving(Small(web.get("/fine", fine)), state=state) as client:
        status, body, headers = await raises(client, "GET", "/fine")
        assert (status, body["kind"], headers["Retry-After"]) == (503, "unavailable", "2")
        state.running.add("small")
        async with client.get("/fine") as response:
            assert response.status == 200


async def test_redirects_of_a_handler_go_through() -> None:
    app = Small(failing(web.HTTPFound("/elsewhere")))
    async with serving(app) as client, client.get("/fails", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/elsewhere")


async def test_an_answer_that_breaks_off_is_seen_to_be_broken() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half of")
        raise RuntimeError("the rest is gone")

    async with serving(Small(web.get("/half", half))) as client, client.get("/half") as response:
        assert response.status == 200
        assert is_id(response.headers["X-Request-Id"], "req")
        with pytest.raises(ClientPayloadError):
            await response.read()


async def test_there_is_one_access_event_a_request_without_the_query() -> None:
    seen: list[dict[str, object]] = []

    async def handler(_: web.Request) -> web.Response:
        seen.append(dict(get_contextvars()))
        return json_response({})

    async with serving(Small(web.get("/files/{name}", handler), name="catalog")) as client:
        with capture_logs() as lines:
            async with client.get("/files/a%0Aforged line?token=secret") as response:
                request_id = response.headers["X-Request-Id"]
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/files/a%0Aforged%20line", 200)
    assert "secret" not in str(lines)
    assert seen == [{"request_id": request_id, "service": "catalog"}]


async def test_what_one_request_binds_is_gone_in_the_next() -> None:
    from structlog.contextvars import bind_contextvars

    seen: list[dict[str, object]] = []

    async def handler(_: web.Request) -> web.Response:
        seen.append(dict(get_contextvars()))
        bind_contextvars(project="prj_1", job_id="job_1")
        return json_response({})

    async with serving(Small(web.get("/", handler))) as client:
        for _ in range(2):
            async with client.get("/") as response:
                assert response.status == 200
    assert all(set(context) == {"request_id", "service"} for context in seen)


async def test_metrics_are_by_route_and_not_by_address() -> None:
    async with serving(Small(web.get("/things/{id}", fine))) as client:
        for number in range(3):
            await client.get(f"/things/{number}")
            await client.get(f"/nowhere/{number}")
        await client.request("PROPFIND", "/things/1")
        async with client.get("/metrics") as response:
            assert response.headers["Content-Type"].startswith("text/plain")
            families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    samples = families["bitmill_http_request_seconds"].samples
    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for sample in samples
        if sample.name.endswith("_count")
    }
    assert counted["GET", "/things/{id}", "200"] == 3
    assert counted["GET", "none", "404"] >= 3
    assert counted["other", "none", "405"] == 1


async def test_a_client_that_goes_away_is_no_error() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        began.set()
        try:
            while True:
                await response.write(b"x" * 65536)
        finally:
            ended.set()

    async with serving(Small(web.get("/slow", slow))) as client:
        with capture_logs() as lines:
            response = await client.get("/slow")
            await began.wait()
            response.close()
            async with asyncio.timeout(5):
                await ended.wait()
    assert not [line for line in lines if line["log_level"] in ("error", "warning")]
