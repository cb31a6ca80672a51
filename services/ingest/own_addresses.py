"""Inputs that are files of this installation: by the id of a media item or file, or by a delivery address (pure)."""

from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from schemas.ids import is_id

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class OwnId:
    """A media item, of which the original is meant, or one file."""

    id: str


@dataclass(frozen=True)
class OwnPath:
    """A name below a project at the delivery address."""

    project: str
    path: str

    @property
    def upload(self) -> bool:
        """Whether it is an upload: those have a module of their own, `upload_inputs`."""
        return is_id(self.path, "upl")


OwnInput: TypeAlias = OwnId | OwnPath


def own_input(address: str, base: str) -> OwnInput | None:
    """What the input `address` names of this installation, whose files are delivered below `base`; None if nothing.

    A signature in the address is not looked at: who may use the file is decided by the project of the API key.
    """
    if is_id(address, "med", "file"):
        return OwnId(address)
    if "prj_" not in address:  # most are not ours, and parsing costs more than this
        return None
    try:
        given, ours = urlsplit(address), urlsplit(base)
        if not ours.hostname or _server(given) != _server(ours):
            return None
    except ValueError:
        return None
    prefix = ours.path.rstrip("/") + "/"
    if not given.path.startswith(prefix):
        return None
    project, _, path = unquote(given.path.removeprefix(prefix)).partition("/")
    return OwnPath(project, path) if is_id(project, "prj") and path else None


def upload_of(address: str, base: str) -> OwnPath | None:
    """The upload that the address names, `path` being its id; None if it names none."""
    own = own_input(address, base)
    return own if isinstance(own, OwnPath) and own.upload else None


def _server(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)
