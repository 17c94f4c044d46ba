"""`python -m vae_exp.report <dir>`: write the report of a run or a sweep again."""

import sys

from vae_exp.__main__ import CONFIG_DIR
from vae_exp.explain import readable_errors
from vae_exp.report import write_report


def main() -> None:
    """One argument, the directory."""
    with readable_errors(CONFIG_DIR):
        if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
            print("python -m vae_exp.report <directory of a run or a sweep>: write its report.html again")
            sys.exit(len(sys.argv) != 2)
        print(write_report(sys.argv[1]))


if __name__ == "__main__":
    main()
