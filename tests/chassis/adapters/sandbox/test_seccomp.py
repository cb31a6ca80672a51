"""What the filter decides, for both architectures, and that the kernel does the same."""

import errno
import platform
import struct
from collections.abc import AsyncIterator

import pytest

from chassis.adapters.sandbox import seccomp, system_calls
from chassis.adapters.sandbox.confine import SandboxReport
from chassis.adapters.sandbox.fork_server import ForkServer
from chassis.adapters.sandbox.limits import ChildDied, Limits
from tests.chassis.adapters.sandbox.support import run

FUNCTIONS = "tests.chassis.adapters.sandbox.sandboxed_functions"
MACHINES = ("x86_64", "aarch64")
PID = 4242
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL, DENY, UNKNOWN = "allow", "kill", "EPERM", "ENOSYS"
SIGSYS = 31

READ, WRITE, EXEC = 1, 2, 4
PRIVATE_ANONYMOUS, FIXED, GROWSDOWN = 0x22, 0x10, 0x100
THREAD_FLAGS = 0x3D0F00  # what the C library passes for pthread_create
NEW_USER, NEW_NETWORK, SIGCHLD, VFORK = 0x10000000, 0x40000000, 17, 0x4000


def _decide(machine: str, number: int, *arguments: int, arch: int | None = None, may_execute: bool = True) -> str:
    """Runs the filter as the kernel does: classic BPF over `struct seccomp_data`."""
    code = seccomp.program(machine, PID, may_execute=may_execute)
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, AUDIT_ARCH[machine] if arch is None else arch, 0, *padded)
    accumulator, at = 0, 0
    while True:
        operation, then, otherwise, value = struct.unpack_from("=HBBI", code, at * 8)
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                at += then if accumulator == value else otherwise
            case 0x35:
                at += then if accumulator >= value else otherwise
            case 0x06:
                if value & 0xFFFF0000 == 0x00050000:
                    return errno.errorcode[value & 0xFFFF]
                return {0x7FFF0000: ALLOW, 0x80000000: KILL}[value]
            case _:
                raise AssertionError(f"unknown instruction {operation:#x}")


def _call(machine: str, name: str, *arguments: int, may_execute: bool = True) -> str:
    return _decide(machine, system_calls.conditional(machine)[name], *arguments, may_execute=may_execute)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_lists_are_decided_as_they_say(machine: str) -> None:
    assert {_decide(machine, number) for number in system_calls.allowed(machine).values()} == {ALLOW}
    assert {_decide(machine, number) for number in system_calls.killed(machine).values()} == {KILL}


@pytest.mark.parametrize("machine", MACHINES)
def test_no_call_is_in_two_lists_and_no_number_twice(machine: str) -> None:
    lists = (system_calls.allowed(machine), system_calls.conditional(machine), system_calls.killed(machine))
    numbers = [number for each in lists for number in each.values()]
    assert len(set(numbers)) == len(numbers) == sum(len(each) for each in lists)


@pytest.mark.parametrize(
    "name", ["socket", "chmod", "fchmodat", "utimensat", "setxattr", "fork", "shmget", "memfd_create", "execveat"]
)
def test_what_is_not_listed_is_denied(name: str) -> None:
    numbers = {
        "socket": 41,
        "chmod": 90,
        "fchmodat": 268,
        "utimensat": 280,
        "setxattr": 188,
        "fork": 57,
        "shmget": 29,
        "memfd_create": 319,
        "execveat": 322,
    }
    assert _decide("x86_64", numbers[name]) == DENY


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_that_are_newer_than_the_list_are_unknown(machine: str) -> None:
    """fchmodat2, futex_waitv, and a number of the future; libraries try them and fall back."""
    assert {_decide(machine, number) for number in (452, 449, 999)} == {UNKNOWN}


def test_the_second_table_of_numbers_of_x86_64_is_no_way_around() -> None:
    assert _decide("x86_64", 0x40000000 | 41) == UNKNOWN


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_end_the_process(machine: str) -> None:
    assert _decide(machine, 1, arch=0x40000003) == KILL  # i386, where 1 is another call


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("flags", "decision"),
    [
        (THREAD_FLAGS, ALLOW),
        (SIGCHLD, DENY),
        (VFORK | 0x100 | SIGCHLD, DENY),
        (NEW_USER | SIGCHLD, DENY),
        (THREAD_FLAGS | NEW_USER, DENY),
        (THREAD_FLAGS | NEW_NETWORK, DENY),
    ],
)
def test_clone_makes_threads_only(machine: str, flags: int, decision: str) -> None:
    assert _call(machine, "clone", flags) == decision
    assert _call(machine, "clone3", flags) == UNKNOWN


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("pointer", "decision"),
    [
        (seccomp.EXEC_PATH_AT, ALLOW),
        (seccomp.EXEC_PATH_AT + 1, DENY),
        (seccomp.EXEC_PATH_AT | 1 << 32, DENY),
        (0, DENY),
        (0x7F0000000000, DENY),
    ],
)
def test_only_the_path_at_its_address_can_be_executed(machine: str, pointer: int, decision: str) -> None:
    assert _call(machine, "execve", pointer) == decision
    assert _call(machine, "execve", pointer, may_execute=False) == DENY


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("address", "protection", "flags", "decision"),
    [
        (0, READ | WRITE, PRIVATE_ANONYMOUS, ALLOW),
        (0, READ | EXEC, 2, ALLOW),  # a library
        (0x7F0000000000, READ, FIXED, ALLOW),
        (0x1_0001_0000, READ, FIXED, ALLOW),
        (0, READ | WRITE | EXEC, PRIVATE_ANONYMOUS, DENY),
        (seccomp.EXEC_PATH_AT, READ | WRITE, PRIVATE_ANONYMOUS | FIXED, DENY),
        (0x1000, READ | WRITE, PRIVATE_ANONYMOUS | FIXED, DENY),
        (0x20FFFF, READ | WRITE, PRIVATE_ANONYMOUS, DENY),
        (0x240000, READ | WRITE, PRIVATE_ANONYMOUS | FIXED | GROWSDOWN, DENY),
    ],
)
def test_mapped_memory(machine: str, address: int, protection: int, flags: int, decision: str) -> None:
    assert _call(machine, "mmap", address, 0x1000, protection, flags) == decision


