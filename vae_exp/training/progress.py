"""Show the progress of a run on the terminal."""

import time

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from vae_exp.results.metrics import SPLITS, format_headline, measure
from vae_exp.training.evaluation import Row


class Progress:
    """Prints a line per evaluation. On a terminal, also shows a bar: samples, samples/s, last test bound, time left."""

    def __init__(self) -> None:
        console = Console()
        self._bar = Bar(
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} samples  {task.fields[speed]}  {task.fields[score]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.file.isatty(),  # rich would take FORCE_COLOR for a terminal
            refresh_per_second=4,
        )

    def start(self, samples: int, budget: int) -> None:
        """Show the bar.

        Args:
            samples: The samples that the run has seen.
            budget: The samples at which it ends.
        """
        self._bar.start()
        self._task = self._bar.add_task("", total=budget, completed=samples, speed="", score="")
        self._since = (time.perf_counter(), samples)
        self._budget = budget

    def advance(self, samples: int) -> None:
        """Update the bar, at most four times per second."""
        now, (last_time, last_samples) = time.perf_counter(), self._since
        if now - last_time > 0.25 or samples == self._budget:
            speed = (samples - last_samples) / (now - last_time)
            self._bar.update(self._task, completed=samples, speed=f"{speed:,.0f} samples/s")
            self._since = (now, samples)

    def show(self, row: Row) -> None:
        """Print a line with the metrics of an evaluation."""
        self._bar.console.print(_line(row), highlight=False, soft_wrap=True)
        self._bar.update(self._task, score=format_headline(row, "test"))

    def stop(self) -> None:
        """Stop the bar. The finished bar stays on the terminal, which works as before."""
        self._bar.stop()


def _line(row: Row) -> str:
    columns = [f"{row['samples']:>11,.0f} samples"]
    for split in SPLITS:
        name, _ = measure(row, split)
        if name in row:
            columns.append(format_headline(row, split))
        if f"{split}/error" in row and name != f"{split}/error":
            columns.append(f"{split}/error {row[f'{split}/error']:7.2%}")
    return "   ".join([*columns, f"{row['steps_per_second']:6.0f} steps/s"])
