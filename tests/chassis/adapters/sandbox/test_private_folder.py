"""Input and output below a folder that only its owner may enter; for root, also one of another user."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chassis.adapters.sandbox.support import LIMITS, PYTHON, run

_OTHER_UID = 1000
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2

COPY = """
import sys
from pathlib import Path
source, target = map(Path, sys.argv[1:])
target.write_bytes(source.read_bytes())
status = Path("/proc/self/status").read_text().splitlines() if sys.platform == "linux" else []
print([int(line.split()[1], 16) for line in status if line.startswith(("CapEff", "CapPrm", "CapAmb"))])
"""


@pytest.mark.parametrize("owner", [0, _OTHER_UID] if os.geteuid() == 0 else [os.geteuid()])
async def test_a_child_reads_and_writes_below_a_folder_that_only_its_owner_may_enter(
    tmp_path: Path, owner: int
) -> None:
    private = tmp_path / "private"
    scratch = private / "scratch"
    scratch.mkdir(parents=True)
    (private / "input").write_text("frames")
    private.chmod(0o700)
    os.chown(private, owner, -1)
    limits = replace(LIMITS, readable=(*PYTHON, Path("/proc"), private / "input"), writable=(scratch,))
    done = await run(COPY, str(private / "input"), str(scratch / "output"), limits=limits)
    assert (done.returncode, done.stderr_tail) == (0, "")
    assert (scratch / "output").read_text() == "frames"
    if owner == _OTHER_UID:
        effective, permitted, ambient = (int(word) for word in done.stdout.decode().strip("[]\n").split(","))
        assert not (effective | permitted | ambient) & ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
