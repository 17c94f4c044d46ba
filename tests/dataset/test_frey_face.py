import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import URLError

import pytest
import torch
from images import FREY_FACE, needs_frey_face

from vae_exp.dataset.frey_face import ADDRESS, FILE, FreyFace, download, read
from vae_exp.errors import DataError


class TestFreyFace:
    @needs_frey_face
    def test_split_is_fixed_and_whole(self):
        splits = FreyFace(str(FREY_FACE)).load()
        assert (len(splits.train), len(splits.test)) == (1600, 365)
        assert splits.train.pixels.shape[1:] == (1, 28, 20)
        assert set(splits.train.labels.tolist()) == {-1}
        together = torch.cat([splits.train.pixels, splits.test.pixels]).flatten(1)
        assert len(together.unique(dim=0)) == len(read(FREY_FACE / FILE).unique(dim=0))
        assert torch.equal(FreyFace(str(FREY_FACE)).load().test.pixels, splits.test.pixels)

    @pytest.fixture
    def address(self, monkeypatch):
        """A server on this machine that has the file."""
        monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
        handler = partial(SimpleHTTPRequestHandler, directory=str(FREY_FACE))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}/{FILE}"
            server.shutdown()

    @needs_frey_face
    def test_is_downloaded_where_it_is_missing(self, tmp_path, address):
        download(tmp_path / "new" / FILE, address)
        assert len(FreyFace(str(tmp_path / "new")).load().train) == 1600
        assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]

    def test_missing_is_refused_with_directions(self, tmp_path, monkeypatch):
        def unreachable(address, timeout):
            raise URLError(f"no route to {address}")

        monkeypatch.setattr("urllib.request.urlopen", unreachable)
        with pytest.raises(DataError, match=rf"paths\.data.*no route to {ADDRESS}.*VAE_EXP_DATA"):
            FreyFace(str(tmp_path)).load()
        assert not list(tmp_path.iterdir())

    @needs_frey_face
    def test_cut_short_and_wrong_checksum_are_refused(self, tmp_path):
        from scipy.io import savemat

        whole = (FREY_FACE / FILE).read_bytes()
        (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match="cut short"):
            FreyFace(str(tmp_path)).load()
        frames = read(FREY_FACE / FILE).view(1965, 560).numpy().copy()
        frames[0, 0] += 1
        savemat(tmp_path / FILE, {"ff": frames.T})
        with pytest.raises(DataError, match="checksum"):
            FreyFace(str(tmp_path)).load()

    @needs_frey_face
    def test_a_downloaded_file_has_the_mode_that_the_umask_leaves(self, tmp_path, address):
        before = os.umask(0o027)
        try:
            download(tmp_path / FILE, address)
        finally:
            os.umask(before)
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o640
