import hashlib
import http.server
import lzma
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from images import FREY_FACE, needs_frey_face, write_idx
from torchvision import datasets

from vae_exp.dataset import Dataset, Images
from vae_exp.dataset import frey_face as frey_face_module
from vae_exp.dataset import mnist as mnist_module
from vae_exp.dataset.base import balanced
from vae_exp.dataset.batches import EvaluationBatches, TrainingStream, importance
from vae_exp.dataset.binarization import BINARIZE
from vae_exp.dataset.fashion_mnist import FashionMNIST
from vae_exp.dataset.frey_face import FreyFace
from vae_exp.dataset.kmnist import KMNIST
from vae_exp.dataset.mnist import MNIST
from vae_exp.dataset.serving import Serving
from vae_exp.errors import ConfigError, DataError

CPU = torch.device("cpu")


def numbered(n: int) -> Images:
    """Images that can be told apart: image i is i everywhere, its label too."""
    return Images(torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, 2, 2), torch.arange(n))


def stream(n=10, batch_size=4, start=0, stop=35, seed=0):
    return TrainingStream(numbered(n), BINARIZE["none"], batch_size, start, stop, seed)


def served_by(stream):
    batches = [batch for execution in stream for batch in execution]
    assert all(torch.equal(y, index) and counts is None for _, y, index, counts, *_ in batches)
    return [(x, y) for x, y, *_ in batches]


