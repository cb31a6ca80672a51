"""The end of a worker: nothing is left running, and what was under way is somebody else's turn."""

import time
from pathlib import Path

import asyncpg

from services.transcoder.app import Transcoder
from services.transcoder.settings import Settings
from tests.services.running import Running, encoders, surroundings
from tests.support.footage import Material
from tests.support.servers import Postgres

ALLOWED_SECONDS = 8.0


async def test_a_worker_that_stops_gives_its_job_back(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    url = await postgres_server.database()
    settings = Settings(transcoder_slots=1, **surroundings(url, kafka_bootstrap, tmp_path))
    async with Running(Transcoder(settings), settings, "video").working() as service:
        job_id = await service.ask(service.site.serve(material.long()), width=1920, quality="very_high")
        await service.hears(job_id, lambda event: bool(event.job.progress))
        assert encoders()
        began = time.monotonic()
    assert time.monotonic() - began < ALLOWED_SECONDS, "measured at 0.1 s"
    assert not encoders()
    assert list((tmp_path / "work").glob("run-*")) == []
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            "SELECT state, failures + crashed AS counted FROM transcoder.job_queue WHERE id = $1", job_id
        )
        assert row is not None and (row["state"], row["counted"]) == ("queued", 0)
        assert await connection.fetchval("SELECT count(*) FROM transcoder.outbox") == 0, "the relay said its farewell"
    finally:
        await connection.close()
