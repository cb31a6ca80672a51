"""Responses of `/tasks` in version 2025-08-20, made of today's job or step.

Its words for the state of a task are pending, waiting, processing, completed, failed and cancelled; `progress` is in
whole percent, `error` a sentence, times are ISO 8601.
"""

from collections.abc import Mapping
from typing import Any, Literal

from typing_extensions import TypedDict

from schemas.media_resource import iso

_STATUS: Mapping[str, str] = {"queued": "pending", "succeeded": "completed"}
_KIND: Mapping[str, str] = {"import": "ingest"}
"""Where its words differ from today's."""


class Step20250820(TypedDict):
    """One step of a task. `progress` in whole percent."""

    id: str
    kind: str
    status: str
    progress: int
    error: str | None


# `continue` is a keyword of Python.
Results20250820 = TypedDict(
    "Results20250820", {"passed": list[Step20250820], "failed": list[Step20250820], "continue": bool}
)


class Task20250820(TypedDict):
    """A task of version 2025-08-20. `progress` in whole percent, `error` a sentence, times in ISO 8601.

    `workflow` has its steps. `results` has those that have ended: `passed` and `failed`; `continue` is false once it
    failed or was cancelled. `parent_id` is the task of a step. `created_by` is always null.
    """

    id: str
    object: Literal["task"]
    kind: str
    input: dict[str, Any]
    options: dict[str, Any]
    output: dict[str, Any] | None
    status: str
    progress: int
    error: str | None
    created_by: str | None
    created: str
    updated: str
    parent_id: str | None
    workflow: list[Step20250820]
    results: Results20250820
    metadata: dict[str, str]


def task(resource: Mapping[str, Any]) -> Task20250820:
    """A job or a step of today, as `job_resource` or `task_resource` of `schemas.job_resource` give it."""
    steps = [_step(each) for each in resource.get("tasks") or []]
    return {
        "id": resource["id"],
        "object": "task",
        "kind": _kind(resource),
        "input": _input(resource),
        "options": dict(resource["options"]),
        "output": resource.get("output"),
        "status": _status(resource),
        "progress": _percent(resource),
        "error": _sentence(resource),
        "created_by": None,
        "created": iso(resource["created_at"]),
        "updated": iso(resource["updated_at"]),
        "parent_id": resource.get("job_id"),
        "workflow": steps,
        "results": {
            "passed": [step for step in steps if step["status"] == "completed"],
            "failed": [step for step in steps if step["status"] == "failed"],
            "continue": resource["status"] not in ("failed", "cancelled"),
        },
        "metadata": dict(resource.get("metadata") or {}),
    }


def _step(resource: Mapping[str, Any]) -> Step20250820:
    return {
        "id": resource["id"],
        "kind": _kind(resource),
        "status": _status(resource),
        "progress": _percent(resource),
        "error": _sentence(resource),
    }


def _input(resource: Mapping[str, Any]) -> dict[str, Any]:
    given = resource.get("input")
    if isinstance(given, Mapping):
        return dict(given)
    named = {} if given is None else {"url" if "://" in given else "file_id": given}
    return named | ({"media_id": resource["media_id"]} if resource.get("media_id") else {})


def _status(resource: Mapping[str, Any]) -> str:
    status: str = resource["status"]
    return _STATUS.get(status, status)


def _kind(resource: Mapping[str, Any]) -> str:
    kind: str = resource["kind"]
    return _KIND.get(kind, kind)


def _percent(resource: Mapping[str, Any]) -> int:
    return round(100 * (resource["progress"] or 0))


def _sentence(resource: Mapping[str, Any]) -> str | None:
    error = resource["error"]
    return error["message"] if error else None
