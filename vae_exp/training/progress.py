"""Show the progress of a run on the terminal or in a notebook."""

import time
from abc import ABC, abstractmethod
from html import escape
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from vae_exp.results.metrics import SPLITS, format_headline, measure
from vae_exp.training.evaluation import Row

WIDTH = 24


class Bar(ABC):
    """A bar, and lines of text beside it."""

    @abstractmethod
    def start(self, samples: int, budget: int) -> None:
        """Show the bar."""

    @abstractmethod
    def update(self, samples: int, speed: str, score: str) -> None:
        """Show the samples seen, the samples per second and the last test bound."""

    @abstractmethod
    def print(self, line: str) -> None:
        """Print a line of text."""

    @abstractmethod
    def stop(self) -> None:
        """Leave the finished bar where it is."""


class TerminalBar(Bar):
    """A bar on a terminal. Without a terminal there are only the lines.

    Args:
        console: Where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self._bar = RichProgress(
            BarColumn(bar_width=WIDTH),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} samples  {task.fields[speed]}  {task.fields[score]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.file.isatty(),  # rich would take FORCE_COLOR for a terminal
            refresh_per_second=4,
        )

    def start(self, samples: int, budget: int) -> None:
        """Show the bar."""
        self._bar.start()
        self._task = self._bar.add_task("", total=budget, completed=samples, speed="", score="")

    def update(self, samples: int, speed: str, score: str) -> None:
        """Show the samples seen, the samples per second, the last test bound and the time left."""
        self._bar.update(self._task, completed=samples, speed=speed, score=score)

    def print(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Stop the bar. The finished bar stays on the terminal, which works as before."""
        self._bar.stop()


class NotebookBar(Bar):
    """A bar in the output of a notebook's cell. It needs IPython, which every notebook has, and no widgets."""

    def start(self, samples: int, budget: int) -> None:
        """Show the bar."""
        from IPython.display import display

        self._budget = budget
        shown = self._shown(samples, "", "")
        self._display: Any = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def update(self, samples: int, speed: str, score: str) -> None:
        """Show the samples seen, the samples per second and the last test bound."""
        self._display.update(self._shown(samples, speed, score), raw=True)

    def print(self, line: str) -> None:
        """Print a line below the bar."""
        print(line, flush=True)

    def stop(self) -> None:
        """Leave the bar: the notebook keeps it."""

    def _shown(self, samples: int, speed: str, score: str) -> dict[str, str]:
        parts = [f"{samples:,}/{self._budget:,} samples", speed, " ".join(score.split())]
        text = "  ".join(filter(None, parts))
        bar = f'<progress value="{samples}" max="{self._budget}" style="width:{WIDTH}ch"></progress>'
        return {"text/plain": text, "text/html": f'<div style="white-space:pre">{bar}  {escape(text)}</div>'}


class Progress:
    """Prints a line per evaluation. On a terminal and in a notebook, also shows a bar."""

    def __init__(self) -> None:
        console = Console()
        self._bar: Bar = NotebookBar() if console.is_jupyter else TerminalBar(console)

    def start(self, samples: int, budget: int) -> None:
        """Show the bar.

        Args:
            samples: The samples that the run has seen.
            budget: The samples at which it ends.
        """
        self._bar.start(samples, budget)
        self._since = (time.perf_counter(), samples)
        self._samples, self._budget = samples, budget
        self._speed = self._score = ""

    def advance(self, samples: int) -> None:
        """Update the bar, at most four times per second."""
        now, (last_time, last_samples) = time.perf_counter(), self._since
        self._samples = samples
        if now - last_time > 0.25 or samples == self._budget:
            self._speed = f"{(samples - last_samples) / (now - last_time):,.0f} samples/s"
            self._bar.update(samples, self._speed, self._score)
            self._since = (now, samples)

    def show(self, row: Row) -> None:
        """Print a line with the metrics of an evaluation."""
        self._bar.print(_line(row))
        self._score = format_headline(row, "test")
        self._bar.update(self._samples, self._speed, self._score)

    def stop(self) -> None:
        """Stop the bar. The finished bar stays where it is."""
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
