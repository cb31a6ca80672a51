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
        links.append(f'<{url}?{urlencode([*kept, ("after", page.ids[-1])])}>; rel="next"')
    if page.ids and page.earlier:
        links.append(f'<{url}?{urlencode([*kept, ("before", page.ids[0])])}>; rel="prev"')
    fields = {"Limit": str(query.limit), "Has-More": "true" if page.ids and page.later else "false"}
    return fields | ({"Link": ", ".join(links)} if links else {})
