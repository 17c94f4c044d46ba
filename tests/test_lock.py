import errno
import fcntl
import os

import pytest

from vae_exp import lock


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_it_warns_once_and_goes_on(reason, tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):
        with lock.exclusive_access(tmp_path, "another process is in it"), lock.locked(tmp_path / "other", wait=True):
            pass
    (record,) = caplog.records
    assert f"has no locks ({os.strerror(reason)})" in record.getMessage()


def test_an_error_of_another_kind_is_none_of_missing_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"), lock.exclusive_access(tmp_path, "another process is in it"):
        pass
