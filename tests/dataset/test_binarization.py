import torch

from vae_exp.dataset import Dataset
from vae_exp.dataset.binarization import BINARIZE
from vae_exp.dataset.kmnist import KMNIST

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
