"""Checks of a URL that need no DNS: scheme, port, literal addresses, local names (pure).

Parsers disagree about unusual hosts: some take `2130706433`, `0x7f.1`, `017700000001` and `127。0。0。1` for the
loopback address. So a host is either clearly an address, or clearly a name, or forbidden.
"""

import re
import unicodedata
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote, urljoin, urlsplit

from chassis.adapters.egress.addresses import Address

MAX_HOST_CHARS = 253

_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")
_NUMBER = re.compile(r"\d+|0[xX][0-9a-fA-F]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))

# Well-known ports of other protocols, which may take an HTTP request for a command: those that browsers block (WHATWG
# Fetch, "bad ports"), and the usual databases, queues and cluster managers.
_PORTS = frozenset(
    {
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104),
        *(109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513, 514),
        *(515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1433, 1521, 1719),
        *(1720, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5432, 5672),
        *(5900, 6000, 6379, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9042, 9092, 9200, 9300, 10080),
        *(10250, 10255, 11211, 27017),
    }
)

# Names that always mean this machine or a cloud's metadata service; no look-up is needed for them.
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"})
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_LOOPBACK, _METADATA = IPv4Address("127.0.0.1"), IPv4Address("169.254.169.254")


class AddressForbidden(Exception):
    """The address must not be contacted. `reason` is a sentence for the customer.

    Not an OSError, because HTTP libraries retry and wrap those.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@lru_cache(maxsize=1024)  # every request checks its address, and most receivers get many
def check_syntax(url: str) -> tuple[str, Address | None]:
    """The host of an http(s) URL, and its address unless it needs a look-up. Raises AddressForbidden."""
    if any(char <= " " or char in "\\\x7f" for char in url):
        raise AddressForbidden("The address must not contain spaces, control characters or backslashes.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressForbidden("The address is not a well-formed URL.") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise AddressForbidden("The address must start with http:// or https://.")
    if parts.username is not None or parts.password is not None:
        raise AddressForbidden("The address must not carry a user name or password.")
    check_port(_DEFAULT_PORTS[parts.scheme] if port is None else port)
    return check_host(parts.hostname or "", bracketed="[" in parts.netloc)


def redirect_target(url: str, location: str) -> str:
    """The URL that the header `Location` of a response to `url` leads to.

    Servers send spaces and raw UTF-8, which are quoted; everything else stays unchanged, because signatures cover the
    exact characters. Raises ValueError if it is no URL, AddressForbidden if it leads from https to http.
    """
    target = urljoin(url, quote(location.strip(), safe=_PRINTABLE, errors="surrogateescape"))
    if url.startswith("https:") and not target.startswith("https:"):
        raise AddressForbidden("The address redirects from https to something less safe.")
    return target


def check_port(port: int) -> None:
    """Raises AddressForbidden for the ports of other protocols."""
    if port in _PORTS:
        raise AddressForbidden(f"Port {port} belongs to another protocol than HTTP.")


def check_host(host: str, *, bracketed: bool = False) -> tuple[str, Address | None]:
    """The normalised host, and its address unless it needs a look-up. Raises AddressForbidden."""
    if ":" in host or bracketed:
        return host, _ipv6(host)
    # As resolvers do: full-width digits become digits, and full stops of other scripts become dots.
    name = unicodedata.normalize("NFKC", host).replace("。", ".").lower().removesuffix(".")
    if not name or len(name) > MAX_HOST_CHARS or not _NAME.fullmatch(name):
        raise AddressForbidden("The address does not name a host.")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return name, _ipv4(host)
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return name, _LOOPBACK
    return name, _METADATA if name in _METADATA_NAMES else None


def _ipv4(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise AddressForbidden("An IPv4 address must be written as four decimal numbers.") from None


def _ipv6(text: str) -> IPv6Address:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise AddressForbidden("The address is not a well-formed URL.") from None
    if address.scope_id is not None:
        raise AddressForbidden("An IPv6 address must not name a zone.")
    return address
