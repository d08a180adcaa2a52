"The latent cache under attack: kills, other VAEs, other images, broken files, full disks."
import os, pickle, resource, signal, subprocess, sys, time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from dit_edu.core import DitEduError, read_json, write_json
from dit_edu.data import ImageFolder
from dit_edu.latents import LatentCache, cache_latents, raw_moments
from dit_edu.vae import VAE


def small_vae(seed=0):
    torch.manual_seed(seed)
    return VAE(channels=(8, 8, 8), num_down_layers=1, num_up_layers=1, norm_groups=4)


def paint(folder, n, seed=0):
    rng = np.random.default_rng(seed)
    for i in range(n):
        path = Path(folder) / f"{'ab'[i % 2]}/{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)
    return Path(folder)


@pytest.fixture
def data(tmp_path): return ImageFolder(paint(tmp_path / "images", 20), 16, classes=True)


def same_bytes(a, b):
    a, b = Path(a), Path(b)
    assert sorted(f.name for f in a.iterdir()) == sorted(f.name for f in b.iterdir())
    for f in a.iterdir(): assert f.read_bytes() == (b / f.name).read_bytes(), f.name


def cache(vae, data, folder, **kw): return cache_latents(vae, data, folder, batch_size=4, shard_size=8, progress=False, device="cpu", **kw)


def test_holds_what_the_encoder_says(tmp_path, data):
    vae = small_vae()
    c = cache(vae, data, tmp_path / "z", flips=True)
    assert len(c) == 20 and c.classes == ["a", "b"] and c.shape == (4, 4, 4)
    for i in (0, 7, 8, 19):
        for flip in (False, True):
            mean, log_var = raw_moments(vae, data.get(i, flip=flip)["image"][None])
            torch.testing.assert_close(c.get(i, flip)["mean"], mean[0], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(c.get(i, flip)["log_var"], log_var[0], atol=1e-5, rtol=1e-4)
        assert c[i]["label"] == data[i]["label"] and c[i]["index"] == i
    assert c.get(-1)["index"] == 19
    with pytest.raises(IndexError): c[20]


@pytest.mark.parametrize("kw", [{}, dict(flips=True), dict(flips=True, dtype=torch.float16)])
def test_held_in_memory_is_the_same_as_from_the_disk(tmp_path, data, kw):
    c = cache(small_vae(), data, tmp_path / "z", **kw)
    idx, flips = torch.randint(20, (50,)), torch.rand(50) < 0.5 if kw else None
    before = c.batch(idx, flips), c.get(7, bool(kw))
    for f in (c.hold("cpu").folder).glob("shard-*"): f.unlink() # nothing is read any more
    for was, now in zip(before, (c.batch(idx, flips), c.get(7, bool(kw)))):
        assert was.keys() == now.keys()
        for k in was: assert torch.equal(torch.as_tensor(was[k]), torch.as_tensor(now[k])) and type(was[k]) is type(now[k]), k
    with pytest.raises(IndexError): c.batch([20])


def test_batch_is_the_same_as_one_by_one(tmp_path, data):
    c = cache(small_vae(), data, tmp_path / "z", flips=True)
    idx, flips = torch.randint(20, (50,)), torch.rand(50) < 0.5
    b = c.batch(idx, flips)
    for j in range(50):
        one = c.get(int(idx[j]), bool(flips[j]))
        assert torch.equal(b["mean"][j], one["mean"]) and torch.equal(b["log_var"][j], one["log_var"])
    assert c.batch([])["mean"].shape == (0, 4, 4, 4)


def test_other_programs_can_read_the_shards(tmp_path, data):
    c = cache(small_vae(), data, tmp_path / "z")
    with safe_open(tmp_path / "z" / "shard-00001.safetensors", "pt") as f:
        assert torch.equal(f.get_tensor("mean")[2], c[10]["mean"])
        assert f.get_tensor("label").tolist() == c.batch(range(8, 16))["label"].tolist()


def test_unit_variance_and_independence_of_scaling(tmp_path, data):
    vae = small_vae()
    c = cache(vae, data, tmp_path / "z")
    z = torch.cat([c.sample(range(20), generator=torch.Generator().manual_seed(k))[0] for k in range(60)])
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(4), atol=0.03, rtol=0)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(4), atol=0.03, rtol=0)
    vae.set_latent_stats(c.mean, c.std)
    same_bytes(cache(vae, data, tmp_path / "z2").folder, c.folder)


