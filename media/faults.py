"""Faults of work on a file: of the input, or an output that is not what was planned."""

from chassis.adapters.sandbox.limits import ChildExceeded
from schemas.faults import FAULTS, Fault, FaultKind


class MediaFault(Exception):
    """A fault of the input: a published code and a sentence that may be shown to the uploader. Never retried.

    `message` defaults to the published sentence of `kind`. `detail` is for the logs only (the decoder's last output).
    """

    def __init__(self, kind: FaultKind, message: str | None = None, *, detail: str | None = None) -> None:
        super().__init__(message or FAULTS[kind])
        self.kind: FaultKind = kind
        self.message = message or FAULTS[kind]
        self.detail = detail

    def fault(self) -> Fault:
        """The same as a value, for a job's or a media item's `error`."""
        return Fault(kind=self.kind, message=self.message)


class OutputMismatch(Exception):
    """An encoder reported success, but the file that it wrote is not what was planned. A fault of ours; retried."""


def tags_unremovable(why: str, *, detail: str | None = None) -> MediaFault:
    """The fault of a file whose tags of place and device cannot be removed; `why` is a sentence for the uploader."""
    message = f"{why} Its tags of place and device, which are to be removed, cannot be removed."
    return MediaFault("input_strip_unsupported", message, detail=detail)


def from_child(kind: str, message: str) -> Exception:
    """The exception for a fault that a sandboxed child reported. An unpublished kind is a failure of ours."""
    for known in FAULTS:
        if kind == known:
            return MediaFault(known, message)
    return RuntimeError(f"a sandboxed child reported an unknown fault {kind!r}")


def from_excess(error: ChildExceeded) -> MediaFault:
    """The fault of an input with which a child used more than it may, however long it ran."""
    if error.resource == "files":
        return MediaFault("output_too_large", detail=str(error))
    what = "memory" if error.resource == "memory" else "processing at the same time"
    return MediaFault("input_limits_exceeded", f"The input takes too much {what}.", detail=str(error))
