"""A seccomp filter with an allowlist of system calls: what it does not name fails, or ends the process.

The lists are in `system_calls`; here are the rules for calls whose arguments decide, and the program that the kernel
runs at each call. Layouts: seccomp(2), linux/filter.h, linux/audit.h. Runs in the
child; few imports, for its start time.
"""

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence

from chassis.adapters.sandbox import system_calls

_SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _SPEC_ALLOW = 1, 4
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

EXEC_PATH_AT = 0x200000
"""Where the path of the program has to lie when it is executed: the address that the filter compares. No process can
map memory there afterwards, so that the first `execve` is the last. It is above what vm.mmap_min_addr reserves, and
below where programs are loaded (0x400000 if they are not relocatable)."""
_MAPPABLE_FROM = 0x210000

_WRITE, _EXEC = 2, 4  # PROT_WRITE, PROT_EXEC
_GROWSDOWN = 0x100
_MREMAP_FIXED = 2
# CLONE_THREAD, and what may not come with it: new namespaces and being traced.
_THREAD = 0x10000
_NOT_WITH_THREAD = 0x2000 | 0x20000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_FCNTL = (0, 1, 2, 3, 4, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
_IOCTL = (0x5401, 0x5413, 0x5421, 0x541B, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONBIO, FIONREAD, FIONCLEX, FIOCLEX
_PRCTL = (15, 16)  # PR_SET_NAME, PR_GET_NAME

_Step = bytes


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> _Step:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _return(action: int) -> list[_Step]:
    return [_step(_RETURN, action)]


_DENY = _return(_ERRNO | _EPERM)


def _one_of(argument: int, values: Sequence[int], mask: int = 0xFFFFFFFF, *, high: bool = False) -> list[_Step]:
    """Steps that continue if the argument's lower (or higher) 32 bits and `mask` are one of `values`, and deny if not.

    The kernel itself uses only the lower half of what is an int, or a set of flags, in C.
    """
    steps = [_step(_LOAD, _ARGUMENTS_AT + 8 * argument + (4 if high else 0))]
    if mask != 0xFFFFFFFF:
        steps.append(_step(_AND, mask))
    steps += [_step(_EQUAL, value, len(values) - position, 0) for position, value in enumerate(values)]
    return steps + _DENY


def _is_pointer(argument: int, value: int) -> list[_Step]:
    """All 64 bits are `value`."""
    return _one_of(argument, [value & 0xFFFFFFFF]) + _one_of(argument, [value >> 32], high=True)


def _rules(machine: str, pid: int, *, may_execute: bool) -> dict[str, list[_Step]]:
    """By the call's name, steps that end in allowing or denying it."""
    allow = _return(_ALLOW)
    not_low = [
        # Nothing is mapped by address where the path for `execve` lay.
        _step(_LOAD, _ARGUMENTS_AT + 4),
        _step(_EQUAL, 0, 0, 4),
        _step(_LOAD, _ARGUMENTS_AT),
        _step(_EQUAL, 0, 2, 0),
        _step(_AT_LEAST, _MAPPABLE_FROM, 1, 0),
        *_DENY,
    ]
    # The loader of aarch64 protects the code of a program anew (BTI).
    readable_or_code = (0, _WRITE, _EXEC) if machine == "aarch64" else (0, _WRITE)
    return {
        # Memory is never writable and executable, and what was written does not become executable: code comes from
        # files.
        "mprotect": _one_of(2, readable_or_code, _WRITE | _EXEC) + allow,
        "mmap": _one_of(2, (0, _WRITE, _EXEC), _WRITE | _EXEC) + _one_of(3, (0,), _GROWSDOWN) + not_low + allow,
        "mremap": _one_of(3, (0,), _MREMAP_FIXED) + allow,
        # Threads only: no processes, no namespaces. `clone3` has its flags in memory; libraries fall back to `clone`.
        "clone": _one_of(0, (_THREAD,), _THREAD | _NOT_WITH_THREAD) + allow,
        "clone3": _return(_ERRNO | _ENOSYS),
        "execve": _is_pointer(0, EXEC_PATH_AT) + allow if may_execute else list(_DENY),
        # Not owners of signals (F_SETOWN), leases or locks; not what changes a terminal.
        "fcntl": _one_of(1, _FCNTL) + allow,
        "ioctl": _one_of(1, _IOCTL) + allow,
        # abort() and raise(); signals to other processes of the user are denied.
        "kill": _one_of(0, (pid,)) + allow,
        "tgkill": _one_of(0, (pid,)) + allow,
        "prctl": _one_of(0, _PRCTL) + allow,
        # Reading the own limits, not setting them, and not those of others.
        "prlimit64": _one_of(0, (0, pid)) + _is_pointer(2, 0) + allow,
    }


def program(machine: str, pid: int, *, may_execute: bool) -> bytes:
    """The filter for `x86_64` or `aarch64`, as BPF instructions of eight bytes each (pure).

    `pid` is the process that applies it; with `may_execute` it can execute one program, see `EXEC_PATH_AT`.
    """
    return b"".join(_steps(machine, pid, may_execute))


def _steps(machine: str, pid: int, may_execute: bool) -> Iterator[_Step]:
    yield _step(_LOAD, _ARCH_AT)
    yield _step(_EQUAL, _ARCH[machine], 1, 0)
    yield from _return(_KILL)
    yield _step(_LOAD, _NUMBER_AT)
    numbers = system_calls.conditional(machine)
    for name, steps in _rules(machine, pid, may_execute=may_execute).items():
        yield _step(_EQUAL, numbers[name], 0, len(steps))
        yield from steps
    for number in system_calls.allowed(machine).values():
        yield _step(_EQUAL, number, 0, 1)
        yield from _return(_ALLOW)
    for number in system_calls.killed(machine).values():
        yield _step(_EQUAL, number, 0, 1)
        yield from _return(_KILL)
    # Also the second table of numbers of x86-64 (x32), which starts at 2^30.
    yield _step(_AT_LEAST, system_calls.NUMBERED_ALIKE_FROM, 0, 1)
    yield from _return(_ERRNO | _ENOSYS)
    yield from _DENY


def enforce(*, may_execute: bool) -> bool:
    """Applies the filter to this process and its children; needs no_new_privs. Returns whether it is enforced."""
    machine = os.uname().machine
    if machine not in _ARCH:
        return False
    code = ctypes.create_string_buffer(program(machine, os.getpid(), may_execute=may_execute))
    filter_ = struct.pack("@HP", len(code.raw) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    # Kernels before 5.16 else turn off speculation in filtered processes, which slows an encoder down; it protects
    # processes that isolate code from code, and these have nothing of others in their memory. 4.17 added the flag.
    for flags in (_SPEC_ALLOW, 0):
        number, mode, flags_ = (
            ctypes.c_long(_SECCOMP_CALL[machine]),
            ctypes.c_uint(_SET_MODE_FILTER),
            ctypes.c_uint(flags),
        )
        if int(libc.syscall(number, mode, flags_, filter_)) == 0:
            return True
    return False
