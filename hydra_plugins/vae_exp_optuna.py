"""`hydra/sweeper=optuna`: a search, which chooses a job's values from the results of the jobs before it."""

import json
import logging
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep
from hydra.core.utils import JobReturn
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict
from pydantic import NonNegativeInt, PositiveInt

from hydra_plugins.vae_exp_grid import (
    Failures,
    JobSweeper,
    Runs,
    check_free,
    check_not_empty,
    identifying_overrides,
    join_overrides,
    with_values,
)
from vae_exp.config.overrides import Override, parse_sweep
from vae_exp.config.schema import check_node
from vae_exp.errors import ConfigError, nearest_first, needs_extra
from vae_exp.results.files import write_atomically
from vae_exp.results.folders import Values, read_values, shared_folder_message
from vae_exp.results.jobs import Job, read_job
from vae_exp.results.metrics import measure
from vae_exp.results.search import METRICS, Trial, best, trials
from vae_exp.results.sweep_directory import SweepDirectory

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)


class OptunaSweeper(JobSweeper):
    """Run jobs with the values that Optuna proposes. Jobs are ranked on the validation split.

    The whole state of a search is in the sweep's directory: the proposals in `proposals.json`, and the scores in the
    jobs' results. So a stopped search continues as if it had never stopped.

    Args:
        sampler: The `_target_` and arguments of a sampler in `optuna.samplers`, without its seed.
        n_trials: Total number of jobs. A finished search continues if this is increased.
        n_jobs: Number of jobs that are proposed and launched at a time.
        seed: Seed of the proposals.
        metric: The metric that ranks the jobs; None for the metric that ranks their model.
        params: Key → values, from a yaml. Overrides on the command line take precedence.
    """

    def __init__(
        self,
        sampler: Mapping[str, Any],
        n_trials: PositiveInt = 20,
        n_jobs: PositiveInt = 1,
        seed: NonNegativeInt = 0,
        metric: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(params)
        self.sampler = sampler
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.seed = seed
        self.metric = metric

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Propose and run jobs until there are n_trials. Write the table even if the search fails.

        Raises:
            ConfigError: There is nothing to search, or no metric to rank the jobs.
            RunError: A job failed, the directory belongs to another sweep, or another process is in it.
            Interrupted: SIGINT or SIGTERM arrived.
        """
        sweeper: Any = OmegaConf.to_container(self.config.hydra.sweeper)
        if isinstance(sweeper["sampler"], dict):
            sweeper["sampler"] = {}  # Optuna checks the arguments of the sampler
        check_node(OmegaConf.create(sweeper), OptunaSweeper, "hydra.sweeper")
        if find_spec("optuna") is None:
            raise ConfigError(needs_extra("hydra/sweeper=optuna", "optuna"))
        overrides = parse_sweep(self.params, arguments)
        self._check(overrides)
        directory = self._directory()
        check_same = partial(self._check_same_search, directory, overrides=overrides)
        with self._begun(directory, check_same, prepare=lambda: None):
            return self._search(directory, overrides)

    def _check(self, overrides: list[Override]) -> None:
        from vae_exp.config.assembly import check_config  # imports torch

        check_not_empty(overrides)
        if not any(override.is_sweep for override in overrides):
            raise ConfigError(
                "hydra/sweeper=optuna: there is nothing to search: architecture.latent_dim=2,5,20 or "
                "'optimizer.lr=tag(log,interval(0.005,0.05))'"
            )
        if self.metric is not None and self.metric not in METRICS:
            names = nearest_first(self.metric, METRICS)
            raise ConfigError(
                f"hydra.sweeper.metric={self.metric}: no such choice. Did you mean {names[0]}? "
                f"Allowed: {', '.join(names)}"
            )
        job = with_values(overrides, self.propose(overrides, [], 0)[0])
        if self._subdirectory(0, job) == self._subdirectory(1, job):
            raise ConfigError(
                shared_folder_message(self._subdir(), "two jobs with the same values would share a folder")
            )
        composed = self.loader.load_sweep_config(self.config, job)
        with open_dict(composed):
            del composed["hydra"]
        try:
            check_config(composed)
        except ConfigError as error:
            hint = " (the whole numbers of an interval: int(interval(2,50)))" if "integer" in str(error) else ""
            raise ConfigError(f"{error}{hint}") from error
        if not composed.dataset.validation_size:
            raise ConfigError(
                "dataset.validation_size=0: hydra/sweeper=optuna ranks jobs on the validation split: "
                "dataset.validation_size=10000"
            )
        if not composed.callbacks.get("evaluate"):
            raise ConfigError("callbacks.evaluate=null: hydra/sweeper=optuna needs evaluations to rank jobs")

    def _check_same_search(self, directory: SweepDirectory, began: dict[str, Any], overrides: list[Override]) -> None:
        began_with = parse_sweep(began["sweeper"].get("params"), directory.task())
        recorded = identifying_overrides([override.text for override in began_with])
        ours = identifying_overrides([override.text for override in overrides])
        if recorded != ours:
            raise self._another(directory, f"its overrides are {join_overrides(recorded)}, not {join_overrides(ours)}")
        if (metric := began["sweeper"].get("metric")) != self.metric:
            raise self._another(directory, f"its jobs are ranked by {metric}, not {self.metric}")

    def _search(self, directory: SweepDirectory, overrides: list[Override]) -> list[JobReturn]:
        keys = [override.signed_key for override in overrides if override.is_sweep]
        proposed = read_values(directory.proposals, keys, self._trust(overrides)) if directory.is_search else []
        jobs = self._runs(directory, [with_values(overrides, values) for values in proposed])
        returns: list[JobReturn] = []
        failures: Failures = {}
        while True:
            unfinished = {run: job for run, job in jobs.items() if not run.is_completed() and run not in failures}
            if unfinished:
                ended, failed = self._run(directory, dict(islice(unfinished.items(), self.n_jobs)))
                returns, failures = [*returns, *ended], failures | failed
            elif len(proposed) < self.n_trials:
                scores = self._scores(directory, jobs)
                scored = [(proposed[i], score) for i, score in sorted(scores.items())]
                new = self.propose(overrides, scored, len(proposed))
                before, jobs = jobs, self._runs(directory, [with_values(overrides, values) for values in new], jobs)
                check_free([run for run in jobs if run not in before])
                proposed += new
                write_atomically(directory.proposals, json.dumps(proposed, indent=2) + "\n")
            else:
                break
        self._tell_best(directory, jobs, proposed)
        self._check_failures(directory, jobs, failures)
        return returns

    def _scores(self, directory: SweepDirectory, jobs: Runs) -> dict[int, float | None]:
        """Return the scores by job number. A diverged job has the score None, which is worse than any other."""
        ended = [read_job(run.path, str(i)) for i, run in enumerate(jobs) if run.results.exists()]
        ranked = trials(directory, ended)
        scores: dict[int, float | None] = {int(trial.job.number): trial.score for trial in ranked}
        for job in ended:
            if job.completed and int(job.number) not in scores:
                raise ConfigError(self._unranked(job, ranked))
        return scores | {int(job.number): None for job in ended if job.results["status"] == "diverged"}

    def _unranked(self, job: Job, ranked: list[Trial]) -> str:
        """Return the message why a completed job cannot be ranked with the others."""
        metric = self.metric or measure(job.results, "validation")[0]
        if not job.has(metric):
            has = ", ".join(filter(job.has, METRICS))
            return f"hydra.sweeper.metric={metric}: job {job.number} has none. Allowed here: {has}"
        first, theirs, ours = ranked[0].job, ranked[0].compared_by, job.compared_by(metric)
        differ = [f"{key} is {ours[key]} here and {theirs[key]} there" for key in ours if ours[key] != theirs.get(key)]
        both = [name for name in METRICS if first.has(name) and job.has(name)]
        ranking = [name for name in both if first.compared_by(name) == job.compared_by(name)]
        way = f"hydra.sweeper.metric={ranking[0]}" if ranking else "search among what can be compared"
        return f"job {job.number} cannot be ranked with job {first.number}: {', '.join(differ)}: {way}"

    def propose(self, overrides: list[Override], scored: list[tuple[Values, float | None]], first: int) -> list[Values]:
        """Propose the values of the next jobs.

        They depend only on the earlier jobs and their number, so a resumed search proposes the same.

        Args:
            overrides: The overrides of the search.
            scored: The values and scores of the earlier jobs.
            first: The number of the first new job. It also selects the seed.
        """
        import optuna
        from optuna.trial import TrialState, create_trial

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        space = {override.signed_key: search_space(override) for override in overrides if override.is_sweep}
        study = optuna.create_study(direction="maximize", sampler=instantiate(self.sampler, seed=self.seed + first))
        for values, score in scored:
            params = {key: _value(distribution, values[key]) for key, distribution in space.items()}
            state = TrialState.PRUNED if score is None else TrialState.COMPLETE
            study.add_trial(create_trial(params=params, distributions=space, value=score, state=state))
        try:
            proposed = [study.ask(space).params for _ in range(min(self.n_jobs, max(self.n_trials - first, 1)))]
        except ImportError as error:
            raise ConfigError(f"hydra.sweeper.sampler: {error}: {self.sampler['_target_']} needs it") from error
        return [{key: _value_text(space[key], value) for key, value in values.items()} for values in proposed]

    def _tell_best(self, directory: SweepDirectory, jobs: Runs, proposed: list[Values]) -> None:
        completed = [read_job(run.path, str(i)) for i, run in enumerate(jobs) if run.is_completed()]
        if ranked := trials(directory, completed):
            trial = best(ranked)
            values = " ".join(f"{key}={value}" for key, value in proposed[int(trial.job.number)].items())
            log.info("The best is job %s, %s %.4f: %s", trial.job.number, trial.metric, trial.value, values)


def search_space(override: Override) -> "BaseDistribution":
    """Convert an override to a distribution of Optuna.

    `interval(a,b)`, `tag(log,interval(a,b))` and, for whole numbers, `int(interval(a,b))` are intervals; all others are
    choices.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    sweep = override.value
    if not isinstance(sweep, IntervalSweep):
        return CategoricalDistribution(override.choices())
    if unknown := sorted(sweep.tags - {"log"}):
        raise ConfigError(f"{override.text}: there is no tag {unknown[0]}, only log")
    low: Any = sweep.start
    high: Any = sweep.end
    kind = IntDistribution if isinstance(low, int) and isinstance(high, int) else FloatDistribution
    try:
        return kind(low, high, log="log" in sweep.tags)
    except ValueError as error:
        raise ConfigError(f"{override.text}: {error}") from error


def _value_text(distribution: "BaseDistribution", value: Any) -> str:
    """Format a value as in an override. Round a real number to four digits if the result is inside the interval."""
    from optuna.distributions import FloatDistribution

    if not isinstance(distribution, FloatDistribution):
        return str(value)
    short = f"{value:.4g}"
    return short if distribution.low <= float(short) <= distribution.high else repr(value)


def _value(distribution: "BaseDistribution", value_text: str) -> Any:
    """Parse a value of an override into the type of the distribution."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return value_text
    return int(value_text) if isinstance(distribution, IntDistribution) else float(value_text)
