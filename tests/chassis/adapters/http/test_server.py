"""The HTTP application: request ids, errors, routes, access log, metrics."""

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
from chassis.adapters.postgres import ConnectionLost
from chassis.adapters.storage import StorageFull, StorageUnavailable
from schemas.ids import is_id
from tests.chassis.adapters.http.small_service import Small, error_of, serving


async def fine(_: web.Request) -> web.Response:
    return json_response({"fine": True})


def failing(error: BaseException) -> web.RouteDef:
    async def handler(_: web.Request) -> web.Response:
        raise error

    return web.get("/fails", handler)


async def test_every_response_has_a_request_id_and_forbids_sniffing() -> None:
    async with serving(Small(web.get("/fine", fine))) as client:
        for path in ("/fine", "/nowhere", "/livez", "/metrics"):
            async with client.get(path) as response:
                assert is_id(response.headers["X-Request-Id"], "req")
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Server"] == "bitmill"


async def test_the_body_of_an_error_has_the_request_id_of_its_header() -> None:
    async with serving(Small()) as client:
        _, body, headers = await error_of(client, "GET", "/nowhere")
        assert body["request_id"] == headers["X-Request-Id"]
        _, again, _ = await error_of(client, "GET", "/nowhere")
        assert again["request_id"] != body["request_id"]


async def test_unknown_paths_and_methods_are_json_errors() -> None:
    """Routes of one path may belong to two services; `Allow` lists the methods of both."""
    one, other = Small(web.get("/jobs", fine), name="catalog"), Small(web.post("/jobs", fine), name="ingest")
    async with serving(one, other) as client:
        status, body, _ = await error_of(client, "GET", "/nowhere/at/all")
        assert (status, body["kind"]) == (404, "not_found")
        status, body, headers = await error_of(client, "DELETE", "/jobs")
        assert (status, body["kind"]) == (405, "method_not_allowed")
        assert body["message"] == "DELETE is not possible at this address; possible: GET, HEAD, POST."
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
    ("error", "status", "kind", "header"),
    [
        (not_found("job_not_found", "There is no such job."), 404, "job_not_found", None),
        (conflict("The name is taken."), 409, "conflict", None),
        (range_not_satisfiable(10), 416, "range_not_satisfiable", ("Content-Range", "bytes */10")),
        (unavailable(7), 503, "unavailable", ("Retry-After", "7")),
    ],
)
async def test_an_api_error_is_rendered_with_kind_message_and_headers(
    error: ApiError, status: int, kind: str, header: tuple[str, str] | None
) -> None:
    async with serving(Small(failing(error))) as client:
        found, body, headers = await error_of(client, "GET", "/fails")
        assert (found, body["kind"], body["message"]) == (status, kind, error.message)
        assert set(body) == {"kind", "message", "request_id"}
        if header is not None:
            assert headers[header[0]] == header[1]


async def test_an_unexpected_error_is_logged_and_the_response_tells_nothing_about_it() -> None:
    async with serving(Small(failing(KeyError("secret of ours")))) as client:
        with capture_logs() as lines:
            status, body, _ = await error_of(client, "GET", "/fails")
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
        ConnectionLost("the pool is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed"),
        ConnectionRefusedError(errno.ECONNREFUSED, "db.internal"),
        TimeoutError(),
        OSError(errno.ENOSPC, "/var/lib/bitmill"),
        StorageFull("no space left"),
        StorageUnavailable("away"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_outage_is_a_503_with_retry_after(error: BaseException) -> None:
    async with serving(Small(failing(error))) as client:
        status, body, headers = await error_of(client, "GET", "/fails")
        assert (status, body["kind"]) == (503, "unavailable")
        assert int(headers["Retry-After"]) >= 1
        assert "internal" not in str(body) and "/var" not in str(body)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError("duplicate"),
        asyncpg.UndefinedTableError("no table"),
        asyncpg.InterfaceError("another operation is in progress"),
        asyncpg.InternalClientError("cannot switch to state 12"),
        FileNotFoundError(errno.ENOENT, "x"),
        ZeroDivisionError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_bug_is_a_500(error: BaseException) -> None:
    async with serving(Small(failing(error))) as client:
        assert (await error_of(client, "GET", "/fails"))[0] == 500


async def test_errors_below_a_prefix_have_the_style_of_the_prefix() -> None:
    def enveloped(request: web.Request, error: ApiError, request_id: str) -> dict[str, object]:
        return {"meta": {"id": request_id, "path": request.path}, "error": error.kind}

    app = Small(web.get("/media/{id}", fine), styles={"/media": enveloped})
    async with serving(app) as client:
        for method, path, kind in (
            ("POST", "/media/1", "method_not_allowed"),
            ("GET", "/media/1/2", "not_found"),
            ("GET", "/media", "not_found"),
        ):
            _, body, headers = await error_of(client, method, path)
            assert body == {"meta": {"id": headers["X-Request-Id"], "path": path}, "error": kind}
        _, body, _ = await error_of(client, "GET", "/mediation")
        assert body["kind"] == "not_found"


async def test_routes_of_a_service_that_is_starting_are_503() -> None:
    state = State()
    async with serving(Small(web.get("/fine", fine)), state=state) as client:
        status, body, headers = await error_of(client, "GET", "/fine")
        assert (status, body["kind"], headers["Retry-After"]) == (503, "unavailable", "2")
        state.running.add("small")
        async with client.get("/fine") as response:
            assert response.status == 200


async def test_a_redirect_of_a_handler_is_sent_as_it_is() -> None:
    app = Small(failing(web.HTTPFound("/elsewhere")))
    async with serving(app) as client, client.get("/fails", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/elsewhere")


async def test_the_client_notices_a_response_that_fails_half_way() -> None:
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


async def test_each_request_has_one_access_event_without_the_query_string() -> None:
    seen: list[dict[str, object]] = []

    async def handler(_: web.Request) -> web.Response:
        seen.append(dict(get_contextvars()))
        return json_response({})

    async with serving(Small(web.get("/files/{name}", handler), name="catalog")) as client:
        with capture_logs() as lines:
            async with client.get("/files/a%0Aforged line?token=secret") as response:
                request_id = response.headers["X-Request-Id"]
    (line,) = [line for line in lines if line["event"] == "http_request"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/files/a%0Aforged%20line", 200)
    assert "secret" not in str(lines)
    assert seen == [{"request_id": request_id, "service": "catalog"}]


async def test_log_context_of_one_request_does_not_leak_into_the_next() -> None:
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


async def test_metrics_are_labelled_by_route_and_not_by_path() -> None:
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


async def test_a_client_that_disconnects_is_not_logged_as_an_error() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        started.set()
        try:
            while True:
                await response.write(b"x" * 65536)
        finally:
            ended.set()

    async with serving(Small(web.get("/slow", slow))) as client:
        with capture_logs() as lines:
            response = await client.get("/slow")
            await started.wait()
            response.close()
            async with asyncio.timeout(60):
                await ended.wait()
    assert not [line for line in lines if line["log_level"] in ("error", "warning")]
