"""Pages by cursor: which rows to read in which direction, what belongs on the page, and its headers (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from services.catalog.filters import JobsQuery, Parameters


@dataclass(frozen=True)
class Scan:
    """Which rows are read: newest or oldest first, between the places of two jobs (exclusive; None is open).

    `reversed` says that the page ends at its cursor: rows are read in the opposite order and have to be reversed.
    """

    newest_first: bool
    above: str | None
    below: str | None
    reversed: bool


@dataclass(frozen=True)
class JobsPage:
    """The ids of one page, in the requested order; whether there are more on either side."""

    ids: Sequence[str]
    earlier: bool
    later: bool


def scan_of(query: JobsQuery) -> Scan:
    """With `before` alone the page ends just before that id; otherwise it begins just after `after`."""
    backwards = query.before is not None and query.after is None
    descending = query.order == "desc"
    above, below = (query.before, query.after) if descending else (query.after, query.before)
    return Scan(newest_first=descending != backwards, above=above, below=below, reversed=backwards)


def page_of(ids: Sequence[str], query: JobsQuery) -> JobsPage:
    """The page made of up to `limit + 1` ids, in the order in which they were read."""
    more = len(ids) > query.limit
    kept = list(ids[: query.limit])
    if scan_of(query).reversed:
        return JobsPage(kept[::-1], earlier=more, later=True)
    return JobsPage(kept, earlier=query.after is not None, later=more or query.before is not None)


def headers(page: JobsPage, query: JobsQuery, parameters: Parameters, url: str) -> dict[str, str]:
    """`Limit`, `Has-More` (in the direction of `next`) and `Link`, whose URLs keep the filters of `parameters`."""
    kept = [(name, value) for name, value in parameters if name not in ("after", "before")]
    links = []
    if page.ids and page.later:
        links.append(_link(url, [*kept, ("after", page.ids[-1])], "next"))
    if page.ids and page.earlier:
        links.append(_link(url, [*kept, ("before", page.ids[0])], "prev"))
    return _fields(query.limit, bool(page.ids) and page.later, links)


def numbered_headers(number: int, limit: int, more: bool, url: str) -> dict[str, str]:
    """As `headers`, for numbered pages; version 2025-08-20 has the name `Links` for `Link`. `more`: a page follows."""
    numbers = ({"next": number + 1} if more else {}) | ({"prev": number - 1} if number > 1 else {})
    links = [_link(url, [("page", str(page)), ("limit", str(limit))], rel) for rel, page in numbers.items()]
    fields = _fields(limit, more, links)
    return fields | ({"Links": fields["Link"]} if links else {})


def _link(url: str, parameters: Parameters, relation: str) -> str:
    return f'<{url}?{urlencode(parameters)}>; rel="{relation}"'


def _fields(limit: int, more: bool, links: Sequence[str]) -> dict[str, str]:
    fields = {"Limit": str(limit), "Has-More": "true" if more else "false"}
    return fields | ({"Link": ", ".join(links)} if links else {})
