"""Replace the record of an earlier run in a directory when a new or resumed run starts to train."""

from omegaconf import DictConfig

from vae_exp.config.record import Record, record_of
from vae_exp.results.revision import git_revision
from vae_exp.results.run_directory import RunDirectory


class Start:
    """Write the record of a run and remove the old results. Call it when training is ready to start.

    Until that call nothing in the directory of a resumed run changes, so a resume that fails loses nothing.

    Args:
        config: The config of the run.
        directory: The directory of the run.
        hydra: Hydra's own config of the job.
        whole: For a stage, the `Start` of the run that the stage belongs to.

    Attributes:
        revision: The commit of this code when the run was started: the checkout may change while it trains.
    """

    def __init__(
        self, config: DictConfig, directory: RunDirectory, hydra: DictConfig, whole: "Start | None" = None
    ) -> None:
        self.config = config
        self.directory = directory
        self.hydra = hydra
        self.whole = whole
        self.made = False
        self.revision: str | None = git_revision() if whole is None else whole.revision

    @property
    def record(self) -> Record:
        """What the run is started with, after the checks of the config have converted its values."""
        return record_of(self.config, self.hydra)

    def __call__(self) -> None:
        """Write the record and remove the old results. Later calls do nothing."""
        if self.whole is not None:
            self.whole()
        if not self.made:
            self.directory.write_record(self.record, self.hydra)
            self.directory.results.unlink(missing_ok=True)
            self.made = True
