"""`python -m vae_exp encode` on a finished run."""

import resource
from dataclasses import replace

import numpy as np
import pytest
import torch

from vae_exp.architecture import M2
from vae_exp.cli import encode
from vae_exp.config.assembly import build_data
from vae_exp.evaluation.codes import encode_images
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import SGVBB
from vae_exp.results.load import load_run

pytestmark = pytest.mark.usefixtures("few_digits")


def test_the_codes_of_a_split_are_those_of_the_loaded_model(trained, command):
    status, said = command(encode, f"run={trained}", "split=test")
    assert (status, said.out.strip()) == (0, str(trained / "codes_test.npz"))
    loaded = load_run(trained)
    data = build_data(loaded.config)
    data.load(torch.device("cpu"))
    ((x, y),) = data.evaluation_batches("test", 1000)
    arrays = np.load(trained / "codes_test.npz")
    q = loaded.model.posterior(x)
    np.testing.assert_allclose(arrays["code"], q.mean, atol=1e-6)
    np.testing.assert_allclose(arrays["log_variance"], q.log_variance, atol=1e-6)
    assert arrays["label"].tolist() == y.tolist()
    assert arrays["class_names"].tolist() == list("0123456789")


def test_the_checkpoint_the_split_and_the_number_of_images_are_chosen(trained, command, tmp_path):
    best = trained / "checkpoints" / "best.ckpt"
    best.unlink()
    path = tmp_path / "new" / "codes.csv"
    words = (f"run={trained}", "split=train", "images=30", f"output={path}")
    assert command(encode, *words)[0] == 0
    assert np.genfromtxt(path, delimiter=",", names=True)["index"].tolist() == list(range(30))
    status, said = command(encode, *words, "checkpoint=best")
    assert status == 1
    assert str(best) in said.err


def test_after_a_failure_the_old_file_stays_and_no_part_is_left(trained, command, tmp_path):
    path = tmp_path / "codes.npz"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))  # as if the disk were full
    try:
        status, said = command(encode, f"run={trained}", f"output={path}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 1
    assert f"output={path}: cannot be written" in said.err
    assert path.read_text() == "old"
    assert not list(tmp_path.glob("*.part"))


def test_a_run_from_python_gives_the_codes_that_the_command_gives(trained):
    """M2, too, which does not see the labels of a split."""
    run = load_run(trained)
    np.testing.assert_allclose(run.encode("test").z, np.load(encode.encode(str(trained)))["code"], atol=1e-6)
    m2 = M2((1, 28, 28), 10, MLP([4], init_std=0.5), Bernoulli(), SGVBB(), 2).eval().requires_grad_(False)
    codes = encode_images(m2, run.data.evaluation_batches("test", 1000))
    np.testing.assert_allclose(replace(run, model=m2).encode("test").z, codes.code.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["split=validation"], "split=validation: the run has none. Allowed: train, test"),
        (["split=tset"], "Did you mean test?"),
        (["outptu=a.csv"], "outptu: no such key. Did you mean output?"),
        (["output=a.cvs"], "Did you mean a.csv?"),
        (["output=/proc/none/a.csv"], "output=/proc/none/a.csv: cannot be written"),
        (["checkpoint=bets"], "Did you mean best?"),
    ],
    ids=str,
)
def test_mistakes_are_named(trained, command, arguments, message):
    status, said = command(encode, f"run={trained}", *arguments)
    assert status == 1
    assert message in said.err
