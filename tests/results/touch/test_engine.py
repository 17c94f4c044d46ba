"""What the page computes, in a real browser, beside PyTorch."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vae_exp.errors import ConfigError
from vae_exp.results.export.functions import Function
from vae_exp.results.touch.page import FOLDER
from vae_exp.results.touch.program import Store, numbers_as_text
from vae_exp.results.touch.translate import program_of

ENGINE = [(FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in ("kernel", "engine", "convolution")]
COMPUTE = """
const { program, constants, inputs } = JSON.parse(arguments[0]);
const { outputs } = new Program(program, constants.map(numbersOf));
const made = new Program(program, constants.map(numbersOf));
made.run(inputs);
return Object.fromEntries(Object.entries(made.run(inputs)).map(([name, numbers]) => [name, [...numbers]]));
"""


class Operations(nn.Module):
    """Many operations on an image (1, 4, 9, 7), a vector (1, 6) and a label (1,), each with an output of its own."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                "strided": nn.Conv2d(4, 5, 3, stride=2, padding=1),
                "grouped": nn.Conv2d(4, 8, (3, 2), stride=(1, 2), padding=(0, 1), dilation=(2, 1), groups=2),
                "pointwise": nn.Conv2d(4, 9, 1, bias=False),
                "back": nn.ConvTranspose2d(4, 5, 3, stride=2, padding=1, output_padding=1),
                "grouped_back": nn.ConvTranspose2d(4, 6, (2, 3), stride=(3, 1), dilation=(1, 2), groups=2),
                "group_norm": nn.GroupNorm(2, 4),
                "batch_norm": nn.BatchNorm2d(4),
                "enlarged": nn.Upsample(size=(13, 7)),
                "shuffled": nn.PixelShuffle(2),
            }
        )
        self.linear, self.norm = nn.Linear(6, 40), nn.LayerNorm(40)
        self.vectors = nn.ModuleList(
            [nn.GELU(), nn.GELU("tanh"), nn.ELU(0.7), nn.SELU(), nn.SiLU(), nn.Softplus(), nn.LeakyReLU(0.2), nn.Mish()]
        )
        self.batch = nn.Parameter(torch.randn(3, 40, 2))
        for parameter in self.parameters():
            nn.init.normal_(parameter)
        self.layers["batch_norm"].running_mean.normal_()
        self.layers["batch_norm"].running_var.uniform_(0.5, 2)
        self.register_buffer("table", torch.randn(3, 5))

    def forward(self, x, v, y):
        h = self.norm(self.linear(v))
        others = (
            F.relu(x - 0.2, inplace=True),
            F.pad(x, (1, 2, 0, 1), value=0.5),
            x.permute(0, 2, 3, 1)[:, 1:, ::2].flip(2),
            torch.cat([x, x.mean(1, keepdim=True), x.amax((2, 3), keepdim=True).expand(-1, -1, 9, 7)], 1),
            h.softmax(1),
            h.log_softmax(1).argmax(1).float(),
            torch.where(h > 0.2, h.exp(), -h).clamp(-1, 2) ** 2,
            (h.unflatten(1, (1, 40)).expand(3, 1, 40) @ self.batch).sum(0),
            torch.cat([self.table[y], F.one_hot(y, 3).float()], 1),
            x.chunk(2, 1)[1] / (1.5 + x[:, :2].tanh()) - 2 * torch.sigmoid(x[:, 2:]).round(),
        )
        return (*(layer(x) for layer in self.layers.values()), *(one(h) for one in self.vectors), *others)


def run(browser, page, function):
    """Compute the outputs of a function by the engine."""
    store, program = Store(), program_of(function, list(function.outputs))
    inputs = {name: value.flatten().tolist() for name, value in function.inputs.items()}
    data = {"program": program.as_data(store), "constants": store.as_data(), "inputs": inputs}
    browser.open(page)
    return browser.driver.execute_script(COMPUTE, json.dumps(data))


def function_of(module, *inputs):
    named = dict(zip("xvy", inputs, strict=False))
    with torch.no_grad():
        computed = module.eval()(*inputs)
    return Function("decoder", module, named, {f"out{i}": tuple(one.shape[1:]) for i, one in enumerate(computed)})


@pytest.mark.parametrize("simd", [True, False], ids=["WebAssembly", "JavaScript"])
def test_every_operation_gives_what_pytorch_gives(browser, tmp_path, simd):
    torch.manual_seed(0)
    function = function_of(Operations(), torch.randn(1, 4, 9, 7), torch.randn(1, 6), torch.tensor([2]))
    scripts = ["" if simd else "WebAssembly.Module = null;", *ENGINE]
    (tmp_path / "page.html").write_text("".join(f"<script>{script}</script>" for script in scripts), encoding="utf-8")
    found = run(browser, tmp_path / "page.html", function)
    with torch.no_grad():
        expected = dict(zip(function.outputs, function(function.inputs), strict=True))
    for name, right in expected.items():
        np.testing.assert_allclose(found[name], right.flatten(), atol=2e-5, rtol=2e-5, err_msg=name)
    assert browser.is_quiet()


def test_an_operation_that_the_page_does_not_know_is_one_message():
    class Sorted(nn.Module):
        def forward(self, x):
            return (x.sort(1).values,)

    function = function_of(Sorted(), torch.randn(1, 6))
    with pytest.raises(ConfigError, match=r"the decoder of this model uses aten\.sort\.default, which model\.html"):
        program_of(function, ["out0"])


def test_numbers_are_as_short_as_they_can_be():
    exact = torch.tensor([0.5, -1024.0, 2.0**-24, 0.0])
    assert list(numbers_as_text(exact)) == ["f2"]
    assert [list(numbers_as_text(torch.tensor([value]))) for value in (0.1, 1e6, 1e-9)] == [["f4"]] * 3
    assert list(numbers_as_text(torch.arange(3))) == ["i4"]
