"""Decides when a running child is to be killed: by the processor time that it has used, its output and its age (pure).

A child that a busy machine gives no processor, or that is stopped, uses no processor time: it cannot exceed that limit,
however long it takes.
"""

from chassis.adapters.sandbox.limits import ChildCpuExceeded, ChildStalled, ChildTimedOut, Limits, SandboxError

STALL_CPU_SHARE = 0.005
"""A child that uses less than this share of one processor is not working. Copying a large file, which a program may do
without any output, takes ten times as much on a slow disk."""
LONGEST_STEP_S = 5.0
"""Of the time between two calls, more is not counted: this process was not running either."""


class Watchdog:
    """Watches one child, which begins at the first call of `verdict`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._now: float | None = None
        self._age = 0.0
        self._worked_at = 0.0
        self._cpu_then = 0.0
        self._last_output = 0.0

    def verdict(self, now: float, cpu_seconds: float, last_output: float) -> SandboxError | None:
        """Why the child is to be killed, or None. `now` and the time of its `last_output` are seconds of a monotonic
        clock, `cpu_seconds` is what it has used since its start."""
        self._age += min(now - (now if self._now is None else self._now), LONGEST_STEP_S)
        self._now = now
        if cpu_seconds >= self._limits.cpu_seconds:
            return ChildCpuExceeded(f"it used {cpu_seconds:.0f} s of processor time")
        wall = self._limits.wall.total_seconds()
        if self._age >= wall:
            return ChildTimedOut(f"it had not ended after {wall:g} s, with {cpu_seconds:.0f} s of processor time")
        return self._stall(cpu_seconds, last_output)

    def _stall(self, cpu_seconds: float, last_output: float) -> SandboxError | None:
        if self._limits.stall is None:
            return None
        stall = self._limits.stall.total_seconds()
        if last_output != self._last_output or cpu_seconds - self._cpu_then >= stall * STALL_CPU_SHARE:
            self._worked_at, self._cpu_then, self._last_output = self._age, cpu_seconds, last_output
        elif self._age - self._worked_at >= stall:
            return ChildStalled(f"neither output nor processor time for {stall:g} s")
        return None
