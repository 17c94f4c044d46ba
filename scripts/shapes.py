"""Draw a folder of shapes in random colours, sizes and places, in three class folders: data to try `dataset=folder` on.

python scripts/shapes.py shapes 2000
"""

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

KINDS = ("circle", "square", "triangle")


def colour(generator: random.Random, low: int, high: int) -> tuple[int, int, int]:
    return generator.randrange(low, high), generator.randrange(low, high), generator.randrange(low, high)


def shape(kind: str, generator: random.Random, side: int = 64) -> Image.Image:
    """A bright shape on a dark ground."""
    image = Image.new("RGB", (side, side), colour(generator, 0, 60))
    pen, fill = ImageDraw.Draw(image), colour(generator, 90, 256)
    radius = generator.randrange(side // 6, side // 3)
    x, y = (generator.randrange(radius + 1, side - radius - 1) for _ in range(2))
    box = (x - radius, y - radius, x + radius, y + radius)
    if kind == "circle":
        pen.ellipse(box, fill)
    elif kind == "square":
        pen.rectangle(box, fill)
    else:
        pen.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill)
    return image


def draw(folder: Path, n: int, side: int = 64) -> None:
    """Write n images, n/3 of each kind."""
    for i in range(n):
        path = folder / KINDS[i % 3] / f"{i:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape(KINDS[i % 3], random.Random(i), side).save(path)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), int(sys.argv[2]))
