"""`ittybit --help` starts fast: what it imports is bounded, and its time is a small multiple of Python's own start."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
MOST_RATIO = 15
"""It was 7 on the machine of its author, where Python alone takes 14 ms, and 23 before."""
HEAVY = ("pydantic", "aiohttp", "rich", "asyncpg", "schemas", "services", "chassis", "media")


def seconds(*command: str) -> float:
    """The median of seven runs, so that one that was disturbed does not count."""
    times = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True, timeout=60)
        times.append(time.perf_counter() - began)
    return median(times)


def test_help_takes_few_times_as_long_as_python_alone() -> None:
    assert seconds("-m", "cli", "--help") <= MOST_RATIO * seconds("-c", "pass")


def test_help_imports_nothing_that_only_commands_need() -> None:
    code = "import sys\nfrom cli.__main__ import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass\n"
    code += f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == "[]\n"
