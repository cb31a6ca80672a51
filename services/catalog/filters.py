"""From the query string of a list to a validated query (pure).

The query string is decoded like a form: `+` and `%20` are a space, `%2B` is a plus. Names and values are compared
exactly, case included. An unknown parameter is an error, so that a mistyped filter does not return everything; it
names the nearest known parameter.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Annotated, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from schemas.api import MAX_METADATA_KEYS
from schemas.base import Text
from schemas.explain import explain, render_value
from schemas.faults import FieldFault
from schemas.files import MediaKind
from schemas.ids import is_id
from schemas.jobs import JobKind, Status
from schemas.known_names import nearest
from schemas.versions import VERSION_HEADER

METADATA = "metadata."
MAX_PAGE = 1_000_000_000
MAX_TASKS = 1_000_000
"""How far numbered pages of tasks reach: those before a page are counted, by an index."""
_MAX_PARAMETERS = 200
_MAX_DIGITS = 18

SortOrder = Literal["asc", "desc"]
SortKey = Literal["created", "updated", "filesize", "duration", "width", "height", "fps", "filename"]
Parameters = Sequence[tuple[str, str]]
Model = TypeVar("Model", bound="_Query")


class QueryError(ValueError):
    """The query string breaks a rule; `faults` name each parameter."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        super().__init__(", ".join(fault.field for fault in faults))
        self.faults = list(faults)


def _parse_integer(text: object) -> object:
    if isinstance(text, str):
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= _MAX_DIGITS):
            raise ValueError("must be a whole number")
        return int(text)
    return text


def _cursor(text: str) -> str:
    if not is_id(text, "job", "task"):
        raise ValueError("must be the id of a job")
    return text


Integer = Annotated[int, BeforeValidator(_parse_integer)]
Cursor = Annotated[str, AfterValidator(_cursor)]
Time = Annotated[Integer, Field(ge=0)]
"""Unix milliseconds."""


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobsParameters(_Query):
    """`GET /jobs`, without its metadata filters. Cursors are ids: `after` ends the page before, `before` begins the
    page after. Times in Unix milliseconds, exclusive.

    The order is that in which the jobs became visible here.
    """

    limit: Annotated[Integer, Field(ge=1, le=100)] = 20
    order: SortOrder = "desc"
    after: Cursor | None = None
    before: Cursor | None = None
    kind: JobKind | None = None
    status: Status | None = None
    input: Text | None = None
    created_after: Time | None = None
    created_before: Time | None = None


class JobsQuery(JobsParameters):
    """`GET /jobs` with its metadata filters: a job must have all pairs of `metadata`."""

    metadata: tuple[tuple[str, str], ...] = ()


class EventsQuery(_Query):
    """`GET /events`: only events of jobs of this kind, and after which the job had this status."""

    kind: JobKind | None = None
    status: Status | None = None


class TasksPage(_Query):
    """`GET /tasks` of version 2025-08-20: numbered pages, newest first."""

    page: Annotated[Integer, Field(ge=1, le=MAX_TASKS)] = 1
    limit: Annotated[Integer, Field(ge=1, le=100)] = 20

    @model_validator(mode="after")
    def _within_reach(self) -> "TasksPage":
        if self.before > MAX_TASKS:
            raise ValueError(f"page and limit must reach at most {MAX_TASKS} tasks; without {VERSION_HEADER} use after")
        return self

    @property
    def before(self) -> int:
        """How many tasks the pages before have."""
        return (self.page - 1) * self.limit


