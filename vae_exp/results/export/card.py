"""The model card of an exported model: what it computes, how it is loaded, where it comes from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vae_exp.config.stored import printable
from vae_exp.results.export.data import RunImages
from vae_exp.results.export.functions import Function
from vae_exp.results.metrics import SPLITS, by_measure, standard_error, with_error
from vae_exp.results.report.run import PARTS, errors_note
from vae_exp.results.run import Run

MARK = "Exported by vae_exp"
"""Every model card contains this."""

PIXELS = {
    "levels": "pixels divided by 255, in [0, 1]",
    "unit": "pixels in [0, 1]",
    "real": "real numbers",
    None: "pixels as in the training",
}
"""What pixels are before they are made binary, by the values of the dataset."""

DEQUANTISED = "(pixel + u)/256 for pixels from 0 to 255, with u drawn uniformly from [0, 1)"

BINARIZED = {
    "none": "",
    "threshold": ", then 1 if it is above one half, else 0",
    "dynamic": ", then drawn: 1 with this probability, else 0",
    "static": ", then drawn: 1 with this probability, else 0",
}
"""How pixels in [0, 1] are made binary."""

LOADED = {
    "onnx": """\
import onnxruntime
{name} = onnxruntime.InferenceSession("{name}.onnx")
{outputs} = {name}.run(None, {{{named}}})""",
    "torch": """\
