"""Reading an item back: POST /media answers once a GET of the same customer would show what the answer says.

It asks as the customer would, over HTTP with the customer's own key, because the catalog's tables are the catalog's.
Where the catalog cannot be reached the answer is given all the same: the item is safe, only not visible yet.
"""

import asyncio
from contextlib import suppress

import aiohttp

from schemas.media import MediaItem

LONGEST_SECONDS = 2.0
"""The projection takes some ten milliseconds; what has not come by then is an outage, and not worth a longer wait."""
_PAUSE_SECONDS = 0.01


class Readback:
    """Asks the catalog at `base`, for example `http://127.0.0.1:8080`."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base.rstrip("/")

    async def visible(self, item: MediaItem, authorization: str, seconds: float = LONGEST_SECONDS) -> bool:
        """Waits until the catalog shows the item in its state; False where it does not within `seconds`."""
        with suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(min(seconds, LONGEST_SECONDS)):
                while not self._session.closed:  # by the service, which is about to stop
                    if await self._shows(item, authorization):
                        return True
                    await asyncio.sleep(_PAUSE_SECONDS)
        return False

    async def _shows(self, item: MediaItem, authorization: str) -> bool:
        url, headers = f"{self._base}/media/{item.id}", {"Authorization": authorization}
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status >= 400:
                # Not the catalog, or not able to answer: asking again at once would not help.
                raise aiohttp.ClientResponseError(response.request_info, (), status=response.status)
            found = await response.json()
        return bool(found["data"]["status"] == item.status)
