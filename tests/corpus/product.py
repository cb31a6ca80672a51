"""Runs jobs as a worker does: probe and encode in the sandbox, by the workers' own code, without Kafka and Postgres."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chassis.adapters.sandbox.limits import SandboxError
from media.faults import MediaFault, OutputMismatch
from media.ffmpeg import FfmpegFailed
from media.info import MediaInfo
from media.strip import TagRemover
from media.tools import Tools, open_tools
from schemas.faults import Fault
from schemas.files import Output
from schemas.jobs import Job, JobKind
from schemas.media import MediaItem
from services.ingest.automations import DEFAULT_MEDIA_JOBS, jobs_for
from services.thumbnailer import app as thumbnailer
from services.transcoder import app as transcoder
from tests.corpus.case import Check, Options, job_of
from worker.runner import Encoder, JobContext, describe

_PROJECT, _JOB, _MEDIA = (f"{kind}_01h455vb4pex5vsknk084sn02q" for kind in ("prj", "job", "med"))


@dataclass(frozen=True)
class Result:
    """The end of a job: a fault, or the facts and the file of its output."""

    fault: Fault | None = None
    output: Output | None = None
    path: Path | None = None


class Product:
    """`run` runs the job of a check; its output is in `folder`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._remover = TagRemover(tools.fork_server, tools.prober)
        self._encoders: dict[str, Encoder] = {"video": transcoder.encoder(tools), "image": thumbnailer.encoder(tools)}

    async def strip(self, path: Path) -> str:
        """Removes the tags of a file that lies alone in its folder; returns the name of its format."""
        info = await self._tools.prober.probe(path)
        return (await self._remover.strip(path, info)).format

    async def format_of(self, path: Path) -> str:
        return (await self._tools.prober.probe(path)).format

    async def run(self, check: Check, source: Path, folder: Path) -> Result:
        try:
            info = await self._tools.prober.probe(source)
            job = _job(check, info)
            context = JobContext(job, source, info, folder, lambda _: None)
            made = await self._encoders[job.kind](context)
        except MediaFault as error:
            return Result(fault=error.fault())
        except (FfmpegFailed, OutputMismatch, SandboxError) as error:
            # What a worker tries again, and gives up in the end.
            return Result(fault=Fault(kind="internal_error", message=str(error)))
        return Result(output=describe(job, made, 1), path=made.path)


def _job(check: Check, info: MediaInfo) -> Job:
    match job_of(check):
        case "item":
            return _media_job(info.to_file("file_1", "key"))
        case "video":
            return _plain_job("video", check.options)
    return _plain_job("image", check.options)


def _plain_job(kind: JobKind, options: Options) -> Job:
    return Job.queued(
        id=_JOB, project=_PROJECT, kind=kind, input="https://example.com/x", options=dict(options), metadata={}, at=1
    )


def _media_job(original: object) -> Job:
    item = MediaItem.model_validate(
        {
            "id": _MEDIA,
            "project": _PROJECT,
            "version": 1,
            "status": "active",
            "created_at": 1,
            "updated_at": 1,
            "original": original,
            "original_path": "original",
        }
    )
    return jobs_for(item, DEFAULT_MEDIA_JOBS, base="https://example.com", at=1)[0]


@asynccontextmanager
async def open_product(folder: Path) -> AsyncIterator[Product]:
    """The tools of both workers, in `folder`."""
    async with open_tools(folder, preload=("services.thumbnailer.vips",)) as tools:
        yield Product(tools)