class TestMNIST:
    def test_is_the_official_split(self, tmp_path):
        splits = MNIST(str(tmp_path)).load()
        assert splits.train.pixels.shape == (60_000, 1, 28, 28)
        assert splits.test.pixels.shape == (10_000, 1, 28, 28)
        assert splits.train.pixels.dtype == torch.uint8
        assert splits.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
        digest = hashlib.md5(splits.test.pixels.numpy().tobytes()).hexdigest()
        packed = lzma.decompress((mnist_module.FILES / "t10k-images-idx3-ubyte.xz").read_bytes())
        assert digest == hashlib.md5(packed[16:]).hexdigest()

    def test_many_jobs_may_unpack_at_once(self, tmp_path):
        with ThreadPoolExecutor(4) as pool:
            sizes = list(pool.map(lambda _: len(MNIST(str(tmp_path)).load().train), range(4)))
        assert sizes == [60_000] * 4
        assert [path.name for path in tmp_path.iterdir()] == ["PackagedMNIST"]

    def test_a_damaged_cache_is_mended(self, tmp_path):
        MNIST(str(tmp_path)).load()
        labels = tmp_path / "PackagedMNIST" / "raw" / "train-labels-idx1-ubyte"
        labels.write_bytes(labels.read_bytes()[:-1000])
        assert len(MNIST(str(tmp_path)).load().train.labels) == 60_000

    def test_damaged_packaged_files_are_refused(self, tmp_path, monkeypatch):
        files = tmp_path / "files"
        shutil.copytree(mnist_module.FILES, files)
        monkeypatch.setattr(mnist_module, "FILES", files)
        images = files / "t10k-images-idx3-ubyte.xz"
        images.write_bytes(images.read_bytes()[:-100])
        with pytest.raises(DataError, match="damaged"):
            MNIST(str(tmp_path / "cache")).load()
        images.unlink()
        with pytest.raises(DataError, match="missing"):
            MNIST(str(tmp_path / "cache")).load()
        assert not list((tmp_path / "cache").iterdir())

    def test_a_cache_that_cannot_be_written_is_named(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(DataError, match=r"paths\.cache"):
            MNIST(str(tmp_path / "file" / "cache")).load()


@pytest.mark.parametrize(
    ("source", "dataset"), [(FashionMNIST, datasets.FashionMNIST), (KMNIST, datasets.KMNIST)], ids=str
)
class TestTorchvision:
    def test_reads_the_idx_files(self, source, dataset, small_data):
        splits = source(str(small_data)).load()
        assert (len(splits.train), len(splits.test)) == (120, 40)
        assert torch.equal(splits.test.labels, torch.arange(40) % 10)
        assert splits.train.pixels.shape[1:] == source(str(small_data)).describe().shape

    def test_missing_files_are_downloaded_or_refused_with_directions(self, source, dataset, tmp_path, monkeypatch):
        monkeypatch.setattr(dataset, "mirrors", ["http://127.0.0.1:9/"])
        with pytest.raises(DataError, match=r"paths\.data.*train-images-idx3-ubyte.*VAE_EXP_DATA"):
            source(str(tmp_path)).load()

    def test_a_file_cut_short_is_refused(self, source, dataset, tmp_path, small_data):
        shutil.copytree(small_data / dataset.__name__, tmp_path / dataset.__name__)
        images = tmp_path / dataset.__name__ / "raw" / "t10k-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:-10])
        with pytest.raises(DataError, match="cut short"):
            source(str(tmp_path)).load()

    def test_images_of_another_size_are_refused(self, source, dataset, tmp_path, small_data):
        shutil.copytree(small_data / dataset.__name__, tmp_path / dataset.__name__)
        write_idx(tmp_path / dataset.__name__ / "raw" / "t10k-images-idx3-ubyte", torch.zeros(40, 14, 14))
        with pytest.raises(DataError, match=r"\(14, 14\)"):
            source(str(tmp_path)).load()

    def test_as_many_labels_as_images(self, source, dataset, tmp_path, small_data):
        shutil.copytree(small_data / dataset.__name__, tmp_path / dataset.__name__)
        write_idx(tmp_path / dataset.__name__ / "raw" / "t10k-labels-idx1-ubyte", torch.zeros(39))
        with pytest.raises(DataError, match="39 labels"):
            source(str(tmp_path)).load()


class TestFreyFace:
    @needs_frey_face
    def test_split_is_fixed_and_whole(self):
        splits = FreyFace(str(FREY_FACE)).load()
        assert (len(splits.train), len(splits.test)) == (1600, 365)
        assert splits.train.pixels.shape[1:] == (1, 28, 20)
        assert set(splits.train.labels.tolist()) == {-1}
        together = torch.cat([splits.train.pixels, splits.test.pixels]).flatten(1)
        assert len(together.unique(dim=0)) == len(frey_face_module._read(FREY_FACE / "frey_rawface.mat").unique(dim=0))
        assert torch.equal(FreyFace(str(FREY_FACE)).load().test.pixels, splits.test.pixels)

    @needs_frey_face
    def test_is_downloaded_where_it_is_missing(self, tmp_path, monkeypatch):
        handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(FREY_FACE))
        monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            monkeypatch.setattr(frey_face_module, "ADDRESS", f"http://127.0.0.1:{server.server_port}/frey_rawface.mat")
            assert len(FreyFace(str(tmp_path / "new")).load().train) == 1600
            server.shutdown()
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["frey_rawface.mat"]

    def test_missing_is_refused_with_directions(self, tmp_path, monkeypatch):
        monkeypatch.setattr(frey_face_module, "ADDRESS", "http://127.0.0.1:9/frey_rawface.mat")
        with pytest.raises(DataError, match=r"paths\.data.*127\.0\.0\.1.*VAE_EXP_DATA"):
            FreyFace(str(tmp_path)).load()
        assert not list(tmp_path.iterdir())

    @needs_frey_face
    def test_cut_short_and_wrong_checksum_are_refused(self, tmp_path):
        from scipy.io import savemat

        whole = (FREY_FACE / "frey_rawface.mat").read_bytes()
        (tmp_path / "frey_rawface.mat").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match="cut short"):
            FreyFace(str(tmp_path)).load()
        frames = frey_face_module._read(FREY_FACE / "frey_rawface.mat").view(1965, 560).numpy().copy()
        frames[0, 0] += 1
        savemat(tmp_path / "frey_rawface.mat", {"ff": frames.T})
        with pytest.raises(DataError, match="checksum"):
            FreyFace(str(tmp_path)).load()


