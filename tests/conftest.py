"""How the tests are distributed to workers. The fixtures are in helpers/shared_fixtures.py."""

import gc
import os
from collections import Counter
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run in parallel, and waiting threads use the CPU
TOGETHER = {
    # these share the process of tests/helpers/program.py, which takes seconds to start
    "tests/cli/test_main.py": "forked",
    "tests/hydra_plugins/test_vae_exp_processes.py": "forked",
    "tests/program/test_own_project.py": "forked",
    "tests/training/test_distributed.py": "forked",
    "tests/training/test_resume.py": "forked",
    "tests/training/test_stages.py": "forked",
    "tests/hydra_plugins/test_vae_exp_ray.py": "Ray",  # one after another: address=auto finds any Ray that runs
    # one worker loads the compiler
    "tests/network/test_linear.py": "compiled",
    "tests/training/engine/test_gradients.py": "compiled",
    "tests/training/engine/test_compiled.py": "compiled",
    "tests/program/test_private_apis.py": "compiled",
    "tests/program/test_wandb_sync.py": "W&B",
    "tests/scripts/test_wandb_workspace.py": "W&B",
    "tests/program/test_notebooks.py": "notebooks",
    "tests/program/test_surroundings.py": "wheel",  # these build one
    # these start a browser
    "tests/results/report/test_page.py": "browser",
    "tests/results/report/test_run.py": "browser",
    "tests/results/report/test_sweep.py": "browser",
    "tests/cli/test_touch.py": "browser",
    "tests/results/touch/test_content.py": "browser",
    "tests/results/touch/test_engine.py": "browser",
    "tests/results/touch/test_page.py": "browser",
    # these share a run
    "tests/program/hostile/test_files.py": "hostile",
    "tests/program/hostile/test_parts.py": "hostile",
    "tests/program/hostile/test_replayed.py": "hostile",
}
"""Files whose tests one worker runs. The groups begin in this order, before all other files: they take longest."""
GROUPS = [*dict.fromkeys(TOGETHER.values())]


class Scheduler(LoadScopeScheduling):
    """Distribute the tests to workers by `TOGETHER`.

    The marks of pytest-xdist 3.8 for groups have no effect with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def scope(nodeid: str) -> str:
    """Name the group of a test, or its file."""
    file = nodeid.partition("::")[0]
    return TOGETHER.get(file, file)


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures, but not in the process that only distributes: they import torch, which takes seconds."""
    if config.option.dist == "no" or hasattr(config, "workerinput"):
        gc.disable()  # until all is collected: shared_fixtures.py
        config.pluginmanager.import_plugin("shared_fixtures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests: the groups as in `TOGETHER`, then the files with the most tests."""
    sizes = Counter(scope(item.nodeid) for item in items)

    def place(item: pytest.Item) -> tuple[int, int]:
        name = scope(item.nodeid)
        return (GROUPS.index(name), 0) if name in GROUPS else (len(GROUPS), -sizes[name])

    items.sort(key=place)


def pytest_xdist_auto_num_workers() -> int:
    """Use one worker more than there are cores, because workers often wait for processes that they started."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    """Keep the order of `pytest_collection_modifyitems`: by default a file with few tests comes late."""
    config.option.loadscopereorder = False
    return Scheduler(config, log)
