"""Script: confines itself, then executes a program. `python -I -S exec_wrapper.py SPEC PROGRAM [ARGUMENT]…`.

SPEC is `confine.SandboxSpec` as JSON. Without a program it prints the `confine.SandboxReport` as JSON and exits.
A script and not a function between fork and exec: such a function would run in a copy of a process with threads, where
locks may be held for ever.
"""

import ctypes
import json
import os
import sys

# Isolated mode leaves the project out of the path. Appended, so that nothing shadows the standard library.
sys.path.append(os.path.abspath(__file__).rsplit(os.sep, 4)[0])  # noqa: PTH100

from chassis.adapters.sandbox import confine, seccomp

NOT_STARTED = 127
"""The exit status if the program cannot be started, as in shells."""
_PATH_BYTES = 8192
_READ_WRITE = 1 | 2
_PRIVATE_ANONYMOUS_FIXED = 0x02 | 0x20 | 0x100000  # MAP_FIXED_NOREPLACE


def main(arguments: list[str]) -> None:
    """See the module. Returns only after printing a report."""
    spec: confine.SandboxSpec = json.loads(arguments[0])
    filtered = spec["system_calls"] == "one_program" and sys.platform.startswith("linux")
    if filtered:
        _place_path(arguments[1] if len(arguments) > 1 else "")
    report = confine.apply(spec)
    if len(arguments) == 1:
        sys.stdout.write(json.dumps(report))
        return
    try:
        if filtered:
            _execute_placed_path(arguments[1:])
        else:
            os.execv(arguments[1], arguments[1:])  # noqa: S606 - a list of arguments, no shell
    except OSError as error:
        sys.stderr.write(f"{arguments[1]} cannot be started: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(NOT_STARTED)


def _place_path(path: str) -> None:
    """Writes the path of the program to the address from which the filter allows to execute it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    address, size = ctypes.c_void_p(seccomp.EXEC_PATH_AT), ctypes.c_size_t(_PATH_BYTES)
    if libc.mmap(address, size, _READ_WRITE, _PRIVATE_ANONYMOUS_FIXED, -1, ctypes.c_long(0)) != address.value:
        raise OSError(ctypes.get_errno(), f"the address {seccomp.EXEC_PATH_AT:#x} cannot be mapped")
    data = os.fsencode(path)
    if len(data) >= _PATH_BYTES:
        raise ValueError("the path of the program is too long")
    ctypes.memmove(address, data, len(data))


def _execute_placed_path(argv: list[str]) -> None:
    """execve(2) with the address itself: `os.execv` would pass a copy of the path."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [os.fsencode(argument) for argument in argv]
    variables = [os.fsencode(f"{name}={value}") for name, value in os.environ.items()]
    libc.execve(
        ctypes.c_void_p(seccomp.EXEC_PATH_AT),
        (ctypes.c_char_p * (len(arguments) + 1))(*arguments, None),
        (ctypes.c_char_p * (len(variables) + 1))(*variables, None),
    )
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