class TestTrainingStream:
    @given(n=st.integers(1, 12), batch_size=st.integers(1, 9), stop=st.integers(1, 60), seed=st.integers(0, 3))
    def test_every_pass_serves_every_image_once_and_the_budget_is_exact(self, n, batch_size, stop, seed):
        batches = served_by(stream(n, batch_size, 0, stop, seed))
        served = torch.cat([y for _, y in batches])
        assert len(served) == stop
        assert all(len(y) == batch_size for _, y in batches[:-1])
        for i in range(stop // n):
            assert sorted(served[i * n : (i + 1) * n].tolist()) == list(range(n))

    @given(step=st.integers(0, 8), seed=st.integers(0, 3))
    def test_goes_on_where_it_stopped(self, step, seed):
        whole = served_by(stream(seed=seed))
        rest = served_by(stream(start=4 * step, seed=seed))
        assert len(rest) == len(whole) - step
        for (x, y), (x_, y_) in zip(whole[step:], rest, strict=True):
            assert torch.equal(x, x_)
            assert torch.equal(y, y_)

    @given(
        start=st.integers(0, 40),
        batch_size=st.integers(1, 9),
        most=st.integers(1, 5),
        goals=st.lists(st.integers(1, 60), max_size=4, unique=True).map(sorted),
    )
    def test_executions_end_at_every_goal_and_serve_the_same_batches(self, start, batch_size, most, goals):
        arguments = (numbered(10), BINARIZE["none"], batch_size, start, 50, 0)
        executions = TrainingStream(*arguments, most, goals)
        served = [[y for _, y, *_ in execution] for execution in executions]
        assert all(1 <= len(execution) <= most for execution in served)
        ends = start + np.cumsum([sum(map(len, execution)) for execution in served])
        for goal in goals:
            if start < goal <= 50:  # an execution ends with the first batch that reaches the goal
                assert any(goal <= end < goal + batch_size for end in ends)
        single = [y for _, y in served_by(TrainingStream(*arguments))]
        if not any(start < goal < 50 for goal in goals):
            assert [y.tolist() for execution in served for y in execution] == [y.tolist() for y in single]
        together = [y for execution in served for y in execution]
        assert torch.equal(torch.cat(together or [torch.zeros(0)]), torch.cat(single or [torch.zeros(0)]))

    @given(repeats=st.integers(1, 5), batch_size=st.integers(1, 9), batches=st.integers(1, 9), start=st.integers(0, 8))
    def test_a_batch_may_be_served_several_times_in_a_row(self, repeats, batch_size, batches, start):
        arguments = (numbered(10), BINARIZE["none"], batch_size)
        once = [y for _, y in served_by(TrainingStream(*arguments, 0, batches * batch_size, 0))]
        stop = batches * batch_size * repeats
        often = [y for _, y in served_by(TrainingStream(*arguments, 0, stop, 0, serving=Serving(repeats=repeats)))]
        assert [y.tolist() for y in often] == [y.tolist() for y in once for _ in range(repeats)]
        rest = [
            y
            for _, y in served_by(
                TrainingStream(*arguments, start * batch_size, stop, 0, serving=Serving(repeats=repeats))
            )
        ]
        assert [y.tolist() for y in rest] == [y.tolist() for y in often[start:]]

    @pytest.mark.parametrize(("start", "stops"), [(0, [4, 8, 10]), (6, [8, 10])])
    def test_a_budget_may_end_inside_an_undivided_batch(self, start, stops):
        """The batch is whole, but does not count as complete. A later run from inside a batch serves it again."""
        arguments = (numbered(10), BINARIZE["none"], 4, start, 10, 0)
        batches = [batch for part in TrainingStream(*arguments, serving=Serving(repeats=3)) for batch in part]
        assert [batch.stop for batch in batches] == stops
        assert [(len(batch.x), batch.size) for batch in batches] == [(4, 4)] * len(stops)
        assert [batch.complete for batch in batches] == [stop < 10 for stop in stops]

    def test_the_last_of_other_batches_is_smaller(self):
        last = [batch for part in stream(stop=10) for batch in part][-1]
        assert (len(last.x), last.size, last.stop, last.complete) == (2, 2, 10, True)

    def test_order_depends_on_seed_and_pass(self):
        order = [y for _, y in served_by(stream(10, 10, 0, 30))]
        assert not torch.equal(order[0], order[1])
        assert not torch.equal(order[0], served_by(stream(10, 10, 0, 30, seed=1))[0][1])

    def test_images_and_labels_belong_together(self):
        for x, y in served_by(stream()):
            torch.testing.assert_close(x[:, 0, 0, 0] * 255, y.float())


def few_labels(n: int, labelled: int) -> Images:
    """Of n images the first `labelled` have a label, their number."""
    images = numbered(n)
    return Images(images.pixels, torch.where(images.labels < labelled, images.labels, -1))


class TestFewLabels:
    def served(self, start=0, stop=200, batch_size=5, labelled_per_batch=2, most=1, seed=0):
        stream = TrainingStream(
            few_labels(16, 4),
            BINARIZE["none"],
            batch_size,
            start,
            stop,
            seed,
            most,
            (),
            Serving(labelled=labelled_per_batch),
        )
        return [batch for execution in stream for batch in execution]

    def test_every_batch_has_as_many_and_each_kind_has_passes_of_its_own(self):
        batches = self.served(stop=203)
        assert all((y[:2] >= 0).all() and (y[2:] < 0).all() for _, y, *_ in batches)
        assert [len(y) for _, y, *_ in batches] == [5] * 40 + [3]
        labelled, others = (
            torch.cat([index[part] for _, _, index, *_ in batches]) for part in (slice(2), slice(2, None))
        )
        for some, n in ((labelled, 4), (others - 4, 12)):
            for i in range(len(some) // n):
                assert sorted(some[i * n : (i + 1) * n].tolist()) == list(range(n))
        for x, y, index, *_ in batches:
            assert torch.equal((x[:, 0, 0, 0] * 255).round().long(), index)
            assert torch.equal(y, torch.where(index < 4, index, -1))

    @given(step=st.integers(0, 8), most=st.integers(1, 4), seed=st.integers(0, 3))
    def test_goes_on_where_it_stopped(self, step, most, seed):
        whole, rest = self.served(seed=seed), self.served(5 * step, most=most, seed=seed)
        assert [i.tolist() for _, _, i, *_ in rest] == [i.tolist() for _, _, i, *_ in whole[step:]]

    @given(start=st.integers(0, 30), count=st.integers(1, 30))
    def test_any_budget_is_served_to_the_image(self, start, count):
        """Also from the middle of a batch on, where a run with another budget ended."""
        served = torch.cat([index for _, _, index, *_ in self.served(start, start + count)])
        whole = torch.cat([index for _, _, index, *_ in self.served(0, 60)])
        assert sorted(served.tolist()) == sorted(whole[start : start + count].tolist()) or start % 5
        assert len(served) == count

    def test_weighted_means_over_batches_are_the_mean_over_the_training_set(self):
        """Four batches: every image without a label once, every other one twice."""
        value = torch.randn(16, dtype=torch.float64)
        batches = self.served(stop=20)
        means = [(counts * value[index]).mean() for _, _, index, counts, *_ in batches]
        torch.testing.assert_close(torch.stack(means).mean(), value.mean())

    def test_counts_are_one_where_a_batch_is_like_the_training_set(self):
        torch.testing.assert_close(importance(torch.tensor([3, -1, -1, -1]), 0.25), torch.ones(4))
        torch.testing.assert_close(importance(torch.tensor([3, 1]), 1.0), torch.ones(2))

    def load(self, small_data, **arguments):
        data = Dataset(KMNIST(str(small_data)), **arguments)
        data.load(CPU)
        return data

    def test_the_labelled_images_are_balanced_and_the_same_each_time(self, small_data):
        data, again, other = (self.load(small_data, labels=30, split_seed=seed) for seed in (0, 0, 1))
        labels, all_labels = data.splits["train"].labels, self.load(small_data).splits["train"].labels
        known = labels >= 0
        assert labels[known].bincount().tolist() == [3] * 10
        assert data.counts.labelled == 30
        assert torch.equal(labels[known], all_labels[known])
        assert torch.equal(labels, again.splits["train"].labels)
        assert not torch.equal(labels, other.splits["train"].labels)
        assert torch.equal(data.splits["train"].pixels, self.load(small_data).splits["train"].pixels)
        assert (data.splits["test"].labels >= 0).all()

    def test_smaller_choices_lie_in_larger_ones(self):
        labels = torch.arange(300) % 10
        small, large = balanced(labels, 20, 10, seed=5), balanced(labels, 100, 10, seed=5)
        assert set(small.tolist()) < set(large.tolist())

    def test_composes_with_a_smaller_training_set_and_validation(self, small_data):
        splits = self.load(small_data, labels=10, train_size=60, validation_size=20).splits
        assert splits["train"].labels[splits["train"].labels >= 0].bincount().tolist() == [1] * 10
        assert {name: len(images) for name, images in splits.items()} == {"train": 60, "validation": 20, "test": 40}
        assert (splits["validation"].labels >= 0).all()
        plain = self.load(small_data, train_size=60, validation_size=20).splits
        assert torch.equal(splits["train"].pixels, plain["train"].pixels)

    def test_what_cannot_be_had_is_refused(self, small_data):
        with pytest.raises(ConfigError, match=r"dataset\.labels=25: .*multiple of the 10 classes"):
            self.load(small_data, labels=25)
        with pytest.raises(ConfigError, match=r"dataset\.labels=130: needs 13 .*class 0 has only 12"):
            self.load(small_data, labels=130)
        with pytest.raises(ConfigError, match=r"dataset\.labels=10: this dataset has no labels"):
            Dataset(FreyFace(str(small_data)), labels=10)


def test_evaluation_serves_every_image_once_in_order():
    batches = list(EvaluationBatches(numbered(10), BINARIZE["none"], 4))
    assert torch.cat([y for _, y in batches]).tolist() == list(range(10))


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


class TestSplits:
    def load(self, small_data: Path, **arguments):
        data = Dataset(KMNIST(str(small_data)), **arguments)
        data.load(CPU)
        return data.splits

    def test_validation_comes_out_of_train_and_test_stays(self, small_data):
        splits = self.load(small_data, validation_size=20)
        assert {name: len(images) for name, images in splits.items()} == {"train": 100, "validation": 20, "test": 40}
        whole = self.load(small_data)["train"].pixels.flatten(1)
        parts = torch.cat([splits["train"].pixels, splits["validation"].pixels]).flatten(1)
        assert torch.equal(parts.unique(dim=0), whole.unique(dim=0))
        assert torch.equal(splits["test"].pixels, self.load(small_data)["test"].pixels)

    def test_smaller_training_sets_lie_in_larger_ones_and_validation_stays(self, small_data):
        small = self.load(small_data, train_size=30, validation_size=20)
        large = self.load(small_data, train_size=60, validation_size=20)
        assert torch.equal(small["train"].pixels, large["train"].pixels[:30])
        assert torch.equal(small["validation"].pixels, large["validation"].pixels)

    def test_split_seed_chooses_the_images(self, small_data):
        a, b = (self.load(small_data, train_size=30, split_seed=seed)["train"].pixels for seed in (0, 1))
        assert not torch.equal(a, b)

    def test_more_images_than_there_are_is_refused(self, small_data):
        with pytest.raises(ConfigError, match=r"dataset\.train_size=121: there are 120"):
            self.load(small_data, train_size=121)
        with pytest.raises(ConfigError, match=r"dataset\.validation_size=120"):
            self.load(small_data, validation_size=120)
