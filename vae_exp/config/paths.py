"""The folder of the packaged configs."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
INSTALLED = PACKAGE / "conf"
CONFIG_DIR = INSTALLED if INSTALLED.exists() else PACKAGE.parent / "conf"
