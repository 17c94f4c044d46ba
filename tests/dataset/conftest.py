"""A folder of images, and the data set that it is."""

import pytest

from vae_exp.dataset.folder import Folder


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def source(root, tmp_path):
    def build(**arguments):
        return Folder(str(root), str(tmp_path / "cache"), **arguments)

    return build
