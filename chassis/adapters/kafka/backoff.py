"""How long to wait before a record is handled again: pure, but for the count that it keeps."""

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 10.0


def pause_seconds(attempt: int) -> float:
    """The pause after the `attempt`-th failure, counted from 1: 0.5, 1, 2, 4, 8, 10, 10 …"""
    return float(min(FIRST_SECONDS * 2 ** min(attempt - 1, 16), LONGEST_SECONDS))


class Attempts:
    """The failures of the record that each partition is at."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], tuple[int, int]] = {}

    def failed(self, topic: str, partition: int, offset: int) -> int:
        """Count a failure; how many this record has had."""
        at, count = self._counts.get((topic, partition), (offset, 0))
        count = count + 1 if at == offset else 1
        self._counts[topic, partition] = (offset, count)
        return count

    def passed(self, topic: str, partition: int) -> None:
        """The partition has moved on."""
        self._counts.pop((topic, partition), None)
