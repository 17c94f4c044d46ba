"""The notebooks of docs/notebooks, from top to bottom."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def quick(notebook):
    """The notebook with a tenth of the samples, which shows other numbers and the same things."""
    for cell in code_of(notebook):
        cell.source = re.sub(r"(?<=samples=)\d+", lambda samples: str(int(samples[0]) // 10), cell.source)
    return notebook


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


INTERRUPTED = """
import os, signal
import pytorch_lightning as pl
import vae_exp

class Interrupt(pl.Callback):
    def on_train_batch_end(self, *_):
        os.kill(os.getpid(), signal.SIGINT)

words = ["logger=none", "touch=false", "callbacks.figures=null"]
words += ["callbacks.evaluate.images=10", "network.hidden_sizes=[5]"]
run = vae_exp.train("samples=200", "trainer.steps_per_execution=1", *words, callbacks=[Interrupt()])
[run.metrics[key] for key in ("status", "samples")]
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """All notebooks, one after another in one kernel that forgets each: importing torch takes seconds."""
    notebooks = {name: quick(read(name)) for name in NAMES}
    whole = nbformat.v4.new_notebook(metadata=notebooks[NAMES[0]].metadata)
    notebooks["interrupted"] = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(INTERRUPTED)])
    for notebook in notebooks.values():
        whole.cells += [*notebook.cells, nbformat.v4.new_code_cell("%reset -f")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
        folder = str(tmp_path_factory.mktemp("notebooks"))
        NotebookClient(whole, timeout=600, resources={"metadata": {"path": folder}}).execute()
    return notebooks


def kinds(cell):
    """What a cell shows last: nothing, text, a table or a picture."""
    results = [output.data for output in cell.outputs if output.output_type == "execute_result"]
    return [sorted(data) for data in results]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_from_top_to_bottom_and_shows_what_is_stored(executed, name):
    stored, fresh = code_of(read(name)), code_of(executed[name])
    assert [kinds(cell) for cell in fresh] == [kinds(cell) for cell in stored]
    pictures = [cell for cell in fresh if any("image/png" in kind for kind in kinds(cell))]
    assert len(pictures) >= 2
    shown = [output.get("data", {}) for cell in fresh for output in cell.outputs]
    bars = [data["text/plain"] for data in shown if "<progress" in data.get("text/html", "")]
    assert bars
    for bar in bars:
        seen, _, budget = bar.partition(" samples")[0].partition("/")
        assert seen == budget


@pytest.mark.slow
def test_an_interrupted_notebook_gets_the_run_so_far(executed):
    (cell,) = code_of(executed["interrupted"])
    printed = "".join(output.get("text", "") for output in cell.outputs)
    assert "Interrupted after 100 of 200 samples; all is saved. Go on with:" in printed
    assert [output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result"] == [
        "['interrupted', 100]"
    ]
