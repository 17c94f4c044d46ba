"""What a shell is answered when TAB is pressed."""

import pytest

from vae_exp.cli.main import main


@pytest.fixture
def completed(monkeypatch, capsys):
    def call(line):
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setattr("sys.argv", ["vae_exp", "-sc", "query=bash"])
        main()
        return capsys.readouterr().out.split()

    return call


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vae_exp encode ou", ["output="]),
        ("vae_exp encode split=t", ["split=train", "split=test"]),
        ("vae_exp export run=a format=", ["format=onnx", "format=torch", "format=safetensors"]),
        ("vae_exp sample run=out", ["run=outputs/"]),
        ("vae_exp report outputs/", ["outputs/mine/"]),
        ("vae_exp evaluate nothing=", []),
        ("vae_exp tr", ["train", "trainer.", "trainer=", "trust="]),
        ("vae_exp train architecture=cv", ["architecture=cvae"]),
        ("vae_exp architecture=cv", ["architecture=cvae"]),
        ("vae_exp network=", ["network=conv", "network=mlp", "network=resnet"]),  # object is for Python programs
        ("vae_exp dataset=o", ["dataset=omniglot"]),
    ],
)
def test_commands_keys_and_values_are_completed(completed, tmp_path, monkeypatch, line, words):
    (tmp_path / "outputs" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert completed(line) == words


def test_every_key_is_offered_after_the_command(completed):
    assert {"run=", "split=", "output=", "checkpoint="} <= set(completed("vae_exp encode "))
