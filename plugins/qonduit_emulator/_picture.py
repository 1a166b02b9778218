"""The size of a picture in pixels, from its first bytes: PNG, GIF, JPEG, BMP and WebP."""

from __future__ import annotations

import base64
import struct

MAX_HEADER_CHARACTERS = 256 * 1024
"""So much of the base64 text is looked at; the header is at the beginning."""

_JPEG_SIZES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


def picture_size(data: str) -> tuple[int, int] | None:
    """Width and height of a base64 picture; `None` when it is no picture this server can read."""
    beginning = data[: MAX_HEADER_CHARACTERS // 4 * 4].replace("-", "+").replace("_", "/")
    try:
        head = base64.b64decode(beginning + "=" * (-len(beginning) % 4))
        return _size(head)
    except (ValueError, struct.error, IndexError):
        return None


def _size(head: bytes) -> tuple[int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return _pair(">II", head, 16)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _pair("<HH", head, 6)
    if head.startswith(b"BM"):
        width, height = _pair("<ii", head, 18)
        return width, abs(height)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp_size(head)
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    return None


def _pair(form: str, head: bytes, offset: int) -> tuple[int, int]:
    first, second = struct.unpack_from(form, head, offset)
    return int(first), int(second)


def _webp_size(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8 ":
            width, height = _pair("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
        case b"VP8X" if len(head) >= 30:
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Walk the segments to the one that states the frame's size."""
    position = 2
    while head[position] == 0xFF:
        marker = head[position + 1]
        if marker in _JPEG_SIZES:
            height, width = _pair(">HH", head, position + 5)
            return width, height
        (length,) = struct.unpack_from(">H", head, position + 2)
        position += 2 + max(length, 2)
    return None
