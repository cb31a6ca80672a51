"""What a child does to itself before it meets untrusted bytes. Runs in the child; imports next to nothing (start time).

Each protection that the system offers is taken, in an order that matters: namespaces need privileges that
no_new_privs does not take, Landlock and seccomp need no_new_privs, and seccomp forbids what the steps before it use.
On macOS only the resource limits hold.
"""

import ctypes
import os
import resource
import signal
import sys
from typing import TypedDict

from chassis.adapters.sandbox import landlock, seccomp

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
# SIGXCPU comes at the soft limit, SIGKILL this much later: ffmpeg handles the first, and might go on.
_CPU_GRACE_SECONDS = 2
_SYSTEM_READABLE = (
    "/usr",
    "/lib",
    "/lib64",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)
# The loader of programs lies here, and starting a program means executing it.
_SYSTEM_RUNNABLE = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store")


class SandboxSpec(TypedDict):
    """What to apply, as it travels to the child. None for `paths` leaves the file system as it is.

    `filtered` also takes away sockets and the ways out of the process group, for good.
    """

    parent: int
    memory: int
    cpu: int
    file: int
    files: int
    readable: list[str] | None
    writable: list[str]
    runnable: list[str]
    no_network: bool
    filtered: bool


class SandboxReport(TypedDict):
    """What holds: Landlock's version (0: none), system call filter, empty network, tied to the parent's life."""

    landlock: int
    seccomp: bool
    network_namespace: bool
    dies_with_parent: bool


def _prctl(option: int, value: int) -> bool:
    return int(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)) == 0


def die_with(parent: int) -> bool:
    """SIGKILL for this process when its parent ends; at once if the parent is already gone."""
    if not sys.platform.startswith("linux"):
        return False
    held = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(125)
    return held


def _limit(which: int, soft: int, hard: int) -> None:
    _, ceiling = resource.getrlimit(which)
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    try:
        resource.setrlimit(which, (soft, hard))
    except (OSError, ValueError):
        if which != resource.RLIMIT_AS:  # macOS refuses to bound the address space
            raise


def _limits(order: SandboxSpec) -> None:
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_AS, order["memory"], order["memory"])
    _limit(resource.RLIMIT_CPU, order["cpu"], order["cpu"] + _CPU_GRACE_SECONDS)
    _limit(resource.RLIMIT_FSIZE, order["file"], order["file"])
    _limit(resource.RLIMIT_NOFILE, order["files"], order["files"])


def _leave_network() -> bool:
    """An empty network namespace, where the system lets an ordinary user have one."""
    user, group = os.getuid(), os.getgid()
    if int(ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NET)):
        return False
    # Without these the process would be "nobody" in its own eyes.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            with open(f"/proc/self/{name}", "w") as map_:  # noqa: PTH123 - pathlib costs start time
                map_.write(text)
        except OSError:
            break
    return True


def _paths(order: SandboxSpec) -> int:
    if order["readable"] is None:
        return 0
    rules: dict[str, int] = {"/dev/null": landlock.WRITE}
    for paths, rights in (
        (_SYSTEM_READABLE, landlock.READ),
        (_SYSTEM_RUNNABLE, landlock.RUN),
        (order["runnable"], landlock.RUN),
        (order["readable"], landlock.READ),
        (order["writable"], landlock.WRITE),
    ):
        for path in paths:
            rules[path] = rules.get(path, 0) | rights
    return landlock.restrict(rules)


def apply(order: SandboxSpec) -> SandboxReport:
    """Applies everything of `order` that this system offers, and says what holds."""
    linux = sys.platform.startswith("linux")
    report = SandboxReport(
        landlock=0, seccomp=False, network_namespace=False, dies_with_parent=die_with(order["parent"])
    )
    if linux and order["no_network"]:
        report["network_namespace"] = _leave_network()
    _limits(order)
    if linux and _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        report["landlock"] = _paths(order)
        report["seccomp"] = order["filtered"] and seccomp.deny()
    return report
