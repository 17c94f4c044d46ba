import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_exp.dataset import Images
from vae_exp.dataset.batches import EvaluationBatches, TrainingStream, importance_weights
from vae_exp.dataset.binarization import BINARIZE
from vae_exp.dataset.serving import Serving


def numbered(n: int) -> Images:
    """Images that can be told apart: image i is i everywhere, its label too."""
    return Images(torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, 2, 2), torch.arange(n))


def stream(n=10, batch_size=4, start=0, stop=35, seed=0):
    return TrainingStream(numbered(n), BINARIZE["none"], batch_size, start, stop, seed)


def served_by(stream):
    batches = [batch for execution in stream for batch in execution]
    assert all(torch.equal(y, index) and counts is None for _, y, index, counts, *_ in batches)
    return [(x, y) for x, y, *_ in batches]


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

    @given(batches=st.integers(0, 6), count=st.integers(1, 30))
    def test_any_budget_is_served_to_the_image(self, batches, count):
        start = 5 * batches
        served = torch.cat([index for _, _, index, *_ in self.served(start, start + count)])
        whole = torch.cat([index for _, _, index, *_ in self.served(0, 60)])
        assert sorted(served.tolist()) == sorted(whole[start : start + count].tolist())

    @given(start=st.integers(0, 30), count=st.integers(1, 30))
    def test_so_is_one_from_the_middle_of_a_batch_on(self, start, count):
        """There, a run with another budget ended."""
        assert sum(len(index) for _, _, index, *_ in self.served(start, start + count)) == count

    def test_weighted_means_over_batches_are_the_mean_over_the_training_set(self):
        """Four batches: every image without a label once, every other one twice."""
        value = torch.randn(16, dtype=torch.float64)
        batches = self.served(stop=20)
        means = [(counts * value[index]).mean() for _, _, index, counts, *_ in batches]
        torch.testing.assert_close(torch.stack(means).mean(), value.mean())

    def test_counts_are_one_where_a_batch_is_like_the_training_set(self):
        torch.testing.assert_close(importance_weights(torch.tensor([3, -1, -1, -1]), 0.25), torch.ones(4))
        torch.testing.assert_close(importance_weights(torch.tensor([3, 1]), 1.0), torch.ones(2))


def test_evaluation_serves_every_image_once_in_order():
    batches = list(EvaluationBatches(numbered(10), BINARIZE["none"], 4))
    assert torch.cat([y for _, y in batches]).tolist() == list(range(10))
