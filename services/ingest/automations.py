"""Automations: the jobs that each stored original gets without a request (pure)."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, field_validator, model_validator

from schemas.base import RequestModel
from schemas.delivery import DeliveryUrls
from schemas.explain import explain, format_errors
from schemas.files import File
from schemas.ids import derived
from schemas.jobs import Job
from schemas.media import MediaItem
from schemas.media_resource import media_resource
from schemas.options import MAX_SIDE, OPTIONS

_SOURCE_KINDS = {"image": frozenset({"image", "video"}), "video": frozenset({"video"})}
"""Kind of a job -> kinds of original that it takes."""


class MediaJob(RequestModel):
    """The template of a job for each new item: its output is attached under the label `ref`.

    A single `width` or `height` is an upper bound: a small original is not scaled up, and the other side of a long one
    (a screenshot of a whole page, a panorama) is kept within the longest that every format holds.
    """

    kind: Literal["image", "video"]
    ref: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("ref")
    @classmethod
    def _is_not_a_field_of_the_resource(cls, ref: str) -> str:
        empty = MediaItem(id="", project="", version=1, status="processing", created_at=0, updated_at=0)
        if ref in media_resource(empty, DeliveryUrls("")):
            raise ValueError("must not be the name of another field of a media item")
        return ref

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> "MediaJob":
        try:
            OPTIONS[self.kind].model_validate(self.options)
        except ValidationError as error:
            raise ValueError(f"options: {format_errors(explain(error, model=OPTIONS[self.kind]))}") from None
        return self

    def __str__(self) -> str:
        return self.model_dump_json()


DEFAULT_MEDIA_JOBS = (MediaJob(kind="image", ref="poster", options={"format": "jpeg", "width": 1280}),)
"""A poster, which also gives the placeholder and the background colour."""

_MEDIA_JOBS = TypeAdapter(tuple[MediaJob, ...])


def media_jobs(text: str) -> tuple[MediaJob, ...]:
    """The templates in a setting: a JSON list, whose brackets may be left out. Raises ValueError."""
    try:
        templates = _MEDIA_JOBS.validate_json(text if text.startswith("[") else f"[{text}]")
    except ValidationError as error:
        raise ValueError(f"must be a JSON list of {{kind, ref, options}}: {format_errors(explain(error))}") from None
    if len({template.ref for template in templates}) < len(templates):
        raise ValueError("must use each ref once")
    return templates


def jobs_for(item: MediaItem, templates: tuple[MediaJob, ...], *, base: str, at: int) -> list[Job]:
    """The jobs for a stored item. Their ids derive from the item's, so that a repeated import requests the same."""
    if item.original is None or item.original_path is None:
        return []
    return [
        Job.queued(
            id=derived("job", item.id, template.ref),
            project=item.project,
            kind=template.kind,
            input=DeliveryUrls(base).url(item.project, item.original_path),
            options=bounded(template, item.original),
            metadata={},
            at=at,
            media_id=item.id,
            ref=template.ref,
            source=item.original,
        )
        for template in templates
        if item.original.kind in _SOURCE_KINDS[template.kind]
    ]


def bounded(template: MediaJob, original: File) -> dict[str, Any]:
    """The template's options, with a single side limited to the original's; two sides are kept as they are."""
    options = dict(template.options)
    if ("width" in options) == ("height" in options):
        return options
    side = "width" if "width" in options else "height"
    available = original.width if side == "width" else original.height
    if available is not None and options[side] is not None:
        limit = min(options[side], available)
        # Video has even sides, and no output is smaller than two pixels.
        options[side] = max(limit - limit % 2 if template.kind == "video" else limit, 2)
        other = "height" if side == "width" else "width"
        if _other_side(options[side], side, original) > MAX_SIDE:
            del options[side]
            options[other] = MAX_SIDE
    return options


def _other_side(length: int, side: str, original: File) -> float:
    width, height = original.width or 0, original.height or 0
    if side == "width":
        return length * height / width if width else 0
    return length * width / height if height else 0
