"""`python -m vae_exp sample` on a finished run."""

import pytest

from vae_exp.cli import sample

QUICK = ["samples=400", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=1"]
pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.fixture
def finished(once):
    return once("finished", "architecture=cvae", "architecture.latent_dim=4", "objective.samples=2", *QUICK)


class TestSample:
    def call(self, monkeypatch, *arguments):
        monkeypatch.setattr("sys.argv", ["sample", *arguments])
        sample.main()

    def test_writes_a_picture(self, finished, monkeypatch, capfd, tmp_path):
        self.call(monkeypatch, f"run={finished}", "n=9")
        picture = finished / "figures" / "samples_9.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert str(picture) in capfd.readouterr().out
        self.call(monkeypatch, f"run={finished}", "n=9", "checkpoint=best")
        assert (finished / "figures" / "samples_9_best.png").exists()
        self.call(monkeypatch, f"run={finished}", "n=9", "label=3", f"output={tmp_path}/new/three.png")
        assert (tmp_path / "new" / "three.png").read_bytes() != picture.read_bytes()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["run={}", "labl=3"], "labl: no such key. Did you mean label?"),
            (["run={}", "n=0"], "n=0: is not allowed"),
            (["run={}", "checkpoint=bset"], "checkpoint=bset: is not allowed: Input should be 'last' or 'best'"),
            (["run={}", "label=10"], "label=10: is not allowed: 0 to 9"),
            (["run=nowhere"], "run=nowhere: is not a run directory"),
            (["run="], "run=: a run directory is needed, and this is empty"),
            (["run={}/results.json"], "results.json: is not a run directory"),
            ([], "run: a value is needed"),
            (["64"], "key=value"),
            (["n={{a"], "key=value"),
            (["run={}", "output=picture.xyz"], "output=picture.xyz"),
            (["run={}", "output=/proc/none/picture.png"], "output=/proc/none"),
        ],
        ids=str,
    )
    def test_mistakes_are_named(self, finished, monkeypatch, capfd, arguments, message):
        with pytest.raises(SystemExit) as end:
            self.call(monkeypatch, *(argument.format(finished) for argument in arguments))
        assert end.value.code == 1
        assert message in capfd.readouterr().err

    def test_a_model_without_a_prior_has_no_samples(self, run, monkeypatch, capfd):
        outcome = run("architecture=ae", *QUICK)
        with pytest.raises(SystemExit):
            self.call(monkeypatch, f"run={outcome.directory}")
        assert "no prior" in capfd.readouterr().err
