import pytest
import torch

import vae_exp
from vae_exp.config.assembly import build_data
from vae_exp.errors import RunError
from vae_exp.evaluation import evaluate

QUICK = ["samples=400", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=1"]
pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.fixture
def finished(once):
    return once("finished", "architecture=cvae", "architecture.latent_dim=4", "objective.samples=2", *QUICK)


def test_a_checkpoint_that_is_missing_is_refused_with_those_that_there_are(trained):
    (trained / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(RunError, match=r"checkpoint=best: .* is missing. The run has: last"):
        vae_exp.load_run(trained, checkpoint="best")


def test_a_finished_run_is_an_object(finished):
    run = vae_exp.load_run(finished)
    assert run.config.architecture.latent_dim == run.metrics["latent_dim"] == 4
    assert run.metrics["status"] == "completed"
    assert [row["samples"] for row in run.rows] == [100, 200, 400]
    assert run.rows[-1]["test/bound"] == run.metrics["test/bound"]
    model = run.model
    assert not model.training
    x, y = torch.rand(3, 1, 28, 28), torch.tensor([1, 2, 3])
    z = model.encode(x, y)
    assert z.shape == (3, 4)
    assert model.decode(z, y).mean.shape == model.sample(3).shape == x.shape
    assert model.bound(x, y).shape == (3,)


def test_its_model_is_the_one_whose_bound_was_written(finished):
    run = vae_exp.load_run(finished)
    data = build_data(run.config)
    data.load(torch.device("cpu"))
    bound = evaluate(run.model, data.evaluation_batches("test", 1000)).means["bound"]
    assert bound == pytest.approx(run.metrics["test/bound"], abs=1e-4)


def test_tied_weights_are_trained_saved_once_and_loaded(run):
    quick = ["network.tied=true", "network.hidden_sizes=[30,20]", "architecture.latent_dim=4", "trainer.compile=false"]
    outcome = run("architecture=ae", *quick, *QUICK)
    assert outcome.status == 0, outcome.err
    saved = torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    matrices = [tuple(value.shape) for value in saved.values() if value.ndim > 1]
    assert matrices == [(30, 784), (20, 30), (4, 20)]
    loaded = vae_exp.load_run(outcome.directory)
    history = [row["test/nll"] for row in loaded.rows]
    assert history[-1] < history[0]
    data = build_data(loaded.config)
    data.load(torch.device("cpu"))
    nll = evaluate(loaded.model, data.evaluation_batches("test", 1000)).means["nll"]
    assert nll == pytest.approx(loaded.metrics["test/nll"], abs=1e-4)


def test_what_has_not_ended_or_is_no_run_is_refused(finished, tmp_path):
    with pytest.raises(RunError, match="not a run directory"):
        vae_exp.load_run(tmp_path / "nowhere")
    (finished / "results.json").unlink()
    with pytest.raises(RunError, match="has not ended"):
        vae_exp.load_run(finished)


def test_weights_of_another_architecture_are_refused(finished):
    config = finished / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("latent_dim: 4", "latent_dim: 5"))
    with pytest.raises(RunError, match="does not fit"):
        vae_exp.load_run(finished)