class MediaQuery(_Query):
    """`GET /media`, without its metadata filters."""

    page: Annotated[Integer, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[Integer, Field(ge=1, le=100)] = 12
    sort: SortKey = "created"
    order: SortOrder = "desc"
    kind: MediaKind | None = None


class _MediaPage(_Query):
    page: Annotated[Integer, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[Integer, Field(ge=1, le=100)] = 20


class MediaFilter(_Query):
    """`GET /media` with its metadata filters: an item must have all pairs of `metadata`."""

    query: MediaQuery
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def described(self) -> dict[str, str]:
        """The filters as `meta.query` shows them: the customer's keys without `metadata.`."""
        kind = {} if self.query.kind is None else {"kind": self.query.kind}
        return kind | {(METADATA + key if key in kind else key): value for key, value in self.metadata}


def parse_query_string(query_string: str) -> list[tuple[str, str]]:
    """The parameters in their order, decoded. Raises `QueryError` where they are not UTF-8 or too many."""
    try:
        return parse_qsl(query_string, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except UnicodeDecodeError:
        rule = "must be percent-encoded UTF-8"
    except ValueError:
        rule = f"must have at most {_MAX_PARAMETERS} parameters"
    raise QueryError([FieldFault(field="query", rule=rule, value=render_value(query_string))])


def jobs_query(parameters: Parameters) -> JobsQuery:
    """The query in the parameters of `GET /jobs`. Raises `QueryError`."""
    others, pairs = _split(parameters, "a job")
    query = _validated(JobsParameters, others)
    return JobsQuery(**dict(query), metadata=pairs)


def tasks_page(parameters: Parameters) -> TasksPage:
    """The query in the parameters of `GET /tasks` of version 2025-08-20. Raises `QueryError`."""
    return _validated(TasksPage, parameters, [*TasksPage.model_fields])


def media_page(parameters: Parameters) -> MediaQuery:
    """The query in the parameters of `GET /media` of version 2025-08-20: `page` and `limit`. Raises `QueryError`."""
    page = _validated(_MediaPage, parameters, [*_MediaPage.model_fields])
    return MediaQuery(page=page.page, limit=page.limit)


def media_filter(parameters: Parameters) -> MediaFilter:
    """The query in the parameters of `GET /media`. Raises `QueryError`."""
    others, pairs = _split(parameters, "an item")
    return MediaFilter(query=_validated(MediaQuery, others), metadata=pairs)


def events_query(parameters: Parameters) -> EventsQuery:
    """The query in the parameters of `GET /events`. Raises `QueryError`."""
    return _validated(EventsQuery, parameters)


def no_parameters(parameters: Parameters) -> None:
    """For routes without parameters: raises `QueryError` where there are any."""
    rule = "is not a known parameter"
    if parameters:
        raise QueryError([FieldFault(field=name, rule=rule, value=render_value(value)) for name, value in parameters])


def pair_id(project: str, key: str, value: str) -> str:
    """What a metadata pair is found by: 128 bits of SHA-256, as 32 hexadecimal digits.

    Hashed are project, key and value, separated by U+0000, which none of them contains.
    """
    return sha256(f"{project}\0{key}\0{value}".encode()).hexdigest()[:32]


def pair_ids(project: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [pair_id(project, key, value) for key, value in pairs]


def _is_metadata(name: str) -> bool:
    return name.startswith(METADATA) and len(name) > len(METADATA)


def _each_once(parameters: Parameters) -> dict[str, str]:
    counted = Counter(name for name, _ in parameters)
    twice = [name for name, count in counted.items() if count > 1]
    if twice:
        values = {name: [value for given, value in parameters if given == name] for name in twice}
        rule = "must be given once"
        raise QueryError([FieldFault(field=name, rule=rule, value=render_value(values[name])) for name in twice])
    return dict(parameters)


def _split(parameters: Parameters, described: str) -> tuple[Parameters, tuple[tuple[str, str], ...]]:
    """The parameters that are no metadata filters, and the pairs of those that are, each once."""
    named = [(name[len(METADATA) :], value) for name, value in parameters if _is_metadata(name)]
    pairs = tuple(dict.fromkeys(named))
    if len(pairs) > MAX_METADATA_KEYS:
        rule = f"must have at most {MAX_METADATA_KEYS} filters, as {described} has at most so many keys"
        raise QueryError([FieldFault(field="metadata", rule=rule, value=str(len(pairs)))])
    return [item for item in parameters if not _is_metadata(item[0])], pairs


def _validated(model: type[Model], parameters: Parameters, known: Sequence[str] | None = None) -> Model:
    """`known`: the names that an unknown one is compared with."""
    try:
        return model.model_validate(_each_once(parameters))
    except ValidationError as error:
        known = [*model.model_fields, METADATA + "KEY"] if known is None else known
        raise QueryError(
            [
                fault.model_copy(update={"rule": f"is not a known parameter{nearest(fault.field, known)}"})
                if fault.rule == "is not a known field"
                else fault
                for fault in explain(error)
            ]
        ) from None
