"""Images that stay in host memory or on disk: the same numbers as from the device's memory."""

import numpy as np
import pytest
import torch

from vae_exp.dataset import Images, Info, Source, Splits
from vae_exp.dataset.host import HostImages
from vae_exp.results.metrics import read_metrics

CPU = torch.device("cpu")
QUICK = ["network.hidden_sizes=[8]", "architecture.latent_dim=2", "logger=none", "callbacks.figures=null"]
QUICK += ["dataset.validation_size=30", "dataset.batch_size=20", "callbacks.evaluate.decades=0.5"]
CLOCK = {"seconds", "evaluation_seconds", "steps_per_second"}


class Mapped(Source):
    """Random images in a memory-mapped file."""

    def __init__(self, root: str) -> None:
        self.root = root

    def describe(self) -> Info:
        return Info((1, 4, 5), ("a", "b"))

    def load(self) -> Splits:
        pixels = torch.from_numpy(np.load(self.root, mmap_mode="c"))
        images = Images(pixels, torch.arange(len(pixels)) % 2, on_disk=True)
        return Splits(images[:200], images[200:])


@pytest.fixture
def mapped(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (250, 1, 4, 5), dtype=np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    source = [f"dataset.source._target_={__name__}.Mapped", f"dataset.source.root={tmp_path / 'pixels.npy'}"]
    return [*source, *QUICK]


def rows(outcome):
    assert outcome.status == 0, outcome.err
    table = read_metrics(outcome.directory / "metrics.csv")
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in table]


@pytest.mark.parametrize(
    "choices",
    [["dataset.binarization=dynamic"], ["architecture=m2", "architecture.labelled_per_batch=4", "dataset.labels=10"]],
    ids=lambda choices: choices[0],
)
def test_the_numbers_do_not_depend_on_the_place(run, mapped, choices):
    words = ["samples=530", *choices, *mapped]
    device, host, disk = (run(*words, f"dataset.placement={place}") for place in ("device", "host", "disk"))
    assert rows(device) == rows(host) == rows(disk)
    assert "The images stay on disk" in disk.out + disk.err


def test_a_run_from_disk_goes_on_exactly(run, mapped):
    words = [*mapped, "dataset.placement=disk", "dataset.binarization=dynamic"]
    whole, part = run("samples=530", *words), run("samples=280", *words)
    assert run(f"resume={part.directory}", "samples=530", f"trust={__name__}").status == 0
    assert rows(part)[-1] == rows(whole)[-1]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (
            ["dataset.binarization=static", "dataset.placement=disk"],
            "dataset.binarization=static: computes all images",
        ),
        (["dataset.placement=cloud"], "dataset.placement=cloud"),
    ],
)
def test_a_place_without_meaning_is_refused(run, mapped, choices, message):
    outcome = run("samples=100", *mapped, *choices)
    assert outcome.status == 1
    assert message in outcome.err


def test_images_in_memory_cannot_stay_on_disk(run, few_digits):
    outcome = run("samples=100", "dataset.placement=disk", *QUICK)
    assert outcome.status == 1
    assert "dataset.placement=disk: this dataset is not an array on disk" in outcome.err


def test_batches_are_read_ahead_and_the_rest_is_not_read():
    pixels = torch.arange(40, dtype=torch.uint8).view(10, 1, 2, 2)
    images = HostImages(pixels, torch.arange(10), CPU).select(torch.tensor([9, 3, 5, 7]))
    asked = []

    def indices():
        for index in ([0, 1], [2], [3]):
            asked.append(index)
            yield torch.tensor(index)

    read = images.ahead(indices())
    first = next(read)
    assert asked == [[0, 1], [2]]
    assert torch.equal(first.pixels, pixels[[9, 3]])
    assert first.labels.tolist() == [9, 3]
    read.close()
    assert asked == [[0, 1], [2]]
    assert [batch.labels.tolist() for batch in images.ahead(indices())] == [[9, 3], [5], [7]]
    assert torch.equal(images[:2].pixels, pixels[[9, 3]])
    assert list(images.ahead([])) == []
