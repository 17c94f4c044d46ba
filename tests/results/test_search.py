"""What judges the jobs of a search."""

import pytest

from vae_exp.results.jobs import Job
from vae_exp.results.search import best, trials
from vae_exp.results.sweep_directory import SweepDirectory

NAMES = ("validation/bound", "validation/nll", "validation/error")


@pytest.mark.parametrize(("metric", "expected"), [("null", "0"), ("validation/nll", "1"), ("validation/error", "2")])
def test_lower_is_better_of_an_nll_and_of_an_error(tmp_path, metric, expected):
    (tmp_path / "multirun.yaml").write_text(
        f"hydra: {{sweeper: {{metric: {metric}}}, overrides: {{hydra: [], task: []}}, runtime: {{choices: {{}}}}}}"
    )
    measured = [(-90.0, 80.0, 0.3), (-95.0, 70.0, 0.2), (-100.0, 75.0, 0.1)]
    jobs = [
        Job(str(i), tmp_path, {}, {"status": "completed", **dict(zip(NAMES, row, strict=True))}, [])
        for i, row in enumerate(measured)
    ]
    assert best(trials(SweepDirectory(tmp_path), jobs)).job.number == expected
