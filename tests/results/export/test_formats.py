"""Exported files, computed by other programs."""

import math

import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from torch import nn
from yamls import SMALL_ARCHITECTURE, SMALL_NETWORK, choices, composed

from vae_exp.architecture import AE, M2, VAE
from vae_exp.config.assembly import build_architecture, build_data
from vae_exp.dataset import Info
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import SGVBB
from vae_exp.results.export.formats import DifferenceError, write_onnx, write_programs, write_weights
from vae_exp.results.export.functions import Function, functions_of

INFO = Info((1, 5, 5), ("a", "b", "c"))
SHAPE = INFO.shape
COMBINATIONS = {network: [("cvae", "none")] for network in choices("network")}
COMBINATIONS["mlp"] = [(name, "none") for name in choices("architecture")] + [("ae", head) for head in choices("head")]
"""The architectures and heads that are exported with each network: all of them with an MLP. The layers of another
network are the same operations in every architecture, and the encoder and the decoder of a `cvae` have all possible
inputs. All with all would take half a minute.
"""


def randomised(model):
    """Give a model weights that no layer can be without, so that a forgotten one changes the outputs."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.uniform_(-0.5, 0.5)
    return model.eval().requires_grad_(False)


class Together(nn.Module):
    """Several functions as one: most of the time of an export does not depend on what is exported."""

    def __init__(self, functions):
        super().__init__()
        self.parts = nn.ModuleList(function.module for function in functions)
        self.inputs = [list(function.inputs) for function in functions]

    def forward(self, x, z, y):
        named = {"x": x, "z": z, "y": y}
        parts = zip(self.parts, self.inputs, strict=True)
        return tuple(output for part, inputs in parts for output in part(*(named[name] for name in inputs)))


def together(functions):
    inputs = {name: value for function in functions.values() for name, value in function.inputs.items()}
    ordered = {name: inputs[name] for name in ("x", "z", "y")}
    outputs = {f"{key}_{name}": shape for key, f in functions.items() for name, shape in f.outputs.items()}
    return Function("together", Together(functions.values()), ordered, outputs)


@pytest.mark.parametrize("network", choices("network"))
def test_onnx_runtime_computes_what_pytorch_computes(tmp_path, network):
    models = {}
    for architecture, head in COMBINATIONS[network]:
        size = SMALL_ARCHITECTURE.get(architecture, ["architecture.latent_dim=3"])
        parts = [f"architecture={architecture}", f"network={network}", f"head={head}"]
        config = composed(*parts, *SMALL_NETWORK.get(network, []), *size)
        models[f"{architecture}_{head}"] = randomised(build_architecture(config, build_data(config, INFO)))
    functions = {f"{key}_{f.name}": f for key, model in models.items() for f in functions_of(model)}
    (difference,) = write_onnx([together(functions)], nn.ModuleDict(models), tmp_path, {}).values()
    assert difference <= 1e-5


def test_an_onnx_file_states_its_inputs_outputs_and_opset(tmp_path):
    model = randomised(M2(SHAPE, 3, MLP([4]), Bernoulli(), SGVBB(), 2))
    (encoder, *_) = functions_of(model)
    write_onnx([encoder], model, tmp_path, {"config": "seed: 0"})
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("x", ["batch", 1, 5, 5]), ("y", ["batch"])]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [
        ("code", ["batch", 2]),
        ("log_variance", ["batch", 2]),
    ]
    loaded = onnx.load(tmp_path / "encoder.onnx")
    assert loaded.opset_import[0].version == 18
    assert {entry.key: entry.value for entry in loaded.metadata_props}["config"] == "seed: 0"
    # a label of −1 is predicted
    x = torch.rand(7, *SHAPE)
    code, _ = session.run(None, {"x": x.numpy(), "y": torch.full((7,), -1).numpy()})
    torch.testing.assert_close(torch.from_numpy(code), model.encode(x), atol=1e-5, rtol=1e-5)


def test_a_program_has_its_own_weights_only_and_no_pickle(tmp_path):
    model = randomised(VAE(SHAPE, 0, MLP([50]), Bernoulli(), SGVBB(), 2))
    functions = functions_of(model)
    assert max(write_programs(functions, model, tmp_path, {}).values()) <= 1e-5
    for function in functions:
        file = tmp_path / f"{function.name}.pt2"
        program = torch.export.load(file)
        used = getattr(model, function.name)
        assert sum(map(torch.numel, program.state_dict.values())) == sum(map(torch.numel, used.parameters()))
        assert b"data.pkl" not in file.read_bytes()


def test_weights_keep_their_names_and_their_values(tmp_path):
    model = randomised(AE(SHAPE, MLP([4]), Bernoulli(), 2))
    write_weights([], model, tmp_path, {"config": "seed: 0"})
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.metadata() == {"config": "seed: 0"}
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a mapping)
    assert found.keys() == model.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())


class Own(nn.Module):
    """An encoder from outside that asks for the number of images in the way that only strict tracing follows."""

    def __init__(self, noise=0.0):
        super().__init__()
        self.dense = nn.Linear(math.prod(SHAPE), 2)
        self.noise = noise

    def forward(self, x, c):
        return self.dense(x.reshape(len(x), -1)) + self.noise * torch.randn(2)


class Branching(Own):
    def forward(self, x, c):
        return super().forward(x if x.mean() > 0.5 else -x, c)


@pytest.mark.parametrize(
    ("encoder", "error", "message"),
    [
        (Own(), None, ""),
        (Own(noise=1.0), DifferenceError, "encoder differs from the model"),
        (Branching(), ConfigError, "encoder of this model cannot be exported"),
    ],
    ids=["len(x)", "random", "branching"],
)
def test_a_network_from_outside_is_exported_or_refused_in_one_message(tmp_path, encoder, error, message):
    model = AE(SHAPE, MLP([]), Bernoulli(), 2)
    model.encoder = encoder
    function = functions_of(model.eval().requires_grad_(False))[0]
    if error is None:
        write_programs([function], model, tmp_path, {})
        return
    with pytest.raises(error, match=message):
        write_programs([function], model, tmp_path, {})


def test_the_refusal_names_the_operation_that_onnx_does_not_have(tmp_path):
    config = composed("posterior=sylvester", "architecture.latent_dim=2", *SMALL_NETWORK["mlp"])
    model = randomised(build_architecture(config, build_data(config, INFO)))
    with pytest.raises(ConfigError, match=r"encoder of this model cannot be exported: .*linalg_qr"):
        write_onnx(functions_of(model)[:1], model, tmp_path, {})
    assert not list(tmp_path.iterdir())
