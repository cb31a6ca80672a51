"""Writes HEIC as phones do: HEVC key frames as items of an ISO base media file (ISO/IEC 23008-12). libvips cannot.

The coded pictures come from x265: ffmpeg writes them to an mp4, from whose boxes they are taken.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tests.corpus.workshop import Recipe, Workshop, quarters

_X265 = "-frames:v 1 -c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params log-level=error:crf=4:info=0"
_FULL_BOX = bytes(4)


@dataclass(frozen=True)
class Property:
    """A box of `ipco`, and whether a reader has to understand it."""

    box: bytes
    essential: bool = False


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def rotation(quarter_turns: int) -> Property:
    """`irot`: counter-clockwise."""
    return Property(box(b"irot", bytes([quarter_turns])), essential=True)


def profile(icc: bytes) -> Property:
    """`colr` with an ICC profile."""
    return Property(box(b"colr", b"prof", icc))


def plain(
    width: int = 320,
    height: int = 240,
    *properties: Property,
    pixels: str = "yuv420p",
    tags: Sequence[tuple[bytes, bytes]] = (),
) -> Recipe:
    """One picture of the four colours, 8 or 10 bits, BT.601 in full range as phones write it.

    `tags` are further items that describe it: their type (for `mime` with the content type behind it) and content.
    """

    def make(shop: Workshop) -> None:
        coded = _coded(shop, "whole", width, height, pixels)
        shop.path.write_bytes(_file([coded], [(width, height)], properties, grid=None, tags=tags))

    return make


def grid(columns: int, rows: int, width: int, height: int, *properties: Property) -> Recipe:
    """The four colours in tiles of 160x160, as phones store photographs; the last ones reach beyond the picture."""
    side = 160

    def make(shop: Workshop) -> None:
        tiles = []
        for number in range(columns * rows):
            x, y = number % columns * side, number // columns * side
            cut = f"pad={columns * side}:{rows * side},crop={side}:{side}:{x}:{y}"
            tiles.append(_coded(shop, f"tile{number}", width, height, "yuv420p", cut))
        sizes = [(side, side)] * len(tiles)
        shop.path.write_bytes(_file(tiles, sizes, properties, grid=(columns, rows, width, height)))

    return make


def _coded(shop: Workshop, name: str, width: int, height: int, pixels: str, then: str = "") -> tuple[bytes, bytes]:
    """The decoder configuration (`hvcC`) and the coded picture."""
    source = quarters(width, height, seconds=0.1, matrix="smpte170m", range="pc", pixels=pixels, then=then)
    data = shop.ffmpeg(source, _X265, to=shop.part(f"{name}.mp4")).read_bytes()
    at = data.index(b"hvcC") - 4
    configuration = data[at : at + struct.unpack_from(">I", data, at)[0]]
    at = data.index(b"mdat") - 4
    return configuration, data[at + 8 : at + struct.unpack_from(">I", data, at)[0]]


def _file(
    coded: Sequence[tuple[bytes, bytes]],
    sizes: Sequence[tuple[int, int]],
    properties: Sequence[Property],
    grid: tuple[int, int, int, int] | None,
    tags: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """The items are numbered from 1; a grid is the last picture, and tags follow."""
    payloads = [picture for _, picture in coded]
    primary = 1
    if grid is not None:
        columns, rows, width, height = grid
        payloads.append(struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height))
        primary = len(payloads)
    payloads += [content for _, content in tags]
    kinds = [kind for kind, _ in tags]
    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    # Once with offsets of 0 to learn its length: they stand in fields of a fixed size.
    length = len(head) + len(_meta(coded, sizes, properties, grid, primary, [0] * len(payloads), payloads, kinds)) + 8
    offsets = [length + sum(map(len, payloads[:number])) for number in range(len(payloads))]
    meta = _meta(coded, sizes, properties, grid, primary, offsets, payloads, kinds)
    return head + meta + box(b"mdat", *payloads)


def _meta(
    coded: Sequence[tuple[bytes, bytes]],
    sizes: Sequence[tuple[int, int]],
    properties: Sequence[Property],
    grid: tuple[int, int, int, int] | None,
    primary: int,
    offsets: Sequence[int],
    payloads: Sequence[bytes],
    tags: Sequence[bytes],
) -> bytes:
    count = len(payloads)
    handler = box(b"hdlr", _FULL_BOX, bytes(4), b"pict", bytes(13))
    types = [b"hvc1"] * len(coded) + [b"grid"] * (grid is not None) + [*tags]
    hidden = 1 if grid is not None else 0
    entries = [
        box(b"infe", struct.pack(">BBHHH", 2, 0, hidden if kind == b"hvc1" else 0, number, 0), *_name(kind))
        for number, kind in enumerate(types, 1)
    ]
    infos = box(b"iinf", _FULL_BOX, struct.pack(">H", count), *entries)
    # Offsets and lengths of 4 bytes, no base offset, one extent each.
    places = [
        struct.pack(">HHHII", number, 0, 1, offset, len(payload))
        for number, offset, payload in zip(range(1, count + 1), offsets, payloads, strict=True)
    ]
    locations = box(b"iloc", _FULL_BOX, struct.pack(">HH", 0x4400, count), *places)
    references = b""
    if grid is not None:
        tiles = struct.pack(f">HH{len(coded)}H", primary, len(coded), *range(1, len(coded) + 1))
        references = box(b"iref", _FULL_BOX, box(b"dimg", tiles))
    elif tags:
        numbers = range(primary + 1, primary + 1 + len(tags))
        described = [box(b"cdsc", struct.pack(">HHH", number, 1, primary)) for number in numbers]
        references = box(b"iref", _FULL_BOX, *described)
    return box(
        b"meta",
        _FULL_BOX,
        handler,
        box(b"pitm", _FULL_BOX, struct.pack(">H", primary)),
        infos,
        references,
        _properties(coded, sizes, properties, grid, primary),
        locations,
    )


def _name(kind: bytes) -> tuple[bytes, bytes, bytes]:
    """The type of an item, its empty name, and its content type if it has one."""
    return kind[:4], b"\0", kind[4:]


def _properties(
    coded: Sequence[tuple[bytes, bytes]],
    sizes: Sequence[tuple[int, int]],
    properties: Sequence[Property],
    grid: tuple[int, int, int, int] | None,
    primary: int,
) -> bytes:
    boxes: list[bytes] = []
    by_item: dict[int, list[int]] = {}

    def add(item: int, content: bytes, essential: bool) -> None:
        boxes.append(content)
        by_item.setdefault(item, []).append(len(boxes) | (0x80 if essential else 0))

    for number, ((configuration, _), size) in enumerate(zip(coded, sizes, strict=True), 1):
        add(number, configuration, True)
        add(number, box(b"ispe", _FULL_BOX, struct.pack(">II", *size)), False)
    if grid is not None:
        add(primary, box(b"ispe", _FULL_BOX, struct.pack(">II", *grid[2:])), False)
    for each in properties:
        add(primary, each.box, each.essential)
    associations = [
        struct.pack(f">HB{len(numbers)}B", item, len(numbers), *numbers) for item, numbers in by_item.items()
    ]
    return box(
        b"iprp",
        box(b"ipco", *boxes),
        box(b"ipma", _FULL_BOX, struct.pack(">I", len(by_item)), *associations),
    )