import torch
{name} = torch.export.load("{name}.pt2").module()
{outputs} = {name}({inputs})""",
}
"""How each function is loaded and called, by format."""

WEIGHTS_LOADED = """\
from safetensors.torch import load_file
model = vae_exp.load_run("{run}").model  # or a model of yours with the same names
model.load_state_dict(load_file("model.safetensors"))"""


@dataclass(frozen=True)
class Card:
    """The contents of a model card.

    Args:
        run: The run.
        checkpoint: `last` or `best`.
        samples: Training images that the model of this checkpoint has seen.
        metrics: Its metrics, by name.
        images: The images of the run.
        format: `onnx`, `torch` or `safetensors`.
        functions: What the model computes.
        differences: How far each written function is from the model.
    """

    run: Run
    checkpoint: str
    samples: int
    metrics: Mapping[str, Any]
    images: RunImages
    format: str
    functions: list[Function]
    differences: Mapping[str, float]

    def text(self) -> str:
        """Return the card as Markdown."""
        results = self.run.metrics
        name = printable(f"{self.run.path.absolute().parent.name}/{self.run.path.absolute().name}")
        sections = [
            f"# {name}",
            f"{MARK} {version('vae_exp')} from the run `{name}`: checkpoint `{self.checkpoint}`, after "
            f"{self.samples:,} training images. `config.yaml` is the whole configuration of the run.",
            *self._functions(),
            "## Input\n\n" + "\n".join(self._inputs()),
            "## Model\n\n" + _table(("part", "choice"), _known((part, results.get(part)) for part in PARTS)),
            f"{sum(p.numel() for p in self.run.model.parameters()):,} parameters.",
            "## Metrics\n\n" + self._metrics(),
            "## Data\n\n" + self._data(),
            "## Origin\n\n" + _table(("what", "value"), self._origin()),
        ]
        return "\n\n".join(sections) + "\n"

    def _functions(self) -> Iterator[str]:
        """Yield a section for every function: its inputs and outputs, and three lines that load and call it."""
        if self.format == "safetensors":
            yield "## Load\n\nThe weights of the whole model, by the names of its `state_dict`."
            yield f"```python\n{WEIGHTS_LOADED.format(run=self.run.path)}\n```"
            return
        for function in self.functions:
            inputs = [(f"`{name}`", "input", *_described(value.dtype, value.shape[1:])) for name, value in
                      function.inputs.items()]  # fmt: skip
            outputs = [(f"`{name}`", "output", "float32", _batch(shape)) for name, shape in function.outputs.items()]
            call = LOADED[self.format].format(
                name=function.name,
                outputs=_unpacked(list(function.outputs)),
                named=", ".join(f'"{name}": {name}' for name in function.inputs),
                inputs=", ".join(function.inputs),
            )  # fmt: skip
            yield f"## {function.name.capitalize()}\n\n" + _table(("name", "", "type", "shape"), [*inputs, *outputs])
            yield f"```python\n{call}\n```"
            yield f"Largest difference from the model in PyTorch: {self.differences[function.name]:.1g}."

    def _inputs(self) -> Iterator[str]:
        """Yield what each input must be."""
        if self.run.standardisation is not None:
            standardised = (
                "Standardise them first (`run.standardisation`)."
                if self.format == "safetensors"
                else "The files standardise them, and give `mean` and `scale` in these units."
            )
            yield f"- `x`: real numbers in the units of the data. {standardised}"
        else:
            settings = self.run.config.dataset
            binarized = BINARIZED[settings.get("binarization", "none")]
            pixels = DEQUANTISED if settings.get("dequantise") else PIXELS[self.images.values]
            yield f"- `x`: {pixels}{binarized}. The files take the result of this."
        yield f"- `z`: {self.run.model.autoencoder.latent_dim} latents, such as the `code`."
        if self.run.model.autoencoder.classes:
            names = ", ".join(f"{i} is {printable(name)}" for i, name in enumerate(self.run.metrics.get("classes", [])))
            if self.run.metrics.get("classes") == [str(i) for i in range(self.run.model.classes)]:
                names = f"0 to {self.run.model.classes - 1}"
            hidden = "" if self.run.model.needs_labels else " The encoder predicts it where it is −1."
            yield f"- `y`: the class of each image ({names}).{hidden}"

    def _metrics(self) -> str:
        """Return a table with a row per metric and a column per split."""
        grouped = by_measure(self.metrics)
        rows = {name: splits for name, splits in grouped.items() if "" not in splits}
        splits = [split for split in SPLITS if any(split in names for names in rows.values())]
        values = [
            (name, *(_metric(self.metrics, names[split]) if split in names else "" for split in splits))
            for name, names in rows.items()
        ]
        bounds = self.run.metrics.get("bounds")
        note = f"`bound` is a lower bound on {bounds}. " if bounds else ""
        return (
            _table(("metric", *splits), values)
            + f"\n\n{note}Bounds, nll and kl are in nats per image. {errors_note(self.metrics)}".rstrip()
        )

    def _data(self) -> str:
        choice = f"Dataset `{self.run.metrics.get('dataset')}`, images {tuple(self.run.model.shape)} (C, H, W)."
        if self.images.missing:
            return f"{choice} There are no checksums, because the images were not there: {self.images.missing}"
        prints = self.images.fingerprints.items()
        rows = [(split, f"{f.images:,}", f"`{f.pixels}`", f"`{f.labels}`") for split, f in prints]
        note = "The checksums are of the source's images, before `train_size` or `validation_size` choose some."
        return f"{choice}\n\n{_table(('split', 'images', 'SHA-256 of the pixels', 'of the labels'), rows)}\n\n{note}"

    def _origin(self) -> Iterator[tuple[str, Any]]:
        results = self.run.metrics
        yield from _known((name, results.get(name)) for name in ("date", "device", "git_revision", "train_seconds"))
        yield from ((name, value) for name, value in results.items() if name.startswith("version/"))
        for package in ("torch", "onnx", "onnxscript", "onnxruntime", "safetensors"):
            try:
                yield f"exported with {package}", version(package)
            except PackageNotFoundError:
                continue


def _known(rows: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in rows if value is not None]


def _described(dtype: Any, shape: tuple[int, ...]) -> tuple[str, str]:
    return str(dtype).removeprefix("torch."), _batch(shape)


def _unpacked(names: list[str]) -> str:
    """Return the left side of an assignment from a tuple."""
    return ", ".join(names) if len(names) > 1 else f"({names[0]},)"


def _batch(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['batch', *map(str, shape)])}{',' if not shape else ''})"


def _metric(metrics: Mapping[str, Any], name: str) -> str:
    value = metrics[name]
    if standard_error(metrics, name) is not None:
        return str(with_error(metrics, name))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: Any) -> str:
    return printable(value).replace("|", r"\|")
