"""The cookies of one fetch: what servers set on the way through redirects, sent where RFC 6265 lets them be sent.

Some stores answer a link with a redirect to itself and a cookie. Nothing is kept for another fetch.
"""

from collections.abc import Sequence

from aiohttp import CookieJar
from yarl import URL

MAX_HEADER_BYTES = 8 * 1024
"""Of the header Cookie; further cookies are left out. Servers refuse more."""


class FetchCookies:
    """Needs a running event loop."""

    def __init__(self) -> None:
        # Also of servers that are named by their address.
        self._jar = CookieJar(unsafe=True)
        self._any = False

    def keep(self, set_cookie: Sequence[str], url: str) -> None:
        """Keeps what the headers Set-Cookie of the response from `url` say."""
        if set_cookie:
            self._jar.update_cookies_from_headers(set_cookie, URL(url))
            self._any = True

    def headers(self, url: str) -> dict[str, str]:
        """The header Cookie for a request to `url`; none without a cookie for it."""
        if not self._any:
            return {}
        pairs, length = [], 0
        for name, morsel in self._jar.filter_cookies(URL(url)).items():
            pair = f"{name}={morsel.coded_value}"
            length += len(pair) + 2
            if pair.isascii() and pair.isprintable() and length <= MAX_HEADER_BYTES:
                pairs.append(pair)
        return {"Cookie": "; ".join(pairs)} if pairs else {}
