"""The version of the API that a request asks for, as a part of the request."""

from aiohttp import web

from chassis.adapters.http.errors import invalid_input
from schemas.versions import DEFAULT, VERSION_HEADER, UnknownVersion, Version, version_of

VARIES = {"Vary": VERSION_HEADER}
"""For responses that a cache may keep: another version of the same address is another response."""


def requested_version(request: web.Request) -> Version:
    """What the header `Accept-Version` names, the default version without it. Raises ApiError 400."""
    try:
        return version_of(request.headers.getall(VERSION_HEADER, []))
    except UnknownVersion as error:
        raise invalid_input([error.fault]) from None


def named_version(request: web.Request) -> Version:
    """As `requested_version`, for errors: the default version where the header names none."""
    try:
        return version_of(request.headers.getall(VERSION_HEADER, []))
    except UnknownVersion:
        return DEFAULT
