"""The logs of embedded servers have a bound, while a process goes on writing to them."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from embedded import process
from embedded.log_rotation import keep_logs_bounded, rotate_logs
from tests.support.waiting import until

CHATTY = "import sys, time\nwhile True: sys.stdout.write('x' * 1000 + '\\n'); sys.stdout.flush(); time.sleep(0.005)"


def test_a_log_that_is_too_large_is_kept_once_and_begins_anew(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    for text in ("first " * 10, "second " * 10):
        with log.open("a") as server:
            server.write(text)
            server.flush()
            assert rotate_logs(tmp_path, max_bytes=20) == ["kafka.log"]
            server.write("after")
        assert (tmp_path / "kafka.log.1").read_text().endswith(text)
        assert log.read_text() == "after", "no hole where the file was cut"
    assert rotate_logs(tmp_path, max_bytes=20) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kafka.log", "kafka.log.1"]


async def test_the_log_of_a_running_process_stays_bounded(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "chatty.log"
    child = await process.start(process.Command("chatty", [sys.executable, "-c", CHATTY], log), tmp_path)
    bounding = asyncio.create_task(keep_logs_bounded(log.parent, 100_000, timedelta(milliseconds=20)))
    written = 0
    largest = 0

    async def has_written_enough() -> bool:
        nonlocal written, largest
        size = log.stat().st_size
        largest = max(largest, size)
        written += (log.parent / "chatty.log.1").exists()
        return written > 20

    try:
        await until(has_written_enough, within=60)
        # What is written within two checks of a busy machine comes on top.
        assert largest < 2_000_000
    finally:
        bounding.cancel()
        await asyncio.gather(bounding, return_exceptions=True)
        await child.stop(timeout=5)
