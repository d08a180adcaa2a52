"Files that are broken, full or forbidden, and what core says about them."
import errno, json, os, pickle, random, warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dit_edu import core
from dit_edu.core import (DitEduError, atomic_write, image_grid, load_weights, read_json, save_image, save_weights,
                          seed_everything, show_images, state_hash, stream, to_01, to_11, to_pil, write_json)


@pytest.fixture
def state(): return {"a": torch.randn(3, 4), "b": torch.arange(5), "c": torch.tensor(1.5).bfloat16()}


def test_weights_round_trip(tmp_path, state):
    save_weights(tmp_path / "deep" / "w.safetensors", state, {"n": 1, "name": "größe"})
    back, meta = load_weights(tmp_path / "deep" / "w.safetensors")
    assert meta == {"n": 1, "name": "größe"} and state_hash(back) == state_hash(state)
    for k, v in state.items(): assert torch.equal(back[k], v) and back[k].dtype == v.dtype


def test_weights_with_shared_memory_views_and_no_meta(tmp_path):
    w = torch.randn(4, 4)
    save_weights(tmp_path / "w.safetensors", {"a": w, "b": w, "c": w.t(), "d": w[1]})
    back, meta = load_weights(tmp_path / "w.safetensors")
    assert meta == {} and torch.equal(back["a"], back["b"]) and torch.equal(back["c"], w.t()) and torch.equal(back["d"], w[1])


def test_weights_have_the_usual_rights(tmp_path, state):
    (tmp_path / "plain").touch(); save_weights(tmp_path / "w.safetensors", state)
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_every_header_length_loads(tmp_path):
    "A header whose length begins with the bytes of a pickle or a zip is still safetensors."
    firsts = set()
    for n in range(0, 700, 8):
        save_weights(tmp_path / "w.safetensors", {"a": torch.ones(1)}, {"pad": "x" * n})
        firsts.add((tmp_path / "w.safetensors").read_bytes()[:2])
        assert load_weights(tmp_path / "w.safetensors")[1]["pad"] == "x" * n
    assert b"\x80\x02" in firsts  # the trap was really there


