"""Which process a TCP connection on loopback belongs to, by its local port (Linux).

psutil reads the tables of the whole machine for each process; a proxy asks for hundreds of connections.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_TABLE = Path("/proc/net/tcp")
_LOOPBACK = "0100007F:"


def owners_of_ports(ports: Collection[int], pids: Mapping[str, int | None]) -> dict[int, str]:
    """The names (keys of `pids`) of the processes that have these local ports; ports of others are left out."""
    inodes = {inode: port for port, inode in _inodes(_TABLE.read_text()) if port in ports}
    found: dict[int, str] = {}
    for name, pid in pids.items():
        if pid is not None:
            found |= {inodes[inode]: name for inode in _sockets(pid) if inode in inodes}
    return found


def _inodes(table: str) -> Iterator[tuple[int, str]]:
    """Local port and inode of each connection (pure)."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[1].startswith(_LOOPBACK):
            yield int(fields[1].partition(":")[2], 16), fields[9]


def _sockets(pid: int) -> Iterator[str]:
    """The inodes of the sockets of a process; none if it has ended."""
    with suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                if target.startswith("socket:["):
                    yield target[8:-1]
