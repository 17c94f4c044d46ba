"""The list of runs and sweeps, and its filters."""

import pytest
from variants import variant

from vae_exp.errors import ConfigError
from vae_exp.results.listing import as_text, entries


@pytest.fixture
def folder(trained, tmp_path):
    variant(
        trained, tmp_path / "runs" / "a", {"seed": 3}, **{"test/bound": -118.384, "test/bound_standard_error": 0.314}
    )
    variant(trained, tmp_path / "runs" / "b", {"architecture.latent_dim": 2}, status="failed", error="no")
    killed = variant(trained, tmp_path / "runs" / "c")
    (killed / "results.json").unlink()
    for number in "01":
        variant(trained, tmp_path / "sweep" / number, {"seed": int(number)}, **{"test/bound": -100.0 - int(number)})
    (tmp_path / "sweep" / "multirun.yaml").write_text("hydra: {}\n")
    return tmp_path


def names(folder, found):
    return [entry.run.removeprefix(f"{folder}/") for entry in found]


def test_a_line_has_the_state_the_budget_the_bound_and_the_date(folder):
    found = entries([folder / "runs", folder / "sweep"], {})
    assert names(folder, found) == ["runs/a", "runs/b", "runs/c", "sweep (sweep)"]
    first, second, killed, sweep = found
    assert (first.status, first.samples, first.budget, first.metric) == ("completed", "200", "200", "test/bound")
    assert first.value == "-118.4 ± 0.3"
    assert (second.status, killed.status, killed.budget) == ("failed", "killed", "200")
    assert all(entry.date[:2] == "20" for entry in found)
    assert (sweep.status, sweep.metric, sweep.value.split(" ")[0]) == ("2 completed", "best test/bound", "-100.0")
    lines = as_text(found).splitlines()
    assert [line.split()[0] for line in lines] == ["run", *(entry.run.split()[0] for entry in found)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"architecture.latent_dim": "2"}, ["runs/b"]),
        ({"seed": "3", "status": "completed"}, ["runs/a"]),
        ({"seed": "1"}, ["sweep/1"]),
        ({"optimizer.lr": ".02", "status": "killed"}, ["runs/c"]),
        ({"head": "none", "architecture": "vae", "status": "failed"}, ["runs/b"]),
        ({"network.hidden_sizes": "[8]", "status": "failed"}, ["runs/b"]),
        ({"dataset.train_size": "null", "seed": "3"}, ["runs/a"]),
        ({"likelihood": "gaussian"}, []),
    ],
    ids=str,
)
def test_a_filter_takes_any_key_and_finds_jobs_of_sweeps_too(folder, filters, expected):
    assert names(folder, entries([folder / "runs", folder / "sweep"], filters)) == expected


def test_an_unknown_key_is_one_message(folder):
    with pytest.raises(ConfigError, match=r"latnet_dim: no run has this key\. Did you mean architecture\.latent_dim"):
        entries([folder], {"architecture.latnet_dim": "2"})
