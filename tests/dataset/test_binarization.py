import numpy as np
import pytest
import torch
from written import npz

from vae_exp.dataset import Dataset
from vae_exp.dataset.arrays import Arrays
from vae_exp.dataset.binarization import BINARIZE, dequantised
from vae_exp.dataset.kmnist import KMNIST
from vae_exp.errors import ConfigError

CPU = torch.device("cpu")


class TestBinarization:
    pixels = torch.tensor([0, 51, 127, 128, 255], dtype=torch.uint8).repeat(20_000, 1)

    def test_none_is_grey(self):
        torch.testing.assert_close(BINARIZE["none"](self.pixels[0]), torch.tensor([0, 0.2, 127 / 255, 128 / 255, 1]))

    def test_threshold_is_at_one_half(self):
        assert BINARIZE["threshold"](self.pixels[0]).tolist() == [0, 0, 0, 1, 1]

    def test_dynamic_is_drawn_anew_each_time(self):
        draws = [BINARIZE["dynamic"](self.pixels) for _ in range(2)]
        assert not torch.equal(*draws)
        assert set(draws[0].unique().tolist()) == {0, 1}
        torch.testing.assert_close(draws[0].mean(0), self.pixels[0] / 255, rtol=0, atol=0.015)

    def test_static_is_drawn_once_by_the_split_seed(self, small_data):
        def served(split_seed):
            data = Dataset(KMNIST(str(small_data)), binarization="static", split_seed=split_seed)
            data.load(CPU)
            return [next(iter(data.evaluation_batches("train", 120)))[0] for _ in range(2)]

        first, again = served(0)
        assert torch.equal(first, again)
        assert set(first.unique().tolist()) == {0, 1}
        assert torch.equal(first, served(0)[0])
        assert not torch.equal(first, served(1)[0])


class TestDequantise:
    def test_noise_is_drawn_anew_and_keeps_every_pixel_in_the_cell_of_its_level(self):
        pixels = torch.arange(256, dtype=torch.uint8).repeat(1000, 1)
        one, other = dequantised(pixels), dequantised(pixels)
        assert not torch.equal(one, other)
        assert torch.equal((256 * one).floor(), pixels.float())
        torch.testing.assert_close(one.mean(0), (pixels[0] + 0.5) / 256, rtol=0, atol=2e-4)

    def test_a_run_trains_on_the_pixels_and_goes_on_exactly(self, run, few_digits):
        quick = ["dataset.dequantise=true", "likelihood=gaussian", "network.hidden_sizes=[8]", "logger=none"]
        quick += ["callbacks.figures=null", "callbacks.evaluate.decades=0.3"]
        whole, stopped = run("samples=600", *quick), run("samples=300", *quick)
        assert run(f"resume={stopped.directory}", "samples=600").status == 0
        keys = ["test/bound", "test/bits_per_dim"]
        assert [whole.results[key] for key in keys] == [stopped.results[key] for key in keys]

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["dataset.binarization=dynamic"], "is for pixels of 256 levels that are not binarized"),
            (["likelihood=categorical"], "is for densities, and this Categorical gives probabilities"),
            (["likelihood=gaussian", "objective=mcem"], "draws an image anew each time"),
        ],
    )
    def test_what_has_no_meaning_is_refused(self, run, words, told):
        outcome = run("dataset.dequantise=true", *words)
        assert outcome.status == 1
        assert f"dataset.dequantise=true: {told}" in outcome.err

    def test_pixels_without_levels_are_refused(self, tmp_path):
        path = npz(tmp_path, images=np.random.default_rng(0).random((10, 4, 4)))
        with pytest.raises(ConfigError, match="is for pixels of 256 levels"):
            Dataset(Arrays(str(path)), dequantise=True)
