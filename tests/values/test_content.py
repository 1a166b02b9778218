"""Content parts: what is sent of text, pictures, films and sound, and what is refused."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.parts import builder, chat

from qonduit import BadRequestError
from qonduit.content import audio, image, text, video

URL = "https://example.test/cat.png?size=2"
PNG = b"\x89PNG\r\n\x1a\n...."
JPEG = b"\xff\xd8\xff\xe0...."
MP4 = b"\x00\x00\x00\x18ftypisom...."
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


PARTS: list[tuple[Any, dict[str, Any]]] = [
    (text("Hi"), {"type": "text", "text": "Hi"}),
    (text("Hi", cache=True), {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}),
    (image(URL), {"type": "image_url", "image_url": {"url": URL}}),
    (
        image(URL, detail="low", min_pixels=4, max_pixels=0, cache=True),
        {
            "type": "image_url",
            "image_url": {"url": URL, "detail": "low", "min_pixels": 4, "max_pixels": 0},
            "cache_control": {"type": "ephemeral"},
        },
    ),
    (image(PNG), {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(PNG)}"}}),
    (video(URL), {"type": "video_url", "video_url": {"url": URL}}),
    (
        video(URL, fps=0.5, max_frames=9, min_pixels=1, max_pixels=2, cache=True),
        {
            "type": "video_url",
            "video_url": {"url": URL},
            "fps": 0.5,
            "max_frames": 9,
            "min_pixels": 1,
            "max_pixels": 2,
            "cache_control": {"type": "ephemeral"},
        },
    ),
    (video(MP4), {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{encoded(MP4)}"}}),
    (
        video([URL, JPEG], fps=2),
        {"type": "video", "video": [URL, f"data:image/jpeg;base64,{encoded(JPEG)}"], "fps": 2},
    ),
    (video((URL,)), {"type": "video", "video": [URL]}),
    (audio(WAV), {"type": "input_audio", "input_audio": {"data": encoded(WAV), "format": "wav"}}),
    (audio(b"raw", format="pcm"), {"type": "input_audio", "input_audio": {"data": encoded(b"raw"), "format": "pcm"}}),
    (
        audio("https://example.test/a.MP3?x=/b.wav#c.ogg", cache=True),
        {
            "type": "input_audio",
            "input_audio": {"data": "https://example.test/a.MP3?x=/b.wav#c.ogg", "format": "mp3"},
            "cache_control": {"type": "ephemeral"},
        },
    ),
    (
        audio("data:audio/x-wav;base64,UklGRg=="),
        {"type": "input_audio", "input_audio": {"data": "data:audio/x-wav;base64,UklGRg==", "format": "wav"}},
    ),
    (
        audio("https://[bad/a", format="wav"),
        {"type": "input_audio", "input_audio": {"data": "https://[bad/a", "format": "wav"}},
    ),
]


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_the_shape_of_a_part(part: Any, expected: dict[str, Any]) -> None:
    """Parts are plain mappings as OpenAI writes them; what was not said is not there."""
    assert part == expected


@pytest.mark.parametrize("url", ["https://a/b", "HTTPS://a/b", "http://a/b", "data:image/png;base64,AA==", "oss://b/c"])
def test_urls_stand_as_they_are(url: str) -> None:
    """A URL is sent as it was given, never fetched, and never changed."""
    assert image(url)["image_url"]["url"] == url
    assert video(url)["video_url"]["url"] == url
    assert video([url])["video"] == [url]
    assert audio(url, format="wav")["input_audio"]["data"] == url


MAKERS = [image, video, lambda source: video([source]), lambda source: audio(source, format="wav")]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "form", ["{}", "file://{}", "FILE://{}", "file:{}", " https:{}", "ftp://a{}", "", "data", "~/.ssh/id_rsa"]
)
def test_a_string_never_reads_a_file(make: Any, form: str, tmp_path: Path) -> None:
    """A string that is no URL is refused, also when it is the name of a file; the message says what to pass instead."""
    (tmp_path / "secret.png").write_bytes(PNG)
    given = form.format(tmp_path / "secret.png")
    with pytest.raises(BadRequestError, match=r"pass Path\(…\)") as caught:
        make(given)
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
    assert "secret" not in str(caught.value)


IMAGES = [
    (PNG, "image/png"),
    (JPEG, "image/jpeg"),
    (b"GIF87a..", "image/gif"),
    (b"GIF89a..", "image/gif"),
    (b"BM......", "image/bmp"),
    (b"II*\x00....", "image/tiff"),
    (b"MM\x00*....", "image/tiff"),
    (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
    (b"\x00\x00\x00\x18ftypheic....", "image/heic"),
    (b"\x00\x00\x00\x18ftypavif....", "image/avif"),
]
VIDEOS = [
    (MP4, "video/mp4"),
    (b"\x00\x00\x00\x14ftypqt  ....", "video/quicktime"),
    (b"\x1aE\xdf\xa3....webm", "video/webm"),
    (b"\x1aE\xdf\xa3....matroska", "video/x-matroska"),
    (b"RIFF\x24\x00\x00\x00AVI LIST", "video/x-msvideo"),
    (b"FLV\x01....", "video/x-flv"),
    (b"\x00\x00\x01\xba....", "video/mpeg"),
]
SOUNDS = [
    (WAV, "wav"),
    (b"ID3\x04....", "mp3"),
    (b"\xff\xfb\x90\x00", "mp3"),
    (b"\xff\xf3\x90\x00", "mp3"),
    (b"\xff\xf1\x50\x80", "aac"),
    (b"fLaC....", "flac"),
    (b"OggS....", "ogg"),
    (b"#!AMR\n..", "amr"),
    (b"\x00\x00\x00\x18ftypM4A ....", "m4a"),
    (b"\x1aE\xdf\xa3....webm", "webm"),
]


@pytest.mark.parametrize(("content", "media_type"), IMAGES)
def test_the_kind_of_a_picture(content: bytes, media_type: str, tmp_path: Path) -> None:
    """A picture's media type is told by its first bytes, whatever its file is called."""
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    url = f"data:{media_type};base64,{encoded(content)}"
    assert image(content) == image(path) == {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(("content", "media_type"), VIDEOS)
def test_the_kind_of_a_film(content: bytes, media_type: str, tmp_path: Path) -> None:
    """A film's media type is told by its file's suffix, and without one by its first bytes."""
    path = tmp_path / "film.MOV"
    path.write_bytes(content)
    assert video(path)["video_url"]["url"] == f"data:video/quicktime;base64,{encoded(content)}"
    bare = path.rename(tmp_path / "film")
    assert video(content) == video(bare)
    assert video(content)["video_url"]["url"] == f"data:{media_type};base64,{encoded(content)}"


@pytest.mark.parametrize(("content", "form"), SOUNDS)
def test_the_format_of_sound(content: bytes, form: str, tmp_path: Path) -> None:
    """The format of sound is what was said, else told by the file's suffix, else by the first bytes."""
    path = tmp_path / "sound.m4a"
    path.write_bytes(content)
    assert audio(path)["input_audio"] == {"data": encoded(content), "format": "m4a"}
    assert audio(path, format="wav")["input_audio"]["format"] == "wav"
    bare = path.rename(tmp_path / "sound.xyz")
    assert audio(content) == audio(bare)
    assert audio(content)["input_audio"] == {"data": encoded(content), "format": form}


@pytest.mark.parametrize("make", MAKERS)
def test_a_file_that_cannot_be_read_is_named(make: Any, tmp_path: Path) -> None:
    """A missing or empty file, a directory and a device are refused; the message names the file."""
    empty = tmp_path / "empty.png"
    empty.touch()
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    cases = [
        (tmp_path / "none.png", "does not exist"),
        (tmp_path, "is not a file"),
        (pipe, "is not a file"),
        (empty, "is empty"),
        (tmp_path / "a\0.png", "cannot be read"),
        (tmp_path / ("x" * 300), "cannot be read"),
        (empty / "inside", "cannot be read"),
    ]
    for path, reason in cases:
        with pytest.raises(BadRequestError) as caught:
            make(path)
        assert f"{path} {reason}" in str(caught.value)
        assert caught.value.outcome == "not_sent"


def test_a_file_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is refused by name, with the system's reason."""
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # a test may run as root, whom no file refuses
    with pytest.raises(BadRequestError, match=r"cat\.png cannot be read: Permission denied\.$"):
        image(path)


REFUSED: list[tuple[Any, Any, str]] = [
    (image, b"", "the content is empty"),
    (image, b"<html>", "the content is not recognised as a picture"),
    (image, WAV, "the content is not recognised as a picture"),
    (video, b"....", "the content is not recognised as a film"),
    (video, PNG, "the content is not recognised as a film"),
    (video, [], "at least one frame"),
    (video, [MP4[:8]], "image: the content is not recognised as a picture"),
    (audio, PNG, "Say it: audio(…, format='wav')"),
    (audio, "https://example.test/sound", "the format of the URL is not known"),
    (audio, "data:text/plain,x", "the format of the URL is not known"),
    (image, 3, "expected a URL as str, a Path or bytes, got int"),
    (image, None, "got NoneType"),
    (video, {"url": URL}, "got dict"),
    (audio, bytearray(WAV), "got bytearray"),
]


@pytest.mark.parametrize(("make", "source", "part"), REFUSED)
def test_what_is_no_source(make: Any, source: Any, part: str) -> None:
    """What is no picture, film or sound is refused before anything is sent; the message says what it is not."""
    with pytest.raises(BadRequestError) as caught:
        make(source)
    assert str(caught.value).startswith("The request was not sent: ")
    assert part in str(caught.value)
    assert caught.value.outcome == "not_sent"


def test_a_picture_of_another_kind_is_named(tmp_path: Path) -> None:
    """A file that is called a picture and is none is refused by name."""
    path = tmp_path / "cat.png"
    path.write_bytes(b"<html>")
    with pytest.raises(BadRequestError, match=r"cat\.png is not recognised as a picture"):
        image(path)


def test_the_native_wire_takes_the_parts() -> None:
    """Each part becomes one of the native wire's, with its options beside it."""
    parts = [
        text("Hi", cache=True),
        image(URL, min_pixels=1),
        video(URL, fps=2),
        video([URL], fps=1),
        audio(WAV),
        audio(URL, format="wav"),
    ]
    request = chat(model="qwen3-omni-flash", messages=[{"role": "user", "content": parts}])
    body = json.loads(builder("dashscope").build(request).content)
    assert body["input"]["messages"][0]["content"] == [
        {"text": "Hi", "cache_control": {"type": "ephemeral"}},
        {"image": URL, "min_pixels": 1},
        {"video": URL, "fps": 2},
        {"video": [URL], "fps": 1},
        {"audio": f"data:audio/wav;base64,{encoded(WAV)}"},
        {"audio": URL},
    ]
