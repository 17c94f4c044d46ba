"""`vae_exp list [folder] [key=value]`: list runs and sweeps."""

import sys
from pathlib import Path

from vae_exp.cli.arguments import expanded, matches
from vae_exp.cli.explain import readable_errors
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.errors import RunError, nearest_first
from vae_exp.results.listing import as_text, entries

DEFAULT_FOLDERS = ("outputs", "multirun")

USAGE = """\
python -m vae_exp list [<folder or glob> …] [key=value …]

List the runs and sweeps below the folders (by default outputs and multirun): state, samples, budget, bound, date.
With key=value, list the runs, also the jobs of sweeps, that have this value. The key is one of the config
(architecture.latent_dim=20), a part (likelihood=gaussian), or one of results.json (status=failed, seed=3).

  python -m vae_exp list
  python -m vae_exp list outputs architecture.latent_dim=20 status=completed
"""


def main() -> None:
    """Print the list for the folders and filters on the command line."""
    with readable_errors(CONFIG_DIR):
        words = sys.argv[1:]
        if {"-h", "--help"} & set(words):
            print(USAGE)
            return
        named = [word for word in words if "=" not in word or matches(word)]
        filters = dict(word.split("=", 1) for word in words if word not in named)
        folders = expanded(named) if named else [Path(name) for name in DEFAULT_FOLDERS if Path(name).exists()]
        for folder in folders:
            if not folder.is_dir():
                beside = [str(other) for other in folder.parent.glob("*") if other.is_dir()]
                nearest = "".join(f". Did you mean {name}?" for name in nearest_first(str(folder), beside)[:1])
                raise RunError(f"{folder}: no such folder{nearest}")
        found = entries(folders, filters)
        if found:
            print(as_text(found))
        else:
            where = ", ".join(map(str, folders)) or " or ".join(DEFAULT_FOLDERS)
            values = "".join(f" {key}={value}" for key, value in filters.items())
            print(f"no runs in {where}{values and ' with'}{values}")
