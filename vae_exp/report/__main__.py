"""`python -m vae_exp.report <dir>`: write the report of a run or a sweep again."""

from vae_exp.__main__ import CONFIG_DIR
from vae_exp.arguments import directory_argument
from vae_exp.config.trust import check_directory
from vae_exp.explain import readable_errors
from vae_exp.report import write_report

USAGE = "python -m vae_exp.report <directory of a run or a sweep> [trust=<package>]: write its report.html again"


def main() -> None:
    """One argument, the directory, and `trust=`."""
    with readable_errors(CONFIG_DIR):
        path, trust = directory_argument(USAGE)
        check_directory(path, trust)
        print(write_report(path))


if __name__ == "__main__":
    main()
