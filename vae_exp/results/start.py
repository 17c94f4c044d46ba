"""When a run directory changes hands."""

from omegaconf import DictConfig

from vae_exp.run_directory import RunDirectory


class Start:
    """Call it when the training can start: it puts what runs now in the place of what ran before.

    Until then a run that goes on stays as it was, so that a resume that fails costs nothing.

    Args:
        config: What runs now.
        directory: Where.
        hydra: Hydra's own config of the job.
        whole: Of the run in stages that this is a stage of.
    """

    def __init__(
        self, config: DictConfig, directory: RunDirectory, hydra: DictConfig, whole: "Start | None" = None
    ) -> None:
        self.config = config
        self.directory = directory
        self.hydra = hydra
        self.whole = whole
        self.made = False

    def __call__(self) -> None:
        """Write the record and take the old results away, once."""
        if self.whole is not None:
            self.whole()
        if not self.made:
            self.directory.write_record(self.config, self.hydra)
            self.directory.results.unlink(missing_ok=True)
            self.made = True
