"""The trace that a piece of work belongs to, as the header `traceparent` carries it (pure).

W3C Trace Context, level 1: `00-<32 hex digits: trace>-<16 hex digits: parent span>-<2 hex digits: flags>`. Anybody may
send one, so nothing of it is kept but what this module has read. Vendors' `tracestate` is not carried on.
"""

import re
from dataclasses import dataclass

TRACEPARENT = "traceparent"
"""The name of the header, in HTTP and in records of Kafka."""
_LENGTH = 55
MAX_CHARS = 512
"""Later versions may append to the header; a longer one is not looked at."""
_PATTERN = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@dataclass(frozen=True)
class TraceContext:
    """One span of one trace. `sampled`: whether whoever began the trace records it."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The header: 55 characters."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse(header: str | bytes | None) -> TraceContext | None:
    """What a header says; None where there is none or it is not valid: the work then belongs to no known trace."""
    if header is None or not _LENGTH <= len(header) <= MAX_CHARS:
        return None
    if isinstance(header, bytes):
        try:
            header = header.decode("ascii")
        except UnicodeDecodeError:
            return None
    match = _PATTERN.fullmatch(header, 0, _LENGTH)
    if match is None:
        return None
    version, trace_id, span_id, flags = match.groups()
    # Version 0 ends here; what a later version appends is separated by a dash.
    appended = header[_LENGTH:]
    if version == "ff" or (appended and (version == "00" or not appended.startswith("-"))):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, sampled=bool(int(flags, 16) & 1))