class Bomb:
    def __reduce__(self): return (os.mkdir, (os.environ["BOMB"],))


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle", "renamed"])
def test_pickles_are_refused_and_never_run(tmp_path, state, how, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    path = tmp_path / ("w.safetensors" if how == "renamed" else "w.pth")
    if how == "pickle": path.write_bytes(pickle.dumps({"w": Bomb()}))
    else: torch.save({"w": state["a"], "bomb": Bomb()}, path, _use_new_zipfile_serialization=how != "legacy")
    with pytest.raises(DitEduError, match="pickle"): load_weights(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("keep", [0, 4, 8, 60, -1])
def test_truncated_safetensors(tmp_path, state, keep):
    path = tmp_path / "w.safetensors"
    save_weights(path, state); path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DitEduError, match="broken, cut short or no safetensors"): load_weights(path)


def test_text_and_missing_weights(tmp_path):
    (tmp_path / "w.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 1\n")
    with pytest.raises(DitEduError, match="download or save it again"): load_weights(tmp_path / "w.safetensors")
    with pytest.raises(DitEduError, match="no weights file"): load_weights(tmp_path / "none.safetensors")
    with pytest.raises(DitEduError, match="no weights file"): load_weights(tmp_path)


WRITERS = [lambda p: write_json(p, {"a": 1}), lambda p: save_weights(p, {"a": torch.ones(2)}), lambda p: save_image(torch.zeros(3, 4, 4), p.with_suffix(".png"))]


@pytest.mark.parametrize("write", WRITERS)
def test_folder_is_a_file(tmp_path, write):
    (tmp_path / "f").write_text("in the way")
    with pytest.raises(DitEduError, match="Could not write"): write(tmp_path / "f" / "x")
    assert (tmp_path / "f").read_text() == "in the way"


@pytest.mark.parametrize("write", WRITERS)
def test_disk_full_keeps_the_old_file(tmp_path, write, monkeypatch):
    "The disk fills up at the last moment: what was there stays, and nothing is left lying about."
    write(tmp_path / "x")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    def full(*a): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(core.os, "fsync", full)
    with pytest.raises(DitEduError, match="No space left"): write(tmp_path / "x")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_device_full():
    with pytest.raises(DitEduError, match="No space left"):
        with atomic_write("/tmp/never-made") as tmp:
            with open("/dev/full", "w") as f: f.write("x")
    assert not Path("/tmp/never-made").exists()


def test_another_error_inside_is_not_disguised(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with atomic_write(tmp_path / "x") as tmp: tmp.write_text("half"); 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_json_refused_before_anything_is_written(tmp_path):
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(TypeError): write_json(tmp_path / "a.json", object())
    assert read_json(tmp_path / "a.json") == [1]
    for bad in (b"", b"\xff\xfe{", b"{"):
        (tmp_path / "b.json").write_bytes(bad)
        with pytest.raises(DitEduError, match="b.json"): read_json(tmp_path / "b.json")
    with pytest.raises(DitEduError, match="no file"): read_json(tmp_path / "none.json")


def test_streams_do_not_touch_the_global_one():
    seed_everything(1); a = torch.rand(3)
    seed_everything(1); stream(0, "x"); torch.randn(5, generator=stream(0, "noise")); b = torch.rand(3)
    assert torch.equal(a, b)
    assert stream(0, "a", 1).initial_seed() == stream(0, "a", 1).initial_seed() != stream(0, "a1").initial_seed()
    seed_everything(-1); seed_everything(2**40)  # NumPy alone would refuse both


def test_stream_values_are_for_ever():
    "Runs are resumed by newer versions: these numbers may not change."
    assert stream(0, "noise", 700).initial_seed() == 164932081632955303


def test_to_pil_survives_what_a_bad_network_says():
    x = torch.tensor([float("nan"), float("inf"), -float("inf"), 2.0]).view(1, 2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array(to_pil(x)).tolist() == [[0, 255], [0, 255]]
    for bad in [torch.zeros(2, 4, 4), torch.zeros(1, 3, 4, 4), torch.zeros(4, 4)]:
        with pytest.raises(DitEduError, match="shape"): to_pil(bad)


def test_units_on_half_precision():
    x = torch.linspace(0, 1, 9).bfloat16()
    assert torch.equal(to_01(to_11(x)), x)


def test_show_images_takes_all_kinds():
    import matplotlib; matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    show_images(torch.rand(9, 3, 8, 8)); assert len(plt.gcf().axes) == 1
    show_images([torch.rand(3, 8, 8), torch.rand(1, 4, 6), Image.new("RGBA", (5, 5)), Image.new("L", (5, 5))], titles=list("abcd")); assert [a.get_title() for a in plt.gcf().axes] == list("abcd")
    show_images(torch.rand(2, 1, 8, 8), ncols=1, suptitle="two"); show_images(Image.new("RGB", (4, 4)))
    fig, axes = plt.subplots(1, 2); show_images(torch.rand(2, 3, 4, 4), ax=axes); assert all(a.images for a in axes)
    with pytest.raises(DitEduError, match="no images"): show_images([])
    plt.close("all")


def test_image_grid_of_one_and_of_a_ragged_row():
    x = torch.rand(5, 3, 4, 6)
    g = image_grid(x, ncols=2, pad=1)
    assert g.shape == (3, 3 * 5 - 1, 2 * 7 - 1) and torch.equal(g[:, 10:14, :6], x[4]) and (g[:, 10:, 7:] == 1).all()
    assert torch.equal(image_grid(x[:1], pad=0), x[0])


def test_pictures_that_a_format_cannot_hold(tmp_path):
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    save_image(clear, tmp_path/"a.jpg"); assert Image.open(tmp_path/"a.jpg").mode == "RGB"
    save_image(clear, tmp_path/"a.png"); assert Image.open(tmp_path/"a.png").mode == "RGBA"
    for name in ("a.psd", "a.text", "a"):
        with pytest.raises(DitEduError, match="no image format"): save_image(clear, tmp_path/name)
