"""How a page says to make a run again, and how to cite it."""

from pages import report_data

from vae_exp.results.jobs import Job, read_job, read_jobs
from vae_exp.results.report.reproduce import reproduction

COMMAND = "python -m vae_exp +experiment=mnist_vae"
RESULTS = {
    "git_revision": "abc",
    "version/python": "3.11.7",
    "version/vae_exp": "0.1.0",
    "version/torch": "2.14.1",
    "test/bound": -104.04,
    "test/bound_standard_error": 0.42,
    "test/images": 10000,
    "samples": 1000000,
    "device": "cpu",
    "date": "2026-11-28T10:00:00+0000",
}


def job(path, overrides=None, **results):
    return Job("", path, overrides or {"experiment": "mnist_vae"}, RESULTS | results, [])


def test_the_commands_have_the_versions_the_commit_and_the_command(tmp_path):
    found = reproduction(COMMAND, [job(tmp_path)])
    assert found.commands.splitlines() == [
        "# python 3.11.7",
        "# vae_exp 0.1.0",
        "# torch 2.14.1",
        "git checkout abc",
        COMMAND,
    ]
    assert found.source.startswith("mnist_vae: MNIST in Auto-Encoding Variational Bayes")
    assert "note = {Commit abc}" in found.bibtex
    assert "year = {2026}" in found.bibtex


def test_the_citation_has_the_number_its_error_and_where_it_comes_from(tmp_path):
    assert reproduction(COMMAND, [job(tmp_path)]).citation == (
        "test/bound -104.0 ± 0.4 nats per image (standard error over 10,000 images) after 1,000,000 samples, "
        f"`{COMMAND}`, vae_exp 0.1.0, commit abc, PyTorch 2.14.1, on cpu, 2026-11-28."
    )


def test_a_commit_with_changed_files_is_not_checked_out(tmp_path):
    found = reproduction(COMMAND, [job(tmp_path, git_revision="abc+")])
    assert "git checkout" not in found.commands
    assert "# commit abc+" in found.commands
    assert "files were changed" in found.note


def test_jobs_of_several_commits_name_all_of_them(tmp_path):
    found = reproduction(COMMAND, [job(tmp_path), job(tmp_path, git_revision="def")])
    assert "# commit abc, def" in found.commands
    assert found.citation.startswith("2 runs, ")


def test_objects_that_a_program_passed_are_named(tmp_path):
    assert "{'network': 'Mine'}" in reproduction(COMMAND, [job(tmp_path, objects={"network": "Mine"})]).note


def test_a_run_without_its_command_says_nothing(tmp_path):
    assert reproduction("", [job(tmp_path)]) is None


def test_the_pages_have_the_command_as_it_was_typed(trained, swept):
    page, sweep = report_data(trained), report_data(swept)
    assert page["reproduction"]["commands"].splitlines()[-1] == page["command"]
    assert sweep["reproduction"]["commands"].splitlines()[-1] == sweep["command"]
    assert "seed=0,1,2" in sweep["command"]
    assert str(len(read_jobs(swept))) in sweep["reproduction"]["citation"]
    assert f"test/bound {read_job(trained).results['test/bound']:.0f}"[:12] in page["reproduction"]["citation"]
