"""Rate limits that all replicas of a service share: how many requests of a subject are allowed in a minute."""

from chassis.runtime.rate_limits.shared_windows import WINDOW, SharedWindows, Taken

__all__ = ["WINDOW", "SharedWindows", "Taken"]
