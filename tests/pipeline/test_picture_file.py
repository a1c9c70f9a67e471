"""Picture files that are legal and yet meant to hurt."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pipeline.errors import BadFrame, FrameTooLarge
from pipeline.picture_file import decode
from pipeline.picture_parts import MAX_EXIF, MAX_PARTS, MAX_SCANS, read
from pipeline.worker.memory import MAX_PIXELS, MAX_SIDE
from tests.fuzz.bombs import BOMBS, chunk, costs, jpeg, png, scans, segment, small_jpeg

REFUSED_MS, REFUSED_MB = 50, 50  # what it may cost to refuse a picture
TAKEN_MS, TAKEN_MB = 200, 60  # and to decode the largest of the most laborious kind

SMALL_JPEG = small_jpeg()


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_no_file_costs_more_than_a_picture_does(name: str) -> None:
    """Two million empty comments cost 2.9 s and 138 MB, sixty texts 60 MB. Time is doubled, for machines are busy."""
    outcome, seconds, megabytes = costs(name)
    refused = outcome in ("bad_image", "frame_too_large")
    assert seconds * 1000 < 2 * (REFUSED_MS if refused else TAKEN_MS)
    assert megabytes < (REFUSED_MB if refused else TAKEN_MB)


@pytest.mark.parametrize(
    "name", ["png unknown chunks", "jpeg 2 million empty comments", "jpeg above the limit of scans"]
)
def test_files_of_endless_parts_are_refused(name: str) -> None:
    with pytest.raises(BadFrame, match="too many"):
        decode(BOMBS[name]())


@pytest.mark.parametrize("missing", [1, 8, 12, 13, 40])
def test_png_that_is_cut_short_is_no_picture(missing: int) -> None:
    """The end is not put back in its place: half a picture would be sent as a whole one."""
    with pytest.raises(BadFrame, match="cut short"):
        decode(png(8, 8)[:-missing])


def test_usual_progressive_picture() -> None:
    frame, file_format = decode(jpeg(progressive=True))
    assert (frame.width, frame.height, file_format) == (1920, 1088, "jpeg")


def test_scans_at_the_limit_and_one_above() -> None:
    assert read(scans(MAX_SCANS)).file_format == "jpeg"
    with pytest.raises(BadFrame, match="too many scans"):
        read(scans(MAX_SCANS + 1))


def test_parts_at_the_limit_and_one_above() -> None:
    chunks = MAX_PARTS - 3  # beside the header, the pixels and the end
    assert decode(png(8, 8, extra=chunk(b"teSt", b"") * chunks))[1] == "png"
    with pytest.raises(BadFrame, match="too many chunks"):
        decode(png(8, 8, extra=chunk(b"teSt", b"") * (chunks + 1)))
    segments = MAX_PARTS - len(segments_of(SMALL_JPEG)) - 1  # and the scan
    assert decode(with_comments(segments))[1] == "jpeg"
    with pytest.raises(BadFrame, match="too many segments"):
        decode(with_comments(segments + 1))


def segments_of(data: bytes) -> list[int]:
    """The markers before the first scan."""
    kinds, position = [], 2
    while data[position + 1] != 0xDA:
        kinds.append(data[position + 1])
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    return kinds


def with_comments(count: int) -> bytes:
    return SMALL_JPEG[:2] + segment(0xFE, b"") * count + SMALL_JPEG[2:]


@pytest.mark.parametrize(
    ("width", "height", "taken"),
    [
        (MAX_SIDE, 8, True),
        (MAX_SIDE + 1, 8, False),
        (8, MAX_SIDE, True),
        (8, MAX_SIDE + 1, False),
        (1920, MAX_PIXELS // 1920, True),
        (1921, MAX_PIXELS // 1920, False),
        (0, 8, False),
    ],
)
def test_sizes_at_the_limit_and_one_above(width: int, height: int, taken: bool) -> None:
    if taken:
        frame, _ = decode(png(width, height, 1, 0))
        assert (frame.width, frame.height) == (width, height)
    else:
        with pytest.raises(FrameTooLarge):
            decode(png(width, height, 1, 0))


def test_what_does_not_make_the_picture_is_left_out() -> None:
    texts = chunk(b"zTXt", b"k\0\0") + chunk(b"iCCP", b"k\0\0") + chunk(b"acTL", bytes(8))
    assert read(png(8, 8, extra=texts, after=texts)).data == png(8, 8)
    comments = segment(0xFE, b"note") + segment(0xE2, b"ICC_PROFILE\0")
    assert read(SMALL_JPEG[:2] + comments + SMALL_JPEG[2:]).data == SMALL_JPEG


def test_which_side_is_up_is_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "PNG"):
        buffer = io.BytesIO()
        Image.new("RGB", (16, 8)).save(buffer, kind, exif=exif)
        frame, _ = decode(buffer.getvalue())
        assert (frame.width, frame.height) == (8, 16)
    at_limit = chunk(b"eXIf", bytes(MAX_EXIF - 12))
    assert at_limit in read(png(8, 8, extra=at_limit)).data
    assert b"eXIf" not in read(png(8, 8, extra=chunk(b"eXIf", bytes(MAX_EXIF - 11)))).data


def test_stereo_pair_counts_as_the_jpeg_that_it_begins_with() -> None:
    buffer = io.BytesIO()
    image = Image.new("RGB", (64, 48), (200, 10, 10))
    image.save(buffer, "MPO", save_all=True, append_images=[image])
    frame, file_format = decode(buffer.getvalue())
    assert (frame.width, frame.height, file_format) == (64, 48, "jpeg")