@pytest.mark.parametrize("machine", MACHINES)
def test_written_memory_does_not_become_code(machine: str) -> None:
    assert _call(machine, "mprotect", 0, 0x1000, READ | WRITE) == ALLOW
    assert _call(machine, "mprotect", 0, 0x1000, READ | WRITE | EXEC) == DENY
    # The dynamic loader of aarch64 does this to the code of a program.
    assert _call(machine, "mprotect", 0, 0x1000, READ | EXEC) == (ALLOW if machine == "aarch64" else DENY)
    assert _call(machine, "mremap", 0x7F0000000000, 1, 1, 1) == ALLOW
    assert _call(machine, "mremap", 0x7F0000000000, 1, 1, 3, seccomp.EXEC_PATH_AT) == DENY


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "decision"),
    [
        ("kill", (PID, 9), ALLOW),
        ("kill", (1, 9), DENY),
        ("kill", (0xFFFFFFFF, 9), DENY),
        ("tgkill", (PID, PID, 6), ALLOW),
        ("tgkill", (PID + 1, PID, 6), DENY),
        ("prctl", (15,), ALLOW),
        ("prctl", (1, 0), DENY),  # PR_SET_PDEATHSIG: to outlive the parent
        ("fcntl", (1, 3), ALLOW),
        ("fcntl", (1, 8, 1), DENY),  # F_SETOWN: signals to others
        ("ioctl", (1, 0x5401), ALLOW),
        ("ioctl", (1, 0x5412), DENY),  # TIOCSTI: input for a terminal
        ("prlimit64", (0, 7, 0), ALLOW),
        ("prlimit64", (1, 7, 0), DENY),
        ("prlimit64", (0, 7, 1 << 40), DENY),
    ],
)
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], decision: str) -> None:
    assert _call(machine, name, *arguments) == decision


@pytest.fixture(scope="module")
async def server(protections: SandboxReport) -> AsyncIterator[ForkServer]:
    if not protections["seccomp"]:
        pytest.skip("this system filters no system calls: bitmill starts only with SANDBOX=weak here")
    async with ForkServer(FUNCTIONS) as opened:
        yield opened


@pytest.mark.parametrize("name", system_calls.killed("x86_64"))
async def test_an_attack_ends_the_process(name: str, server: ForkServer) -> None:
    number = system_calls.killed(platform.machine()).get(name)
    if number is None:
        pytest.skip(f"{platform.machine()} has no {name}")
    with pytest.raises(ChildDied) as death:
        await server.call(f"{FUNCTIONS}:system_call", {"number": number}, Limits())
    assert death.value.signal == SIGSYS


_SECOND_PROGRAM = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
def failed(result):
    return ctypes.get_errno() if result in (-1, 2**64 - 1) else "worked"
where, size, anywhere = ctypes.c_void_p(0x200000), ctypes.c_size_t(4096), ctypes.c_size_t(0x100000)
print("mapped", failed(libc.mmap(where, size, 3, 0x32, -1, 0)))
print("hinted", failed(libc.mmap(where, size, 3, 0x22, -1, 0)))
print("grown", failed(libc.mmap(ctypes.c_void_p(0x240000), size, 3, 0x132, -1, 0)))
old = libc.mmap(None, size, 3, 0x22, -1, 0)
libc.mremap.restype = ctypes.c_void_p
print("moved", failed(libc.mremap(ctypes.c_void_p(old), size, size, 3, where)))
name = ctypes.c_char_p(os.fsencode(sys.executable))
arguments = (ctypes.c_char_p * 2)(name, None)
print("again", failed(libc.execve(name, arguments, None)))
print("its address", failed(libc.execve(where, arguments, None)))
loader = ctypes.c_char_p(os.fsencode(sys.argv[1]))
print("loader", failed(libc.execve(loader, (ctypes.c_char_p * 3)(loader, name, None), None)))
print("by descriptor", failed(libc.execveat(os.open(sys.executable, os.O_RDONLY), b"", arguments, None, 0x1000)))
"""


async def test_a_program_cannot_execute_a_second_one(protections: SandboxReport) -> None:
    """Not itself again, not another through its dynamic loader; nor can it bring a path to the address."""
    if not protections["seccomp"]:
        pytest.skip("this system filters no system calls: bitmill starts only with SANDBOX=weak here")
    loader = "/lib64/ld-linux-x86-64.so.2" if platform.machine() == "x86_64" else "/lib/ld-linux-aarch64.so.1"
    finished = await run(_SECOND_PROGRAM, loader)
    found = dict(line.rsplit(" ", 1) for line in finished.stdout.decode().splitlines())
    denied = str(errno.EPERM)
    assert found == {
        "mapped": denied,
        "hinted": denied,
        "grown": denied,
        "moved": denied,
        "again": denied,
        "its address": str(errno.EFAULT),
        "loader": denied,
        "by descriptor": denied,
    }, finished.stderr_tail
