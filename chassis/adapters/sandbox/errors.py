"""What can go wrong with a child process on our side.

    SandboxError
    ├── ChildTimedOut   it ran longer than `Limits.wall`
    ├── ChildStalled    it gave no sign of life for `Limits.stall`
    └── ChildDied       it ended without an answer (a crash, a limit, a missing program)

The customer's faults are not here: a call that refuses its input raises the fault of whoever made the call.
"""


class SandboxError(Exception):
    """A child process did not do its work."""


class ChildTimedOut(SandboxError):
    """The child ran longer than it was allowed to, and was killed."""


class ChildStalled(SandboxError):
    """The child gave no sign of life for too long, and was killed."""


class ChildDied(SandboxError):
    """The child ended without an answer. `signal` is the number of the signal that ended it, or 0."""

    def __init__(self, message: str, *, signal: int = 0) -> None:
        super().__init__(message)
        self.signal = signal
