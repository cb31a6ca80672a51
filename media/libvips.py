"""Loads pyvips, bound to the libvips of the package pyvips-binary whatever libvips the machine has.

pyvips binds in one of two ways: through the compiled module `_libvips`, or by opening `libvips.so.42` by name. Where
pip finds the headers of a libvips of the system, it compiles `_libvips` against that one, over the file of the same
name that pyvips-binary installed; pip also keeps the result in its cache, and uses it where that libvips is gone. So
the module is used only if it is the one that pyvips-binary recorded, and otherwise its library is opened by path.

Runs in the sandbox only. Everything that uses pyvips imports it from here.
"""

import base64
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, PackagePath, distribution
from pathlib import Path
from typing import Any

import cffi

_PACKAGE = "pyvips-binary"
_MODULE = "_libvips"


def _packaged_files() -> tuple[PackagePath | None, Path | None]:
    """The compiled module of the package, and its library; None for what is not installed."""
    try:
        files = distribution(_PACKAGE).files or []
    except PackageNotFoundError:
        return None, None
    module = next((file for file in files if file.name.startswith(f"{_MODULE}.")), None)
    library = next((file for file in files if file.name.startswith("libvips") and ".metadata" not in file.name), None)
    return module, Path(str(library.locate())) if library is not None else None


def _unchanged(file: PackagePath) -> bool:
    """Whether the file on disk is the one that the package recorded when it was installed."""
    path = Path(str(file.locate()))
    if file.hash is None or not path.is_file():
        return False
    digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value


def _load_module(path: Path) -> None:
    """Imports `_libvips` from a path, so that no other module of that name is found."""
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    sys.modules[_MODULE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[_MODULE])


@contextmanager
def _opened_by_path(library: Path) -> Iterator[None]:
    """While pyvips is imported: it finds no compiled module, and what it opens by the name of libvips is `library`.

    pyvips has no setting for the path, and the loader of the system matches names only.
    """

    class PackagedFfi(cffi.FFI):  # type: ignore[misc] # cffi has no types
        def dlopen(self, name: Any, flags: int = 0) -> Any:
            named = str(name).startswith(("libvips.", "libvips-"))
            return super().dlopen(str(library) if named else name, flags)

    original, cffi.FFI = cffi.FFI, PackagedFfi
    # None makes `import _libvips` fail.
    sys.modules[_MODULE] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        cffi.FFI = original
        del sys.modules[_MODULE]


def _import() -> Any:
    module, library = _packaged_files()
    if module is not None and _unchanged(module):
        _load_module(Path(str(module.locate())))
    elif library is not None:
        with _opened_by_path(library):
            return importlib.import_module("pyvips")
    # Without the package (there is none for some platforms) this is the library of the system.
    return importlib.import_module("pyvips")


if "pyvips" not in sys.modules:
    _import()

import pyvips as pyvips  # noqa: E402 - bound above
