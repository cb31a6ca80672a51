"""What is wrong with a customer's file, said by any part that looks at it."""

from schemas.faults import FAULTS, Fault, FaultKind


class MediaFault(Exception):
    """The customer's fault: a published code and a sentence that can be shown to the uploader. Never retried.

    `detail` is for the logs only (a decoder's last words).
    """

    def __init__(self, kind: FaultKind, message: str | None = None, *, detail: str | None = None) -> None:
        super().__init__(message or FAULTS[kind])
        self.kind: FaultKind = kind
        self.message = message or FAULTS[kind]
        self.detail = detail

    def fault(self) -> Fault:
        """As it stands in a job's `error`."""
        return Fault(kind=self.kind, message=self.message)


def from_child(kind: str, message: str) -> Exception:
    """The fault that a sandboxed child told. A kind that is not published makes it our own failure."""
    for known in FAULTS:
        if kind == known:
            return MediaFault(known, message)
    return RuntimeError(f"a child told of an unknown fault {kind!r}")
