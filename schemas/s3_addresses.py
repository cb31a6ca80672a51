"""Addresses of objects in stores with the API of S3, and the templates that an output's address may have (pure).

`s3://bucket/key`: the key is taken as it is written, nothing in it is percent-decoded. In the address of an output,
`{name}` stands for something that is known when the file is stored; an address that ends in `/` is a folder, in which
the file gets the name `DEFAULT_NAME`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from schemas.known_names import nearest

SCHEME = "s3://"
MAX_KEY_BYTES = 1024
"""Of UTF-8: the limit of S3."""
DEFAULT_NAME = "{filename}-{kind}.{ext}"
MAX_STEM_CHARS = 200
TEMPLATE_NAMES = ("date", "time", "filename", "ext", "job_id", "kind", "format", "width", "height")
METADATA = "metadata."
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PART = re.compile(r"\{([^{}]*)\}|([{}])")
_LATER = {"date": "2026-01-01", "time": "000000", "ext": "jpeg", "format": "jpeg", "width": "10000", "height": "10000"}
"""The longest values of what is known only when the file is stored."""


@dataclass(frozen=True)
class S3Address:
    """An object, or a folder where the key is empty or ends in `/`."""

    bucket: str
    key: str

    @property
    def is_folder(self) -> bool:
        return not self.key or self.key.endswith("/")

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


@dataclass(frozen=True)
class OutputFacts:
    """What a template may name. `at_ms` is when the job started, in Unix milliseconds; sides are in pixels."""

    input: str
    job_id: str
    kind: str
    metadata: Mapping[str, str]
    at_ms: int
    format: str
    ext: str
    width: int | None
    height: int | None


def is_s3(address: str) -> bool:
    """Whether the address is meant to be one of S3."""
    return address[: len(SCHEME)].lower() == SCHEME


def parse_s3(address: str) -> S3Address:
    """The address of an object or a folder. Raises ValueError with the rule that it breaks."""
    if not is_s3(address):
        raise ValueError("must start with s3://")
    bucket, slash, key = address[len(SCHEME) :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("must name a bucket of 3 to 63 lower-case letters, digits, dots and hyphens: s3://bucket/key")
    if not slash:
        raise ValueError("must have a key behind the bucket: s3://bucket/key")
    _check_key(key)
    return S3Address(bucket, key)


def input_address(address: str) -> S3Address:
    """The address of an object that is to be read. Raises ValueError."""
    parsed = parse_s3(address)
    if parsed.is_folder:
        raise ValueError("must name an object, not a folder: s3://bucket/key")
    return parsed


def output_address(address: str) -> S3Address:
    """The address of an output, with its templates checked. Raises ValueError."""
    parsed = parse_s3(address)
    for name in _names(parsed.key):
        if name not in TEMPLATE_NAMES and not (name.startswith(METADATA) and name != METADATA):
            known = [f"{{{each}}}" for each in (*TEMPLATE_NAMES, f"{METADATA}KEY")]
            meant = nearest(name, TEMPLATE_NAMES)
            raise ValueError(f"has the unknown template {{{name[:80]}}}{meant}; known are {' '.join(known)}")
    return parsed


def metadata_keys(address: S3Address) -> list[str]:
    """The keys of metadata that the templates name."""
    return [name.removeprefix(METADATA) for name in _names(address.key) if name.startswith(METADATA)]


def check_rendered(address: S3Address, *, input: str, job_id: str, kind: str, metadata: Mapping[str, str]) -> None:
    """Raises ValueError where a job of these facts could get no key of S3, whatever its output is."""
    for key in metadata_keys(address):
        if not metadata.get(key):
            raise ValueError(f"has the template {{{METADATA}{key}}}, but metadata has no value for it")
    _check_key(_filled(address, {**_LATER, **_known(input, job_id, kind, metadata)}))


def rendered(address: S3Address, facts: OutputFacts) -> S3Address:
    """The address of the object, all templates replaced. Raises ValueError."""
    at = datetime.fromtimestamp(facts.at_ms / 1000, UTC)
    values = {
        **_known(facts.input, facts.job_id, facts.kind, facts.metadata),
        "date": f"{at:%Y-%m-%d}",
        "time": f"{at:%H%M%S}",
        "format": facts.format,
        "ext": facts.ext,
        "width": str(facts.width or 0),
        "height": str(facts.height or 0),
    }
    key = _filled(address, values)
    _check_key(key)
    return S3Address(address.bucket, key)


def input_stem(input: str) -> str:
    """The name of an input without folders and its extension; `file` where it has none."""
    path = input[len(SCHEME) :].partition("/")[2] if is_s3(input) else unquote(urlsplit(input).path)
    name = _CONTROL.sub("", path.replace("\\", "/").rpartition("/")[2]).encode(errors="ignore").decode()
    stem = name.rpartition(".")[0] or name
    return stem[:MAX_STEM_CHARS].strip(". ") or "file"


def _known(input: str, job_id: str, kind: str, metadata: Mapping[str, str]) -> dict[str, str]:
    own = {f"{METADATA}{key}": value for key, value in metadata.items()}
    return {**own, "filename": input_stem(input), "job_id": job_id, "kind": kind}


def _names(key: str) -> list[str]:
    names = []
    for match in _PART.finditer(key):
        if match[2]:
            raise ValueError(f"has a {match[2]} that belongs to no template such as {{date}}")
        names.append(match[1])
    return names


def _filled(address: S3Address, values: Mapping[str, str]) -> str:
    key = address.key + (DEFAULT_NAME if address.is_folder else "")
    # In one pass: a value may itself look like a template.
    return _PART.sub(lambda match: values[match[1]], key)


def _check_key(key: str) -> None:
    size = len(key.encode(errors="surrogatepass"))
    if size > MAX_KEY_BYTES:
        raise ValueError(f"must have a key of at most {MAX_KEY_BYTES} bytes, not {size}")
    if _CONTROL.search(key):
        raise ValueError("must have a key without control characters")
    if any(part in (".", "..") for part in key.split("/")):
        raise ValueError("must have a key without the parts . and ..")