def test_float16(tmp_path, data):
    c, h = cache(small_vae(), data, tmp_path / "z"), cache(small_vae(), data, tmp_path / "h", dtype=torch.float16)
    assert h[3]["mean"].dtype == torch.float32
    torch.testing.assert_close(h[3]["mean"], c[3]["mean"], atol=2e-3, rtol=2e-3)
    with pytest.raises(DitEduError, match="float16, not float32"): cache(small_vae(), data, tmp_path / "h", dtype=torch.float32)
    with pytest.raises(DitEduError, match="bfloat16"): cache(small_vae(), data, tmp_path / "b", dtype=torch.bfloat16)


CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
from test_latents import *
class Slow(ImageFolder):
    def get(self, i, flip=False, epoch=0):
        time.sleep({pause}); return super().get(i, flip, epoch)
cache(small_vae(), Slow({images!r}, 16, classes=True), {out!r}, flips=True)
"""


def child(tmp_path, out, pause): return [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parent), images=str(tmp_path / "images"), out=str(out), pause=pause)]


def test_kill_9_then_finish_gives_the_same_bytes(tmp_path, data):
    whole = cache(small_vae(), data, tmp_path / "whole", flips=True)
    out = tmp_path / "killed"
    p = subprocess.Popen(child(tmp_path, out, 0.3), stderr=subprocess.DEVNULL)
    end = time.time() + 300
    while not (out / "shard-00000.safetensors").exists() and time.time() < end and p.poll() is None: time.sleep(0.02)
    p.send_signal(signal.SIGKILL); p.wait()
    assert (out / "shard-00000.safetensors").exists() and not (out / "shard-00002.safetensors").exists()
    with pytest.raises(DitEduError, match="not finished"): LatentCache(out)
    (out / ".shard-00001-1-abc.tmp.safetensors").write_bytes(b"half")  # what a kill in the middle of a write leaves
    when = (out / "shard-00000.safetensors").stat().st_mtime_ns
    same_bytes(cache(small_vae(), data, out, flips=True).folder, whole.folder)
    assert (out / "shard-00000.safetensors").stat().st_mtime_ns == when


def test_workers_give_the_same_bytes(tmp_path, data):
    same_bytes(cache(small_vae(), data, tmp_path / "a").folder, cache(small_vae(), data, tmp_path / "b", num_workers=1).folder)


def test_stale_caches_are_refused_with_the_reason(tmp_path, data):
    vae = small_vae()
    folder = cache(vae, data, tmp_path / "z").folder
    LatentCache(folder, small_vae(), data)
    retrained = small_vae(); next(retrained.parameters()).data.add_(1e-6)
    images = tmp_path / "images"
    fewer = ImageFolder(paint(tmp_path / "fewer", 18), 16, classes=True)
    (images / "a/000.png").rename(images / "a/zzz.png")
    renamed = ImageFolder(images, 16, classes=True)
    (images / "a/zzz.png").rename(images / "a/000.png")
    repainted = ImageFolder(paint(tmp_path / "again", 20, seed=5), 16, classes=True)
    for v, d, why in ((retrained, data, "another VAE"), (vae, ImageFolder(images, 8, classes=True, upscale=True), "prepared as"), (vae, fewer, "20 images and the data set has 18"),
                      (vae, renamed, "other ones"), (vae, ImageFolder(images, 16), "classes"), (vae, repainted, "other contents")):
        with pytest.raises(DitEduError, match=why) as e: LatentCache(folder, v, d)
        assert "rebuild=True" in str(e.value) and "\n" not in str(e.value)
        with pytest.raises(DitEduError, match=why): cache(v, d, folder)
    with pytest.raises(DitEduError, match="without the mirrored"): cache(vae, data, folder, flips=True)
    c = cache(retrained, data, folder, rebuild=True)
    same_bytes(c.folder, cache(retrained, data, tmp_path / "fresh").folder)


def test_foreign_partial_and_broken_folders(tmp_path, data):
    vae = small_vae()
    (tmp_path / "pkl").mkdir(); (tmp_path / "pkl/0.pkl").write_bytes(pickle.dumps({}))
    for f in (lambda: LatentCache(tmp_path / "pkl"), lambda: cache(vae, data, tmp_path / "pkl")):
        with pytest.raises(DitEduError, match="0.pkl"): f()
    assert len(cache(vae, data, tmp_path / "pkl", rebuild=True)) == 20 and (tmp_path / "pkl/0.pkl").exists()
    with pytest.raises(DitEduError, match="no latents"): LatentCache(tmp_path / "none")
    folder = cache(vae, data, tmp_path / "z").folder
    whole = (folder / "shard-00001.safetensors").read_bytes()
    for broken in (whole[:-1], whole[:5], b"", b"\x80\x02}q\x00.", b"\xff" * 64):
        (folder / "shard-00001.safetensors").write_bytes(broken)
        with pytest.raises(DitEduError, match="shard-00001.*cache_latents again"): LatentCache(folder)
        cache(vae, data, folder)
        assert (folder / "shard-00001.safetensors").read_bytes() == whole
    (folder / "shard-00002.safetensors").unlink()
    with pytest.raises(DitEduError, match="shard-00002"): LatentCache(folder)
    (folder / "index.json").write_text("{")
    with pytest.raises(DitEduError): LatentCache(folder)
    write_json(folder / "index.json", {"something": "else"})
    with pytest.raises(DitEduError, match="no latents of this format"): LatentCache(folder)
    with pytest.raises(DitEduError, match="index.json belongs to something else"): cache(vae, data, folder, rebuild=True)
    assert read_json(folder / "index.json") == {"something": "else"} and list(folder.glob("shard-*"))


def test_a_full_disk_is_one_sentence_and_goes_on_later(tmp_path, data):
    vae, out = small_vae(), tmp_path / "z"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with pytest.raises(DitEduError, match="Could not write|space"): cache(vae, data, out)
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(out.glob("*.safetensors"))
    assert len(cache(vae, data, out)) == 20


def test_nan_names_the_image(tmp_path, data):
    vae = small_vae(); vae.quant_conv.bias.data.fill_(float("nan"))
    with pytest.raises(DitEduError, match="a/000.png"): cache(vae, data, tmp_path / "z")


def test_the_vae_comes_back_as_it_was(tmp_path, data):
    vae = small_vae().train()
    cache(vae, data, tmp_path / "z")
    assert vae.training and read_json(tmp_path / "z/index.json")["finished"]


MEMORY = """
import sys, re, torch
from dit_edu.latents import LatentCache
def held(): return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
c = LatentCache(sys.argv[1]); c.batch(range(64)); start = held(); most = 0
for idx in torch.randperm(len(c)).split(64): c.batch(idx); most = max(most, held() - start)
print(most)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_memory_does_not_grow_with_the_data(tmp_path):
    class Plain(torch.nn.Module):
        config = {}
        def __init__(self): super().__init__(); self.w = torch.nn.Parameter(torch.zeros(1))
        def encode(self, x):
            from dit_edu.vae import DiagonalGaussian
            return DiagonalGaussian(x, x)
    class Grey:
        classes, preprocessing = [], "grey"
        def __init__(self, n): self.keys = [str(i) for i in range(n)]
        def __len__(self): return len(self.keys)
        def __getitem__(self, i): return dict(image=torch.full((4, 32, 32), i / 4096), label=0, key=str(i))
    grown = []
    for n in (512, 2048):  # 17 and 67 MB
        cache_latents(Plain(), Grey(n), tmp_path / str(n), batch_size=256, shard_size=512, progress=False, device="cpu")
        grown.append(float(subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path / str(n))], capture_output=True, text=True, check=True).stdout))
    assert grown[1] < 0.15 * 67, grown
    assert grown[1] - grown[0] < 5, grown
