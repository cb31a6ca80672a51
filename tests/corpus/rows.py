"""The rows of the corpus as parameters of tests."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.corpus.case import Case, Check, job_of
from tests.corpus.tables import CASES

Row = tuple[str, Case, Check]


def rows(*jobs: str) -> list[Any]:
    """The case and the check of each job of these kinds (`video`, `image`, `item`)."""
    return [
        pytest.param(case, check, marks=_marks(case, check), id=name)
        for name, case, check in _all()
        if job_of(check) in jobs
    ]


def named(*inputs: str) -> list[Any]:
    """The same of these inputs, as far as a job of the shell can make them: no posters, no open kinds."""
    return [
        pytest.param(case, check, id=name)
        for name, case, check in of_inputs(*inputs)
        if job_of(check) != "item" and not check.open_kind
    ]


def parameters(inputs: Sequence[str], *, short: Sequence[str]) -> list[Any]:
    """The name and the check of each job of these inputs; `make test` has those of `short`."""
    return [
        pytest.param(name, check, marks=_marks(replace(case, short=case.name in short), check), id=name)
        for name, case, check in of_inputs(*inputs)
    ]


def of_inputs(*inputs: str) -> list[Row]:
    """The rows of these inputs."""
    return [row for row in _all() if row[1].name in inputs]


def _all() -> Iterator[Row]:
    for case in CASES:
        for number, check in enumerate(case.checks):
            yield f"{case.name}-{number}-{job_of(check)}", case, check


def _marks(case: Case, check: Check) -> list[pytest.MarkDecorator]:
    marks = [] if case.short else [pytest.mark.media]
    return [*marks, pytest.mark.xfail(strict=True, reason=check.open_kind)] if check.open_kind else marks
