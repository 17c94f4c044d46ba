"""`vae_exp report <dir>`: write the report of a run or a sweep again, and the tables and pictures of a sweep."""

from vae_exp.cli.arguments import directory_argument
from vae_exp.cli.explain import readable_errors
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.config.trust import check_directory
from vae_exp.results.jobs import holds_a_run, job_directories
from vae_exp.results.report import write_report
from vae_exp.results.sweep import write_sweep

USAGE = (
    "python -m vae_exp report <directory of a run or a sweep> [trust=<package>]: write its report.html again, and the "
    "tables and pictures of a sweep"
)


def main() -> None:
    """Write the report of the directory on the command line. `trust=` names packages to trust."""
    with readable_errors(CONFIG_DIR):
        path, trust = directory_argument(USAGE)
        check_directory(path, trust)
        if holds_a_run(path) or not job_directories(path):
            print(write_report(path))
        else:
            print(write_sweep(path).read_text(encoding="utf-8"))
            print(path / "report.html")
