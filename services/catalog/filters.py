"""What a list is asked for: from the query string to a checked question (pure).

The query string is read as forms write it: `+` and `%20` are a space, `%2B` is a plus. Names and values are
compared exactly, case included. A parameter that is not known is refused, so that a typing error is not taken for
"everything".
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Literal
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from schemas.base import Text
from schemas.explain import explain, render_value
from schemas.faults import FieldFault
from schemas.files import MediaKind
from schemas.ids import is_id
from schemas.jobs import JobKind, Status
from schemas.metadata import MAX_KEYS

METADATA = "metadata."
MAX_PAGE = 1_000_000_000
_MAX_PARAMETERS = 200
_MAX_DIGITS = 18

Order = Literal["asc", "desc"]
Sort = Literal["created", "updated", "filesize", "duration", "width", "height", "fps", "filename"]
Parameters = Sequence[tuple[str, str]]


class Refused(ValueError):
    """The query string breaks a rule; `faults` name each parameter."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        super().__init__(", ".join(fault.field for fault in faults))
        self.faults = list(faults)


def _whole(text: object) -> object:
    if isinstance(text, str):
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= _MAX_DIGITS):
            raise ValueError("must be a whole number")
        return int(text)
    return text


def _cursor(text: str) -> str:
    if not is_id(text, "job", "task"):
        raise ValueError("must be the id of a job")
    return text


Whole = Annotated[int, BeforeValidator(_whole)]
Cursor = Annotated[str, AfterValidator(_cursor)]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobsQuery(_Query):
    """`GET /jobs`. Cursors are ids: `after` ends the page before, `before` begins the page after."""

    limit: Annotated[Whole, Field(ge=1, le=100)] = 20
    order: Order = "desc"
    after: Cursor | None = None
    before: Cursor | None = None
    kind: JobKind | None = None
    status: Status | None = None
    input: Text | None = None


class MediaQuery(_Query):
    """`GET /media`, without its metadata filters."""

    page: Annotated[Whole, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[Whole, Field(ge=1, le=100)] = 12
    sort: Sort = "created"
    order: Order = "desc"
    kind: MediaKind | None = None


class MediaFilter(_Query):
    """`GET /media` as a whole: `metadata` are pairs that an item must all have."""

    asked: MediaQuery
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def shown(self) -> dict[str, str]:
        """The filters as `meta.query` tells them: the customer's keys by their bare names."""
        kind = {} if self.asked.kind is None else {"kind": self.asked.kind}
        return kind | {(METADATA + key if key in kind else key): value for key, value in self.metadata}


def read(query_string: str) -> list[tuple[str, str]]:
    """The parameters in their order, decoded. Raises `Refused` where they are not UTF-8 or too many."""
    try:
        return parse_qsl(query_string, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except UnicodeDecodeError:
        rule = "must be percent-encoded UTF-8"
    except ValueError:
        rule = f"must have at most {_MAX_PARAMETERS} parameters"
    raise Refused([FieldFault(field="query", rule=rule, value=render_value(query_string))])


def jobs_query(parameters: Parameters) -> JobsQuery:
    """The question that the parameters of `GET /jobs` ask; raises `Refused`."""
    try:
        return JobsQuery.model_validate(_once_each(parameters))
    except ValidationError as error:
        raise Refused(_explained(error)) from None


def media_filter(parameters: Parameters) -> MediaFilter:
    """The question that the parameters of `GET /media` ask; raises `Refused`."""
    named = [(name[len(METADATA) :], value) for name, value in parameters if _is_metadata(name)]
    pairs = tuple(dict.fromkeys(named))
    if len(pairs) > MAX_KEYS:
        rule = f"must have at most {MAX_KEYS} filters, as an item has at most so many keys"
        raise Refused([FieldFault(field="metadata", rule=rule, value=str(len(pairs)))])
    try:
        asked = MediaQuery.model_validate(_once_each([item for item in parameters if not _is_metadata(item[0])]))
    except ValidationError as error:
        raise Refused(_explained(error)) from None
    return MediaFilter(asked=asked, metadata=pairs)


def none_at_all(parameters: Parameters) -> None:
    """For addresses that take no parameters: raises `Refused` where there are any."""
    rule = "is not a known parameter"
    if parameters:
        raise Refused([FieldFault(field=name, rule=rule, value=render_value(value)) for name, value in parameters])


def pair_hash(project: str, key: str, value: str) -> UUID:
    """What a metadata pair is found by: 128 bits of SHA-256 over project, key and value, which have no U+0000."""
    return UUID(bytes=sha256(f"{project}\0{key}\0{value}".encode()).digest()[:16])


def pair_hashes(project: str, metadata: Sequence[tuple[str, str]]) -> list[UUID]:
    return [pair_hash(project, key, value) for key, value in metadata]


def _is_metadata(name: str) -> bool:
    return name.startswith(METADATA) and len(name) > len(METADATA)


def _once_each(parameters: Parameters) -> dict[str, str]:
    counted = Counter(name for name, _ in parameters)
    twice = [name for name, count in counted.items() if count > 1]
    if twice:
        values = {name: [value for given, value in parameters if given == name] for name in twice}
        rule = "must be given once"
        raise Refused([FieldFault(field=name, rule=rule, value=render_value(values[name])) for name in twice])
    return dict(parameters)


def _explained(error: ValidationError) -> list[FieldFault]:
    known = "is not a known parameter"
    return [
        fault.model_copy(update={"rule": known}) if fault.rule == "is not a known field" else fault
        for fault in explain(error)
    ]
