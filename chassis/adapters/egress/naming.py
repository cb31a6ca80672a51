"""Redirects and file names: reading what a stranger's server says (pure)."""

import unicodedata
from urllib.parse import quote, unquote, urljoin, urlsplit

from aiohttp.client_reqrep import ContentDisposition

from chassis.adapters.egress.hosts import AddressForbidden

MAX_NAME_CHARS = 255
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))


def next_hop(url: str, location: str) -> str:
    """Where a redirect leads; ValueError where that is no URL, AddressForbidden where it gives up encryption.

    Servers send spaces and raw UTF-8; everything else stays as it is, for signatures are over the very characters.
    """
    target = urljoin(url, quote(location.strip(), safe=_PRINTABLE, errors="surrogateescape"))
    if url.startswith("https:") and not target.startswith("https:"):
        raise AddressForbidden("The address redirects from https to something less safe.")
    return target


def suggested_name(disposition: ContentDisposition | None, url: str) -> str | None:
    """The last part of the name that the server gives, or else the URL's; without folders or control characters."""
    given = disposition.filename if disposition is not None else None
    name = (given or unquote(urlsplit(url).path)).replace("\\", "/").rpartition("/")[2]
    # Control and format characters (among them those that turn the direction of writing) and lone surrogates.
    name = "".join(char for char in name if unicodedata.category(char)[0] != "C").strip()
    return name[:MAX_NAME_CHARS] if name.strip(".") else None
