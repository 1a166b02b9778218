"""Media types: what a file is, by its first bytes and by its suffix."""

from __future__ import annotations

from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["image", "video", "audio"]

_BEGINNINGS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypavif", "image/avif"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypqt  ", "video/quicktime"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "video/x-ms-wmv"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"#!AMR", "audio/amr"),
    (4, b"ftypM4A ", "audio/mp4"),
)
"""Offset, bytes and media type. Source: the formats' own standards, and https://www.iana.org/assignments/media-types."""

_SUFFIXES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".flv": "video/x-flv",
    ".wmv": "video/x-ms-wmv",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/opus",
    ".amr": "audio/amr",
    ".aac": "audio/aac",
    ".m4a": "audio/mp4",
    ".3gp": "audio/3gpp",
}
_FORMATS = {
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/x-m4a": "m4a",
    "audio/3gpp": "3gp",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/x-flac": "flac",
}


def sniff(content: bytes, kind: Kind) -> str | None:
    """The media type of `content` by its first bytes; None when it is no `kind` that is known here."""
    found = next((media for at, start, media in _BEGINNINGS if content[at : at + len(start)] == start), None)
    if found is None:
        found = _container(content, kind)
    return found if found is not None and found.startswith(f"{kind}/") else None


def by_suffix(suffix: str, kind: Kind) -> str | None:
    """The media type of a file's suffix, e.g. ".mp4"; None when it is no `kind` that is known here."""
    found = _SUFFIXES.get(suffix.lower(), "")
    return found if found.startswith(f"{kind}/") else None


def audio_format(media_type: str) -> str:
    """The short name that OpenAI has for a kind of sound: "mp3" of "audio/mpeg"."""
    return _FORMATS.get(media_type, media_type.partition("/")[2])


def _container(content: bytes, kind: Kind) -> str | None:
    """What holds pictures or sound alike: taken for what was asked for."""
    if content[4:8] == b"ftyp" and kind != "image":  # pictures have brands of their own: the table names them
        return f"{kind}/mp4"
    if content.startswith(b"\x1aE\xdf\xa3"):
        return f"{kind}/webm" if b"webm" in content[:64] else f"{kind}/x-matroska"
    if len(content) > 1 and content[0] == 0xFF:  # frames of MPEG sound: 11 bits set, then version and layer
        if content[1] & 0xF6 == 0xF0:
            return "audio/aac"
        if content[1] & 0xE6 == 0xE2:
            return "audio/mpeg"
    return None
