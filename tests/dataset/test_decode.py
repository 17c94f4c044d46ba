"""Pixels of files of every kind, compared with what they must be."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vae_exp.dataset.decode import Unreadable, in_parallel, read_header, read_pixels

STEPS = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
WIDE = np.array([[0, 257 * 100], [128, 65535]], dtype=np.uint16)
RED = (255, 0, 0)
LOSSLESS = {"webp": {"lossless": True}, "jpg": {"quality": 100}}


def saved(tmp_path, image, suffix="png", **options):
    path = tmp_path / f"image.{suffix}"
    image.save(path, **LOSSLESS.get(suffix, {}), **options)
    return path


def palette(*colours, index=1):
    image = Image.new("P", (2, 2), index)
    image.putpalette([value for colour in colours for value in colour])
    return image


def with_exif(orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, colour, pixels):
    """A PNG file of a kind that Pillow does not write."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
def test_grey_and_colours_of_every_format_are_the_pixels_of_the_file(tmp_path, suffix):
    grey = saved(tmp_path, Image.fromarray(STEPS), suffix)
    assert read_pixels(grey, 1, None)[0] == pytest.approx(STEPS, abs=3 if suffix == "jpg" else 0)
    assert read_pixels(grey, 3, None).tolist() == [read_pixels(grey, 1, None)[0].tolist()] * 3
    colours = saved(tmp_path, Image.new("RGB", (2, 1), (200, 100, 50)), suffix)
    expected = np.array([[[200] * 2], [[100] * 2], [[50] * 2]])
    assert read_pixels(colours, 3, None) == pytest.approx(expected, abs=3 if suffix == "jpg" else 0)


@pytest.mark.parametrize(
    ("image", "suffix", "options", "expected"),
    [
        (palette((0, 0, 0), RED), "png", {}, RED),
        (palette((0, 0, 0), RED), "bmp", {}, RED),
        (palette((0, 0, 0), RED), "tif", {}, RED),
        (palette((0, 0, 0), RED), "png", {"transparency": 1}, (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (10, 20, 30, 0)), "png", {}, (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (10, 20, 30, 255)), "webp", {}, (10, 20, 30)),
        (Image.new("RGBA", (2, 2), (0, 100, 200, 51)), "png", {}, (204, 224, 244)),
        (Image.new("LA", (2, 2), (100, 51)), "png", {}, (224, 224, 224)),
        (Image.new("L", (2, 2), 5), "png", {"transparency": 5}, (255, 255, 255)),
        (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "jpg", {}, RED),
        (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "tif", {}, RED),
        (Image.new("YCbCr", (2, 2), (50, 128, 128)), "tif", {}, (50, 50, 50)),
        (Image.new("1", (2, 2), 1), "png", {}, (255, 255, 255)),
        (Image.new("1", (2, 2), 0), "tif", {}, (0, 0, 0)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_other_modes_become_eight_bit_colours_on_white(tmp_path, image, suffix, options, expected):
    pixels = read_pixels(saved(tmp_path, image, suffix, **options), 3, None)
    assert pixels.tolist() == [[[value] * 2] * 2 for value in expected]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_greys_are_scaled_and_not_clipped(tmp_path, suffix):
    path = saved(tmp_path, Image.fromarray(WIDE), suffix)
    assert read_pixels(path, 1, None).tolist() == [[[0, 100], [0, 255]]]
    assert read_header(path).grey


def test_sixteen_bit_colours_are_scaled(tmp_path):
    (tmp_path / "a.png").write_bytes(png(1, 1, 16, 2, b"\0" + struct.pack(">HHH", 2570, 5140, 65535)))
    assert read_pixels(tmp_path / "a.png", 3, None).ravel().tolist() == [10, 20, 255]


def test_colours_become_grey_by_their_luma(tmp_path):
    path = saved(tmp_path, Image.new("RGB", (1, 1), (200, 100, 50)))
    assert read_pixels(path, 1, None).item() == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, STEPS),
        (2, STEPS[:, ::-1]),
        (3, STEPS[::-1, ::-1]),
        (4, STEPS[::-1]),
        (5, STEPS.T),
        (6, np.rot90(STEPS, -1)),
        (7, np.rot90(STEPS.T, 2)),
        (8, np.rot90(STEPS)),
    ],
)
def test_the_orientation_is_obeyed(tmp_path, suffix, orientation, upright):
    path = saved(tmp_path, Image.fromarray(STEPS), suffix, exif=with_exif(orientation))
    assert read_pixels(path, 1, None)[0] == pytest.approx(upright, abs=3)
    header = read_header(path)
    assert (header.height, header.width) == upright.shape


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_the_first_frame_is_read(tmp_path, suffix):
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, frames[0], suffix, save_all=True, append_images=frames[1:])
    assert read_pixels(path, 3, None)[:, 0, 0].tolist() == list(RED)


def test_an_image_covers_the_size_and_its_centre_is_cut_out(tmp_path):
    stripes = np.repeat(np.array([0, 50, 100, 150, 200, 250], dtype=np.uint8), 4)[None].repeat(8, 0)
    path = saved(tmp_path, Image.fromarray(stripes))  # 8×24
    assert read_pixels(path, 1, (8, 8))[0, 0].tolist() == [100] * 4 + [150] * 4
    assert read_pixels(path, 1, (4, 4)).shape == (1, 4, 4)
    assert read_pixels(path, 1, (1, 100)).shape == (1, 1, 100)
    assert read_pixels(path, 1, (8, 24))[0].tolist() == stripes.tolist()


def test_a_grey_palette_is_grey(tmp_path):
    assert read_header(saved(tmp_path, palette((0, 0, 0), (77, 77, 77)))).grey
    assert not read_header(saved(tmp_path, palette((0, 0, 0), RED))).grey


def bad(tmp_path):
    whole = saved(tmp_path, Image.effect_noise((32, 32), 50)).read_bytes()
    yield whole[:-100], "truncated|Truncated|broken"
    yield b"", "it is empty"
    yield b"no image", "it is none of PNG, JPEG, BMP, TIFF and WebP"
    yield b"GIF89a" + bytes(30), "it is none of PNG"
    yield png(60_000, 60_000, 8, 0, b""), "it has more than 89,478,485 pixels"
    yield png(10_000, 10_000, 8, 0, b""), "it has more than 89,478,485 pixels"
    yield saved(tmp_path, Image.new("F", (2, 2), 0.5), "tif").read_bytes(), "32 bits"


def test_a_file_that_cannot_be_read_says_why_and_the_others_keep_their_order(tmp_path):
    contents, reasons = zip(*bad(tmp_path), strict=True)
    paths = [tmp_path / f"{i}.png" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    good = saved(tmp_path, Image.fromarray(STEPS))
    files = [good, *paths, good, tmp_path / "none"]
    with in_parallel(lambda path: read_pixels(path, 1, None), files, "") as read:
        results = list(read)
    assert [isinstance(result, Unreadable) for result in results] == [False, *[True] * len(paths), False, True]
    for result, reason in zip(results[1:], reasons, strict=False):
        assert any(word in result.reason for word in reason.split("|")), result
    assert results[-1].reason == "No such file or directory"
