"""The logger that writes TensorBoard's event files."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from matplotlib.image import imread
from omegaconf import OmegaConf
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from vae_exp.config.flatten import flat
from vae_exp.errors import ConfigError
from vae_exp.results.metrics import headline


class TensorBoard(TensorBoardLogger):
    """Log the metrics, figures and config of one run to its folder `tensorboard/`. The x axis is `samples`.

    Args:
        directory: The run directory.
        config: The composed config, resolved.

    Raises:
        ConfigError: TensorBoard is not installed.
    """

    def __init__(self, directory: Path, config: dict[str, Any]) -> None:
        if find_spec("tensorboard") is None:
            raise ConfigError("logger: TensorBoard is an extra: pip install 'vae_exp[tensorboard]'")
        super().__init__(directory, name="", version="tensorboard", default_hp_metric=False, flush_secs=30)
        self.log_hyperparams(config)  # writes hparams.yaml
        self._config = flat(OmegaConf.create(config))
        self._samples = 0
        self._last_evaluation: Mapping[str, float] = {}

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers at the `samples` among them, or at `step` if `samples` is not among them."""
        values = dict(metrics)
        if "samples" not in values:  # a callback of Lightning or of the user logs these
            super().log_metrics(values, step)
            return
        self._samples = int(values.pop("samples"))
        if any(name.startswith("test/") for name in values):
            self._last_evaluation = values
        super().log_metrics(values, self._samples)

    def log_image(self, key: str, images: list[str]) -> None:
        """Log the image files with these paths at the last logged `samples`."""
        for path in images:
            self.experiment.add_image(key, imread(path), self._samples, dataformats="HWC")

    def log_histograms(self, values: dict[str, list[float]], samples: int, step: int) -> None:
        """Log a histogram of each list at this number of samples."""
        for name, numbers in values.items():
            self.experiment.add_histogram(name, Tensor(numbers), samples)

    def finalize(self, status: str) -> None:
        """Log the config with the final test metric, for TensorBoard's table of runs, and close the file."""
        if self._last_evaluation:
            from torch.utils.tensorboard.summary import hparams

            name, _ = headline(self._last_evaluation, "test")
            plain = {k: v if isinstance(v, int | float | str) else str(v) for k, v in self._config.items()}
            for summary in hparams(plain, {name.removeprefix("-"): 0.0}):
                self.experiment.file_writer.add_summary(summary)
        super().finalize(status)
