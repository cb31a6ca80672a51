"""docs/errors.md, the cause and the cure of every published code; `make contracts` writes it.

The codes come from `schemas.faults`, what to do from `schemas.fault_help`; a test compares the document with both.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.fault_help import CURES, REFUSALS, WARNING_CURES
from schemas.faults import FAULTS, WARNINGS

DOCUMENT = Path(__file__).parents[1] / "docs" / "errors.md"
_HEAD = """\
# Errors: the cause and the cure of each code

Written by `make contracts` from the code; a test compares them. The OpenAPI document has the same lists.

Codes are stable, and each stands for one cause; new ones may come. The sentence beside a code is for people: it says
more than this list (a name, a number, a limit) and may change. It is ours, never the text of a library.
"""
_JOBS = """\
## A job, or the import of a media item, failed

`error` of the job or of the media item, also in the webhook and in the event: `{"kind": …, "message": …}`. Such a job
is not tried again by itself. `bitmill video` and `bitmill image` on one machine print the same sentence and code, and
end with status 1.
"""
_WARNINGS = """\
## A job succeeded with warnings

`output.warnings` of the job: what was rescued from a damaged file, or left out.
"""
_REQUESTS = """\
## A request was refused

The body of the response: `{"kind": …, "message": …, "request_id": …}`, with `errors` where fields are at fault; below
`/media` it is in `error` of the envelope. Nothing was stored.
"""


def document() -> str:
    """The whole document."""
    sections = (
        _HEAD,
        _JOBS,
        *_table(("code", "cause", "cure"), ((kind, cause, CURES[kind]) for kind, cause in FAULTS.items())),
        _WARNINGS,
        *_table(("code", "cause", "cure"), ((kind, cause, WARNING_CURES[kind]) for kind, cause in WARNINGS.items())),
        _REQUESTS,
        *_table(
            ("code", "status", "cause", "cure"),
            ((kind, refusal.status, refusal.cause, refusal.cure) for kind, refusal in REFUSALS.items()),
        ),
    )
    return "\n".join(sections).rstrip() + "\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for code, *rest in rows:
        yield "| " + " | ".join((f"`{code}`", *rest)) + " |"
    yield ""


def descriptions() -> dict[str, str]:
    """The same as the descriptions of `kind` in the OpenAPI document, by the name of the schema."""
    refusals = {kind: f"{refusal.status}. {refusal.cause} {refusal.cure}" for kind, refusal in REFUSALS.items()}
    return {
        "FaultResource": _listed({kind: f"{cause} {CURES[kind]}" for kind, cause in FAULTS.items()}),
        "WarningResource": _listed({kind: f"{cause} {WARNING_CURES[kind]}" for kind, cause in WARNINGS.items()}),
        "ErrorResource": _listed(refusals),
    }


def _listed(sentences: Mapping[Any, str]) -> str:
    return "\n".join(f"- `{code}`: {sentence}" for code, sentence in sentences.items())
