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
