"""How many requests that read a project may send: its own limit comes with an event, another's is not touched."""

import re

from schemas.events import ProjectChanged
from schemas.projects import Project
from tests.services.catalog.service import CatalogService
from tests.support.waiting import until


async def test_a_project_over_its_limit_gets_429_and_others_go_on(catalog: CatalogService) -> None:
    limited, other = await catalog.new_customer(), await catalog.new_customer()
    await catalog.ingest.publish(ProjectChanged(project=Project(id=limited.project, name="a", rate_limit=3, version=2)))

    async def answer() -> tuple[int, str, str, str]:
        async with catalog.session.get(f"{catalog.url}/jobs", headers=limited.headers) as response:
            headers = response.headers
            return response.status, headers["RateLimit-Policy"], headers["RateLimit"], headers.get("Retry-After", "")

    async def is_limited() -> bool:
        return (await answer())[1] == '"project";q=3;w=60'

    await until(is_limited)
    answers = [await answer() for _ in range(3)]
    assert [status for status, *_ in answers] == [200, 200, 429]
    match = re.fullmatch(r'"project";r=0;t=(\d+)', answers[-1][2])
    assert match is not None
    assert int(answers[-1][3]) >= int(match[1]) > 0
    async with catalog.session.get(f"{catalog.url}/media", headers=limited.headers) as response:
        assert (response.status, (await response.json())["error"]["kind"]) == (429, "rate_limited")
    assert (await catalog.get("/jobs", other))[0] == 200
