"""Content parts: text, pictures, films and sound for a message, as OpenAI writes them.

    messages = [{"role": "user", "content": [content.text("What is this?"), content.image(Path("cat.png"))]}]

A `source` is a URL as str (`https:`, `http:`, `data:`, `oss:`), a `pathlib.Path` of a local file, or the bytes
themselves. A str never names a file: strings may come from an application's own users, and must not be able to read its
files. Who means a file says so with `Path(…)`. Files are read when the part is made, and travel inside of the request.

A provider has limits of its own for sizes, kinds and options; they are not checked here.
"""

from __future__ import annotations

import base64
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from qonduit._media import Kind, audio_format, by_suffix, sniff
from qonduit.errors import BadRequestError
from qonduit.messages import ContentPart

Source: TypeAlias = str | bytes | Path
"""A URL, the bytes, or a local file."""

_SCHEMES = ("https:", "http:", "data:", "oss:")


def text(text: str, *, cache: bool = False) -> ContentPart:
    """A part of text. `cache` marks the prompt up to here for the provider's prompt cache, where it has one."""
    return _part({"type": "text", "text": text}, cache=cache)


def image(
    source: Source,
    *,
    detail: str | None = None,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    cache: bool = False,
) -> ContentPart:
    """A part with a picture: a URL, a `Path` or bytes of PNG, JPEG, GIF, WebP, BMP, TIFF, HEIC or AVIF.

    What a file or bytes hold is told by their first bytes, not by a suffix. A str never names a file: see above.

    Args:
        source: the picture.
        detail: how closely the model looks, in OpenAI's words: "low", "high", "auto".
        min_pixels: smaller pictures are enlarged to so many pixels. One of Qwen's options, like `max_pixels`.
        max_pixels: larger pictures are shrunk to so many pixels.
        cache: mark the prompt up to here for the provider's prompt cache.

    Raises:
        BadRequestError: `source` is no URL, no picture, or a file that cannot be read.
    """
    options = _given(detail=detail, min_pixels=min_pixels, max_pixels=max_pixels)
    return _part({"type": "image_url", "image_url": {"url": _url(source, "image"), **options}}, cache=cache)


def video(
    source: Source | list[Source] | tuple[Source, ...],
    *,
    fps: float | None = None,
    max_frames: int | None = None,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    cache: bool = False,
) -> ContentPart:
    """A part with a film: a URL, a `Path` or bytes of one, or a list of its frames, each a source of `image`.

    The kind of a file is told by its suffix, else by its first bytes. A str never names a file: see above.

    Args:
        source: the film, or its frames in order.
        fps: so many frames of a second are looked at; of a list of frames, how many make a second.
        max_frames: so many frames are looked at in all.
        min_pixels: smaller frames are enlarged to so many pixels.
        max_pixels: larger frames are shrunk to so many pixels.
        cache: mark the prompt up to here for the provider's prompt cache.

    Raises:
        BadRequestError: `source` is no URL, no film, an empty list, or a file that cannot be read.
    """
    part: ContentPart
    match source:
        case list() | tuple() if not source:
            raise _refusal("video", "expected at least one frame, got an empty list")
        case list() | tuple():
            part = {"type": "video", "video": [_url(frame, "image") for frame in source]}
        case _:
            part = {"type": "video_url", "video_url": {"url": _url(source, "video")}}
    options = _given(fps=fps, max_frames=max_frames, min_pixels=min_pixels, max_pixels=max_pixels)
    return _part({**part, **options}, cache=cache)


def audio(source: Source, *, format: str | None = None, cache: bool = False) -> ContentPart:  # noqa: A002  # OpenAI's word
    """A part with sound: a URL as it is, or a `Path` or bytes as base64 with their format. A str never names a file.

    Args:
        source: the sound. OpenAI takes files and bytes only.
        format: "wav", "mp3", …. Default: by the file's suffix, the first bytes, or the URL.
        cache: mark the prompt up to here for the provider's prompt cache.

    Raises:
        BadRequestError: `source` is no URL, a file that cannot be read, or its format is not known.
    """
    if isinstance(source, str):
        data, media_type = _checked(source, "audio"), _media_type_of(source)
    else:
        content, suffix = _read(source, "audio")
        data, media_type = _base64(content), by_suffix(suffix, "audio") or sniff(content, "audio")
    if format is None and media_type is None:
        raise _refusal("audio", f"the format of {_name(source)} is not known. Say it: audio(…, format='wav')")
    return _part(
        {"type": "input_audio", "input_audio": {"data": data, "format": format or audio_format(media_type or "")}},
        cache=cache,
    )


def _part(part: ContentPart, *, cache: bool) -> ContentPart:
    return {**part, "cache_control": {"type": "ephemeral"}} if cache else part


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _url(source: Source, kind: Kind) -> str:
    if isinstance(source, str):
        return _checked(source, kind)
    content, suffix = _read(source, kind)
    media_type = by_suffix(suffix, kind) or sniff(content, kind)
    if media_type is None:
        what = "a picture" if kind == "image" else "a film"
        raise _refusal(
            kind, f"{_name(source)} is not recognised as {what}. If it is one, pass a data URL that says its media type"
        )
    return f"data:{media_type};base64,{_base64(content)}"


def _checked(url: str, kind: Kind) -> str:
    if url[:6].lower().startswith(_SCHEMES):
        return url
    raise _refusal(
        kind,
        f"a str is taken for a URL ({', '.join(_SCHEMES)}), and this one is none. For a local file pass Path(…): "
        "a string, which may come from a user, never reads files",
    )


def _read(source: bytes | Path, kind: Kind) -> tuple[bytes, str]:
    """The bytes, and the suffix of their file; "" when they have none."""
    match source:
        case bytes():
            content, suffix = source, ""
        case Path():
            content, suffix = _read_file(source, kind), source.suffix
        case _:
            raise _refusal(kind, f"expected a URL as str, a Path or bytes, got {type(source).__name__}")
    if not content:
        raise _refusal(kind, f"{_name(source)} is empty")
    return content, suffix


def _read_file(path: Path, kind: Kind) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a directory; a device or a pipe might never end
            raise _refusal(kind, f"{path} is not a file")
        return path.read_bytes()
    except FileNotFoundError:
        raise _refusal(kind, f"{path} does not exist") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise _refusal(kind, f"{path} cannot be read: {reason}") from None


def _media_type_of(url: str) -> str | None:
    """What a URL says of its kind of sound: a data URL its media type, another one its path's suffix."""
    if url[:5].lower() == "data:":
        media_type = url[5:].partition(",")[0].partition(";")[0].lower()
        return media_type if media_type.startswith("audio/") else None
    return by_suffix(PurePosixPath(url.partition("?")[0].partition("#")[0]).suffix, "audio")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _name(source: Source) -> str:
    match source:
        case Path():
            return str(source)
        case bytes():
            return "the content"
        case _:
            return "the URL"


def _refusal(kind: Kind, reason: str) -> BadRequestError:
    return BadRequestError(f"The request was not sent: {kind}: {reason}.", outcome="not_sent")
