"""How many requests a project and each of its keys may send, in the words of HTTP."""

import re

import pytest

from services.ingest import keys
from services.ingest.projects import set_project
from tests.services.ingest.support import Answer, RunningIngest
from tests.services.ingest.test_jobs_http import GOOD
from tests.support.waiting import until


async def limited(ingest: RunningIngest, name: str, **limits: int) -> tuple[str, str]:
    """A project with limits, and the header with its key."""
    new = await keys.create_key(ingest.pool, name)
    await set_project(ingest.pool, new.key.project, **limits)  # type: ignore[arg-type]
    return new.key.project, f"Bearer {new.text}"


async def test_a_project_over_its_limit_gets_429_with_the_standard_headers_and_others_go_on(
    ingest: RunningIngest,
) -> None:
    _, key = await limited(ingest, "many requests", rate_limit=3)
    answers = [await ingest.post("/jobs", GOOD, Authorization=key) for _ in range(4)]
    assert [answer.status for answer in answers] == [201, 201, 201, 429]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"project";q=3;w=60'}
    left = [re.fullmatch(r'"project";r=(\d+);t=(\d+)', answer.headers["RateLimit"]) for answer in answers]
    assert [int(match[1]) for match in left if match] == [2, 1, 0, 0]
    refused = answers[-1]
    assert (refused.body["kind"], refused.body["request_id"]) == ("rate_limited", refused.headers["X-Request-Id"])
    assert "3 requests within 60 seconds" in refused.body["message"]
    assert left[-1] is not None
    assert int(refused.headers["Retry-After"]) >= int(left[-1][2]) > 0
    assert (await ingest.post("/jobs", GOOD)).status == 201, "another project"


async def test_a_key_over_its_limit_leaves_the_rest_of_the_project_to_the_others(ingest: RunningIngest) -> None:
    _, key = await limited(ingest, "two keys", rate_limit=5, key_rate_limit=2)
    other = f"Bearer {(await keys.create_key(ingest.pool, 'two keys')).text}"
    first = [await ingest.post("/jobs", GOOD, Authorization=key) for _ in range(5)]
    assert [answer.status for answer in first] == [201, 201, 429, 429, 429]
    assert first[0].headers["RateLimit-Policy"] == '"key";q=2;w=60, "project";q=5;w=60'
    assert re.fullmatch(r'"key";r=1;t=\d+, "project";r=4;t=\d+', first[0].headers["RateLimit"])
    assert "This key has sent 2 requests" in first[2].body["message"]
    second = await ingest.post("/jobs", GOOD, Authorization=other)
    assert second.status == 201
    assert '"project";r=2;' in second.headers["RateLimit"], "refused requests are not counted"


async def test_every_command_is_counted_and_errors_say_what_is_left(ingest: RunningIngest) -> None:
    _, key = await limited(ingest, "all commands", rate_limit=3)
    refused = await ingest.post("/jobs", {"kind": "video"}, Authorization=key)
    assert (refused.status, refused.headers["RateLimit"].partition(";t")[0]) == (400, '"project";r=2')
    unknown = await ingest.send("DELETE", "/media/med_nothing", Authorization=key)
    assert (unknown.status, unknown.headers["RateLimit"].partition(";t")[0]) == (404, '"project";r=1')
    await ingest.send("POST", "/jobs/job_nothing/cancel", Authorization=key)
    in_envelope = await ingest.post("/media", {"url": "https://example.com/a.mov"}, Authorization=key)
    assert (in_envelope.status, in_envelope.body["error"]["kind"]) == (429, "rate_limited")
    assert (await ingest.post("/jobs", GOOD, Authorization="Bearer nonsense")).status == 401, "is not counted"


async def test_a_batch_counts_as_its_bodies(ingest: RunningIngest) -> None:
    _, key = await limited(ingest, "a batch", rate_limit=10)
    assert (await ingest.post("/jobs/batch", [GOOD] * 8, Authorization=key)).status == 200
    refused = await ingest.post("/jobs/batch", [GOOD] * 8, Authorization=key)
    assert (refused.status, refused.body["kind"]) == (429, "rate_limited")
    assert (await ingest.post("/jobs", GOOD, Authorization=key)).status == 201


@pytest.mark.parametrize(
    ("limit", "what", "path", "body"),
    [
        ("max_unfinished_jobs", "jobs", "/jobs", GOOD),
        ("max_unfinished_imports", "imports", "/media", {"url": "https://example.com/a.mov"}),
    ],
)
async def test_a_project_may_have_a_bound_of_unfinished_work_of_its_own(
    ingest: RunningIngest, limit: str, what: str, path: str, body: dict[str, str]
) -> None:
    project, key = await limited(ingest, f"own {limit}", **{limit: 1}, rate_limit=1000)
    await ingest.pool.execute("INSERT INTO jobs (id, project, request, created_at) VALUES ($1, $1, '{}', 0)", project)
    await ingest.pool.execute(
        "INSERT INTO media (id, project, version, status, item) VALUES ($1, $1, 1, 'processing', '{}')", project
    )
    full = await ingest.post(path, body, Authorization=key)
    error = full.body.get("error") or full.body
    assert (full.status, error["kind"], full.headers["Retry-After"]) == (429, "queue_full", "10")
    assert full.headers["RateLimit-Policy"] == f'"unfinished-{what}";q=1;qu="{what}", "project";q=1000;w=60'
    assert full.headers["RateLimit"].startswith(f'"unfinished-{what}";r=0;t=10, "project";r=')


async def test_a_limit_that_is_set_counts_within_seconds(ingest: RunningIngest) -> None:
    project, key = await limited(ingest, "changed limits")
    answer = await ingest.post("/jobs", GOOD, Authorization=key)
    assert answer.headers["RateLimit-Policy"] == '"project";q=60000;w=60', "the installation's"
    await set_project(ingest.pool, project, rate_limit=0)

    async def unlimited() -> Answer | None:
        answer = await ingest.post("/jobs", GOOD, Authorization=key)
        return answer if "RateLimit" not in answer.headers else None

    assert (await until(unlimited, within=60)).status == 201
