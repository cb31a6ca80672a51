"""Pages by cursor: which way to read, what belongs on the page, and the headers that lead on (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from services.catalog.filters import JobsQuery, Parameters


@dataclass(frozen=True)
class Reading:
    """How rows are read: newest or oldest first, strictly between two ids (exclusive; None is open).

    `turned` says that the page ends at its cursor: rows come in the opposite order and are turned round.
    """

    newest_first: bool
    above: str | None
    below: str | None
    turned: bool


@dataclass(frozen=True)
class JobsPage:
    """The ids of one page, in the order asked for; whether there are more on either side."""

    ids: Sequence[str]
    earlier: bool
    later: bool


def reading(query: JobsQuery) -> Reading:
    """With `before` alone the page is the one that ends just there; otherwise it begins after `after`."""
    turned = query.before is not None and query.after is None
    descending = query.order == "desc"
    above, below = (query.before, query.after) if descending else (query.after, query.before)
    return Reading(newest_first=descending != turned, above=above, below=below, turned=turned)


def cut(ids: Sequence[str], query: JobsQuery) -> JobsPage:
    """The page out of up to `limit + 1` ids as they were read."""
    more = len(ids) > query.limit
    kept = list(ids[: query.limit])
    if reading(query).turned:
        return JobsPage(kept[::-1], earlier=more, later=True)
    return JobsPage(kept, earlier=query.after is not None, later=more or query.before is not None)


def headers(page: JobsPage, query: JobsQuery, parameters: Parameters, address: str) -> dict[str, str]:
    """`Limit`, `Has-More` (in the direction of `next`) and `Link`, whose addresses keep the filters."""
    kept = [(name, value) for name, value in parameters if name not in ("after", "before")]
    links = []
    if page.ids and page.later:
        links.append(f'<{address}?{urlencode([*kept, ("after", page.ids[-1])])}>; rel="next"')
    if page.ids and page.earlier:
        links.append(f'<{address}?{urlencode([*kept, ("before", page.ids[0])])}>; rel="prev"')
    told = {"Limit": str(query.limit), "Has-More": "true" if page.ids and page.later else "false"}
    return told | ({"Link": ", ".join(links)} if links else {})
