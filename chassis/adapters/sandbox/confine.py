"""Confines the current process before it reads untrusted bytes. Runs in the child; few imports, for its start time.

It applies each protection that the system offers; `self_test` tries them, and decides whether they are enough. The
order matters: namespaces are entered before no_new_privs and with capabilities, Landlock and seccomp need no_new_privs,
and seccomp forbids what the other steps use. On macOS only the resource limits are enforced.
"""

import ctypes
import os
import resource
import signal
import sys
from typing import Literal, TypedDict

from chassis.adapters.sandbox import capabilities, landlock, seccomp

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_NEW_USER, _NEW_NET, _NEW_IPC = 0x10000000, 0x40000000, 0x08000000
# The kernel sends SIGXCPU at the soft limit and SIGKILL this much later: ffmpeg handles the first, and may continue.
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


class SandboxSpec(TypedDict):
    """What to apply, sent to the child as JSON. Sizes in bytes; paths are absolute.

    `readable` None leaves the file system unrestricted. `namespaces` enters an empty network and IPC namespace.
    `executable` are the only files that may be executed, and the dynamic loader of the program has to be one.
    `system_calls` is which filter is applied: `one_program` allows to execute one (see `seccomp`), `no_program` none,
    and `all` is no filter.
    """

    parent_pid: int
    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    open_files: int
    readable: list[str] | None
    writable: list[str]
    executable: list[str]
    namespaces: bool
    system_calls: Literal["one_program", "no_program", "all"]


class SandboxReport(TypedDict):
    """Which protections are enforced: Landlock's version (0: none), system call filter, empty network and IPC
    namespaces, and SIGKILL when the parent ends."""

    landlock: int
    seccomp: bool
    namespaces: bool
    dies_with_parent: bool


def _prctl(option: int, value: int) -> bool:
    return int(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)) == 0


def die_with_parent(parent_pid: int) -> bool:
    """Asks for SIGKILL when the parent ends; exits if it has ended already. Returns whether the kernel does that."""
    if not sys.platform.startswith("linux"):
        return False
    enforced = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(125)
    return enforced


def _limit(which: int, soft: int, hard: int) -> None:
    _, ceiling = resource.getrlimit(which)
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    try:
        resource.setrlimit(which, (soft, hard))
    except (OSError, ValueError):
        if which != resource.RLIMIT_AS:  # macOS cannot limit the address space
            raise


def _limit_resources(spec: SandboxSpec) -> None:
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_AS, spec["memory_bytes"], spec["memory_bytes"])
    _limit(resource.RLIMIT_CPU, spec["cpu_seconds"], spec["cpu_seconds"] + _CPU_GRACE_SECONDS)
    _limit(resource.RLIMIT_FSIZE, spec["file_bytes"], spec["file_bytes"])
    _limit(resource.RLIMIT_NOFILE, spec["open_files"], spec["open_files"])


def _enter_namespaces() -> bool:
    """Enters an empty network and IPC namespace. Returns False if the system forbids that."""
    user, group = os.getuid(), os.getgid()
    unshare = ctypes.CDLL(None).unshare
    if int(unshare(_NEW_USER | _NEW_NET | _NEW_IPC)):
        # Without user namespaces only root may.
        return int(unshare(_NEW_NET | _NEW_IPC)) == 0
    # Without these mappings the process would see itself as the user "nobody".
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            with open(f"/proc/self/{name}", "w") as map_:  # noqa: PTH123 - pathlib costs start time
                map_.write(text)
        except OSError:
            break
    return True


def _enter_namespaces_with_file_access() -> bool:
    """The same where a user namespace would take away the access to programs and data."""
    return int(ctypes.CDLL(None).unshare(_NEW_NET | _NEW_IPC)) == 0


def _paths(spec: SandboxSpec) -> list[str]:
    return [__file__, sys.executable, *spec["executable"], *(spec["readable"] or ()), *spec["writable"]]


def _restrict_paths(spec: SandboxSpec) -> int:
    if spec["readable"] is None:
        return 0
    rules: dict[str, int] = {"/dev/null": landlock.WRITE}
    for paths, rights in (
        (_SYSTEM_READABLE, landlock.READ),
        (spec["executable"], landlock.RUN),
        (spec["readable"], landlock.READ),
        (spec["writable"], landlock.WRITE),
    ):
        for path in paths:
            rules[path] = rules.get(path, 0) | rights
    return landlock.restrict(rules)


def apply(spec: SandboxSpec) -> SandboxReport:
    """Applies everything in `spec` that this system offers, and reports what is enforced."""
    linux = sys.platform.startswith("linux")
    report = SandboxReport(
        landlock=0, seccomp=False, namespaces=False, dies_with_parent=die_with_parent(spec["parent_pid"])
    )
    needs_file_access = linux and capabilities.file_access_needed(_paths(spec))
    if linux and spec["namespaces"]:
        report["namespaces"] = _enter_namespaces_with_file_access() if needs_file_access else _enter_namespaces()
    _limit_resources(spec)
    if linux:
        capabilities.keep_only(capabilities.FILE_ACCESS if needs_file_access else ())
    if linux and _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        report["landlock"] = _restrict_paths(spec)
        if spec["system_calls"] != "all":
            report["seccomp"] = seccomp.enforce(may_execute=spec["system_calls"] == "one_program")
    return report
