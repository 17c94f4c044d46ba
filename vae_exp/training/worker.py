"""`python -m vae_exp.training.worker`: one of the processes that help to train a run on several devices.

The process that the user started also starts these (`training/distributed.py`).
"""

import sys
from pathlib import Path

from vae_exp.errors import UserError
from vae_exp.training.lasting_import import lasting_import

with lasting_import():
    from vae_exp.dataset.shard import Shard
    from vae_exp.training.distributed import CONFIG_FILE, END_FILE, join_group, leave_group
    from vae_exp.training.fit import prepare_worker


def main() -> None:
    """Train on this process's shard of every batch until the run ends."""
    directory, resumed, folder, size, rank = sys.argv[1:]
    shard = Shard(int(rank), int(size))
    try:
        device, fit = prepare_worker(Path(directory), Path(folder) / CONFIG_FILE, shard, resumed=resumed == "1")
        (Path(folder) / f"ready{rank}").touch()
        join_group(shard, device, folder)
        fit()
        leave_group()
    except UserError:  # the first process has the same error and reports it
        sys.exit(1)
    except RuntimeError:  # the first process has left, for example because a signal or a callback stopped the run
        if not (Path(folder) / END_FILE).exists():
            raise


if __name__ == "__main__":
    main()
