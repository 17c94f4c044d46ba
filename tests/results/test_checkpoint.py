import random
import shutil
import zipfile

import pytest
import torch
from messages import contents, one_line

import vae_exp
from vae_exp.cli import evaluate, sample
from vae_exp.errors import RunError
from vae_exp.results.checkpoint import read_checkpoint
from vae_exp.results.checksum import CHECKSUM_MARK, DIGEST_BYTES
from vae_exp.training.checkpoint_io import AtomicCheckpointIO

QUICK = ["network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.3"]
LAST = "checkpoints/last.ckpt"


class TestCheckpoints:
    def test_fifty_flipped_bytes_are_fifty_refusals(self, trained):
        path = trained / LAST
        whole = path.read_bytes()
        ends = [0, 3, len(whole) - 1, len(whole) - DIGEST_BYTES - 1, len(whole) - DIGEST_BYTES - len(CHECKSUM_MARK) - 1]
        places = ends + random.Random(0).sample(range(len(whole)), 50 - len(ends))
        refused = 0
        for place in places:
            damaged = bytearray(whole)
            damaged[place] ^= 1 << random.Random(place).randrange(8)
            path.write_bytes(damaged)
            with pytest.raises(RunError, match=r"last\.ckpt: is damaged or not a checkpoint \(.*\)$"):
                read_checkpoint(path)
            refused += 1
        assert refused == 50
        path.write_bytes(whole)
        assert read_checkpoint(path)["vae_exp"]["samples_seen"] == 200

    @pytest.mark.parametrize(
        "change",
        [
            lambda whole: b"",
            lambda whole: whole + b"\0",
            lambda whole: whole[:-1],
            lambda whole: whole[:-DIGEST_BYTES],
            lambda whole: whole[: -DIGEST_BYTES - len(CHECKSUM_MARK)],
            lambda whole: whole[: len(whole) // 2],
            lambda whole: whole.replace(b"architecture", b"architectura", 1),
        ],
        ids=["empty", "longer", "shorter", "no digest", "no checksum", "half", "another word"],
    )
    @pytest.mark.parametrize("name", ["last", "best"])
    def test_nor_more_or_fewer(self, trained, name, change):
        path = trained / "checkpoints" / f"{name}.ckpt"
        path.write_bytes(change(path.read_bytes()))
        with pytest.raises(RunError, match=f"{name}.ckpt: is damaged"):
            vae_exp.load_run(trained, name)

    def test_every_program_refuses_them(self, run, trained, command):
        path = trained / LAST
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 4
        path.write_bytes(damaged)
        before = contents(trained)
        for words in ([f"resume={trained}", "samples=400"], [f"start_from={trained}", "samples=100", *QUICK]):
            outcome = run(*words)
            assert outcome.status == 1
            one_line(outcome.err, LAST, "is damaged")
        for module in (sample, evaluate):
            status, output = command(module, f"run={trained}")
            assert status == 1
            one_line(output.err, LAST, "is damaged")
        with pytest.raises(RunError, match="is damaged"):
            AtomicCheckpointIO().load_checkpoint(path)
        assert contents(trained) == before

    def test_a_compressed_one_is_refused_before_it_fills_the_memory(self, trained):
        path, packed = trained / LAST, trained.with_name("packed")
        with zipfile.ZipFile(path) as whole, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as other:
            for entry in whole.infolist():
                other.writestr(entry.filename, whole.read(entry.filename))
        packed.replace(path)
        with pytest.raises(RunError, match=r"is damaged or not a checkpoint \(it is compressed\)"):
            read_checkpoint(path)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("samples_seen", "x"), ("steps", None), ("seconds", "x"), ("metrics", None), ("config", 3), ("generator", 3)],
    )
    def test_one_without_what_a_run_goes_on_with_is_refused(self, run, trained, name, value):
        checkpoint = torch.load(trained / LAST, weights_only=True)
        checkpoint["vae_exp"][name] = value
        torch.save(checkpoint, trained / LAST)
        outcome = run(f"resume={trained}", "samples=400")
        assert outcome.status == 1
        one_line(outcome.err, f"{LAST}: is damaged", f"its {name} is missing or of another kind")

    def test_older_ones_load_with_one_warning_and_new_ones_load_everywhere(self, run, trained):
        path, older = trained / LAST, trained.with_name("older")
        shutil.copytree(trained, older)
        torch.save(torch.load(path, weights_only=True), older / LAST)
        outcome = run(f"resume={older}", "samples=300")
        assert outcome.status == 0, outcome.err
        assert outcome.out.count("has no checksum") == 1
        assert f"{LAST}: has no checksum" in outcome.out
        outcome = run(f"resume={trained}", "samples=300")
        assert "checksum" not in outcome.out + outcome.err
        old, new = (torch.load(directory / LAST, weights_only=True)["state_dict"] for directory in (older, trained))
        assert all(torch.equal(value, new[name]) for name, value in old.items() if isinstance(value, torch.Tensor))
