"""`python -m vae_exp export` on a finished run."""

import hashlib
import json

import numpy as np
import onnxruntime
import pytest
import torch
from omegaconf import OmegaConf
from safetensors import safe_open
from yamls import composed

from vae_exp.cli import export
from vae_exp.dataset.mnist import MNIST
from vae_exp.results.checkpoint import STATE, read_checkpoint
from vae_exp.results.load import load_run
from vae_exp.results.metrics import with_error

pytestmark = pytest.mark.usefixtures("few_digits")
X = np.random.default_rng(0).random((3, 1, 28, 28), dtype="float32")


def test_another_program_computes_the_codes_and_the_images_of_the_loaded_model(run, command):
    """The model is conditional, so the program gives it the labels too."""
    words = ["architecture=cvae", "architecture.latent_dim=2", "network.hidden_sizes=[9]", "network.init_std=0.1"]
    path = run(
        "samples=200", *words, "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.1"
    ).directory
    status, said = command(export, f"run={path}")
    folder = path / "export" / "onnx"
    assert (status, said.out.strip()) == (0, str(folder)), said.err
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md",
        "config.yaml",
        "decoder.onnx",
        "encoder.onnx",
    ]
    encoder, decoder = (onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("encoder", "decoder"))
    model, codes = load_run(path).model, []
    for y in ([0, 4, 9], [1, 1, 1]):
        labels = {"y": np.array(y)}
        code, log_variance = (torch.from_numpy(array) for array in encoder.run(None, {"x": X} | labels))
        q = model.posterior(X, torch.tensor(y))
        torch.testing.assert_close(code, q.mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(log_variance, q.log_variance, atol=1e-5, rtol=1e-5)
        mean, _ = decoder.run(None, {"z": code.numpy()} | labels)
        p = model.decode(code, torch.tensor(y))
        torch.testing.assert_close(torch.from_numpy(mean), p.mean, atol=1e-5, rtol=1e-5)
        codes.append(code)
    assert not torch.allclose(*codes, atol=1e-3)  # the labels matter


def test_the_model_card_says_what_a_stranger_needs(trained, command, tmp_path):
    folder = tmp_path / "model"
    assert command(export, f"run={trained}", "format=torch", f"output={folder}")[0] == 0
    card, loaded = (folder / "README.md").read_text(), load_run(trained)
    # the lines of the card, as they are
    lines = card.split("```python\n")[1].split("\n```")[0].replace('"encoder.pt2"', "path")
    names = {"path": folder / "encoder.pt2", "x": torch.from_numpy(X)}
    exec(lines, names)
    torch.testing.assert_close(names["code"], loaded.model.encode(X))
    bounds = (with_error(loaded.metrics, f"{split}/bound") for split in ("train", "test"))
    assert f"| bound | {' | '.join(bounds)} |" in card
    pixels = MNIST("").load().test.pixels
    assert f"| test | 100 | `{hashlib.sha256(pixels.numpy().tobytes()).hexdigest()}` |" in card
    for said in ("pixels divided by 255", "| version/torch |", "after 200 training images", "checkpoint `last`"):
        assert said in card
    assert "latent_dim: 20" in (folder / "config.yaml").read_text()


def test_weights_have_the_config_and_the_metrics_of_their_checkpoint(trained, command):
    words = (f"run={trained}", "format=safetensors", "checkpoint=best")
    assert command(export, *words)[0] == 0
    with safe_open(trained / "export" / "safetensors_best" / "model.safetensors", "pt") as file:
        metrics = json.loads(file.metadata()["metrics"])
        weight = file.get_tensor("encoder.linears.0.weight")
    best = load_run(trained, "best")
    assert torch.equal(weight, best.model.encoder.linears[0].weight)
    assert metrics == read_checkpoint(trained / "checkpoints" / "best.ckpt")[STATE]["metrics"]


def test_a_run_is_exported_where_its_images_are_not(trained, command):
    path = trained / ".hydra" / "config.yaml"
    config = OmegaConf.load(path)
    config.dataset.source = composed("dataset=arrays", "dataset.source.path=/gone.npz").dataset.source
    OmegaConf.save(config, path)
    status, said = command(export, f"run={trained}", "format=safetensors")
    assert status == 0, said.err
    card = (trained / "export" / "safetensors" / "README.md").read_text()
    assert "There are no checksums, because the images were not there" in card


def test_an_earlier_export_is_replaced_and_nothing_else(trained, command, tmp_path):
    folder = tmp_path / "model"
    words = (f"run={trained}", "format=safetensors", f"output={folder}")
    assert [command(export, *words)[0] for _ in range(2)] == [0, 0]
    (folder / "README.md").write_text("my own notes")
    status, said = command(export, *words)
    assert status == 1
    assert "holds other files" in said.err
    assert (folder / "README.md").read_text() == "my own notes"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("model")) == ["model"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["format=onxn"], "Did you mean onnx?"),
        (["fromat=onnx"], "fromat: no such key. Did you mean format?"),
        (["output={}/results.json"], "is a file; the name of a folder is needed"),
        (["output={}"], "holds other files"),
        (["output=/proc/none/model"], "output=/proc/none/model: cannot be written"),
    ],
    ids=str,
)
def test_mistakes_are_named(trained, command, arguments, message):
    status, said = command(export, f"run={trained}", *(argument.format(trained) for argument in arguments))
    assert status == 1
    assert message in said.err
    assert "Traceback" not in said.err
