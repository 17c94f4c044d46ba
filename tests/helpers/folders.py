"""Folders of images that tests write."""

from pathlib import Path

from PIL import Image


def draw(root: Path, *names: str, size=(4, 4), mode="RGB", colour=None) -> None:
    """Image files, each of its own brightness."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shade = 10 + 3 * i
        default = shade if mode == "L" else (shade, 0, 255 - shade)
        Image.new(mode, size, default if colour is None else colour).save(root / name)


def numbered(folder: str, n: int) -> list[str]:
    return [f"{folder}/{i:02}.png".lstrip("/") for i in range(n)]


def pairs(root):
    draw(root, *numbered("cats", 3), *numbered("dogs", 3))


def broken(root, n, content=b"no image"):
    for i in range(n):
        (root / f"broken{i}.png").write_bytes(content)


def cut(root, n):
    draw(root, *(f"cut{i}.png" for i in range(n)), size=(40, 40))
    for path in root.glob("cut*"):
        path.write_bytes(path.read_bytes()[:70])


def touched(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
