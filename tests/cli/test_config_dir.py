import pytest

QUICK = ["samples=200", "logger=none", "callbacks.figures=null", "callbacks.evaluate.images=50"]
QUICK += ["network.hidden_sizes=[8]", "architecture.latent_dim=2", "trainer.compile=false"]

LIKELIHOOD = """
from vae_exp.likelihood import Bernoulli

class Mine(Bernoulli):
    def __init__(self, floor: float = 0.1) -> None:
        super().__init__()
"""


@pytest.fixture
def config_dir(tmp_path, monkeypatch):
    """A likelihood of the user's own."""
    (tmp_path / "my_likelihood.py").write_text(LIKELIHOOD)
    (tmp_path / "my confs" / "likelihood").mkdir(parents=True)
    yaml = "_target_: my_likelihood.Mine\nfloor: 0.1\n"
    (tmp_path / "my confs" / "likelihood" / "mine.yaml").write_text(yaml)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "my confs"


@pytest.mark.usefixtures("few_digits")
@pytest.mark.usefixtures("reports")
def test_what_to_type_again_names_the_config_folder(run, config_dir, tmp_path):
    words = ["--config-dir=my confs", "likelihood=mine", *QUICK]
    first = run(*words)
    assert first.status == 0, first.err
    refused = run(f"resume={first.directory}", "samples=300")
    assert refused.status == 1
    command = f"python -m vae_exp '--config-dir={config_dir}' resume={first.directory}"
    assert command in refused.err
    assert command.replace(f"resume={first.directory}", "likelihood=mine") in (
        (first.directory / "report.html").read_text().replace("&#x27;", "'")
    )
    assert run(f"--config-dir={config_dir}", f"resume={first.directory}", "samples=300").status == 0
    assert first.results["samples"] == 300

    sweep = run("-m", *words, "seed=-1,-2", "hydra.sweep.dir=sweep")
    command = f"python -m vae_exp -m '--config-dir={config_dir}' sweep.resume=sweep"
    assert command in sweep.err
    refused = run("-m", "sweep.resume=sweep")
    assert refused.status == 1
    assert command in refused.err


def test_help_and_messages_know_the_config_folder(run, config_dir):
    typo = run("--config-dir=my confs", "likelihood=mine", "likelihood.flor=3")
    assert typo.status == 1
    assert "likelihood.flor: no such key. Did you mean likelihood.floor?" in typo.err
    shown = run("--help", "--config-dir=my confs", "likelihood=mine")
    assert shown.status == 0, shown.err
    assert "logistic_mixture  student  mine" in shown.out
    assert "floor: 0.1" in shown.out
