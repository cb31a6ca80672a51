"""Addresses of databases, for people: pure."""

from urllib.parse import parse_qs, urlsplit


def masked(dsn: str) -> str:
    """Host, port and database of a `postgresql://` address, without user, password or options."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return "(unreadable address)"
    host = parts.netloc.rpartition("@")[2] or ",".join(parse_qs(parts.query).get("host", ["localhost"]))
    return f"{host}{parts.path}" if not host.startswith("/") else f"{host} ({parts.path.lstrip('/')})"
