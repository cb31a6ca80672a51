"""A seccomp filter that denies system calls which no decoder needs: sockets, leaving the process group, ptrace.

A short deny list and not an allow list, which would break with new versions of a C library. Denied calls fail with
EPERM, so that a library which only tries them continues. Layouts: seccomp(2), linux/filter.h, linux/audit.h.
"""

import ctypes
import os
import struct

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | 1  # errno 1 is EPERM
_NUMBER_AT, _ARCH_AT = 0, 4
_X32 = 0x40000000  # the second table of numbers on x86-64, which could bypass the filter

# setsid and setpgid: a child that leaves its process group would outlive the kill of that group.
# io_uring opens sockets without the call `socket`. The others access other processes or the kernel.
_DENIED: dict[str, dict[str, int]] = {
    "x86_64": {
        "socket": 41,
        "ptrace": 101,
        "setpgid": 109,
        "setsid": 112,
        "mount": 165,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "unshare": 272,
        "perf_event_open": 298,
        "open_by_handle_at": 304,
        "setns": 308,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "bpf": 321,
        "userfaultfd": 323,
        "io_uring_setup": 425,
        "pidfd_getfd": 438,
    },
    "aarch64": {
        "socket": 198,
        "ptrace": 117,
        "setpgid": 154,
        "setsid": 157,
        "mount": 40,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "unshare": 97,
        "perf_event_open": 241,
        "open_by_handle_at": 265,
        "setns": 268,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "bpf": 280,
        "userfaultfd": 282,
        "io_uring_setup": 425,
        "pidfd_getfd": 438,
    },
}
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def program(machine: str) -> bytes:
    """The filter for `x86_64` or `aarch64`, as BPF instructions of eight bytes each (pure)."""

    def instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
        return struct.pack("=HBBI", code, then, otherwise, value)

    numbers = list(_DENIED[machine].values())
    steps = [
        instruction(_LOAD, _ARCH_AT),
        instruction(_EQUAL, _ARCH[machine], 1, 0),
        instruction(_RETURN, _DENY),
        instruction(_LOAD, _NUMBER_AT),
        instruction(_AT_LEAST, _X32, len(numbers) + 1, 0),
    ]
    for position, number in enumerate(numbers):
        steps.append(instruction(_EQUAL, number, len(numbers) - position, 0))
    steps += [instruction(_RETURN, _ALLOW), instruction(_RETURN, _DENY)]
    return b"".join(steps)


def deny() -> bool:
    """Applies the filter to this process and its children; needs no_new_privs. Returns whether it is enforced."""
    machine = os.uname().machine
    if machine not in _DENIED:
        return False
    code = ctypes.create_string_buffer(program(machine))
    filter_ = struct.pack("@HP", len(code.raw) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), filter_, 0, 0)) == 0
