"""The rows of the corpus as parameters of tests."""

from typing import Any

import pytest

from tests.corpus.case import job_of
from tests.corpus.tables import CASES


def rows(*jobs: str) -> list[Any]:
    """The case and the check of each job of these kinds (`video`, `image`, `item`)."""
    found = []
    for case in CASES:
        for number, check in enumerate(case.checks):
            if job_of(check) in jobs:
                marks = [] if case.short else [pytest.mark.media]
                if check.open_kind:
                    marks.append(pytest.mark.xfail(strict=True, reason=check.open_kind))
                found.append(pytest.param(case, check, marks=marks, id=f"{case.name}-{number}-{job_of(check)}"))
    return found


def named(*names: str) -> list[Any]:
    """The checks of these inputs that a job of the shell or of the API can make: no posters, no open kinds."""
    return [
        pytest.param(case, check, id=f"{case.name}-{number}")
        for case in CASES
        if case.name in names
        for number, check in enumerate(case.checks)
        if job_of(check) != "item" and not check.open_kind
    ]
