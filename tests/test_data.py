"Bad pictures, odd pictures, and whether an upgrade has changed an avatar's pixels."
import errno, hashlib, os, pickle, subprocess, sys, threading, warnings
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from dit_edu import core, data
from dit_edu.core import DitEduError
from dit_edu.data import (AVATAR_CLASSES, AvatarDataset, CelebAMaskHQ, HFDataset, ImageFolder, TorchvisionDataset, avatar_attributes, check_image,
                          crop_box, crop_image, draw_avatar, list_images, load_image, make_dataset)


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch): monkeypatch.setenv("DIT_EDU_CACHE", str(tmp_path_factory.mktemp("cache")))


def picture(w=40, h=30, seed=0):
    "Something with structure, so that cropping and turning can be seen."
    y, x = np.mgrid[:h, :w]
    return Image.fromarray(np.stack([255 * x / w, 255 * y / h, 128 + 100 * np.sin((x + 2 * y + seed) / 5)], -1).astype(np.uint8))


@pytest.fixture
def album(tmp_path):
    root = tmp_path / "album"
    for i, name in enumerate(["b/2.png", "a/1.JPG", "b/1.webp", "b/deep/3.bmp", "a/10.jpeg", "b/4.tif", "b/5.TIFF"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed=i).save(root / name)
    return root


# ---- avatars ----
PIXELS = {"voxel-art": "573cc9e497080cf7",
          "pixel-art": "392a2ee2f781f14e",
          "open-peeps": "d9d3fccb8d5b203a",
          "thumbs": "3bd45ea3f66d3046",
          "critters": "d940f0aa2a8cf703",
          "moods": "cc4ed77a6c0ebf85",
          "sprouts": "d765ac657371eeb8",
          "planets": "3b2bfa0ee53305ae",
          "landscape": "0e4fda8130c75509",
          "voxel-bot": "c378c47eea4a2a4d"}


@pytest.mark.parametrize("style", AVATAR_CLASSES)
def test_avatar_pixels_have_not_changed(style):
    "If this fails after an upgrade, shipped weights were trained on other pixels: pin the old versions or retrain."
    assert hashlib.sha256(draw_avatar(style, "train-0-7").tobytes()).hexdigest()[:16] == PIXELS[style]


def test_avatar_attributes_and_force():
    a = avatar_attributes("voxel-art", "3")
    assert a["mouth"] and a["skinColor"].startswith("#") and not any("Rotate" in k for k in a)
    assert draw_avatar("voxel-art", "3", mouthVariant="tongue").tobytes() != draw_avatar("voxel-art", "3", mouthVariant="frown").tobytes()
    with pytest.raises(DitEduError, match="pixel-art"): draw_avatar("pixelart", "3")
    with pytest.raises(DitEduError, match="style"): draw_avatar("../moods", "3")


def test_avatars_are_read_back_as_drawn(tmp_path):
    ds = AvatarDataset(6, 16, ["moods", "thumbs"], seed=5, split="val", root=tmp_path)
    for i in range(6):
        item = ds[i]
        assert item["label"] == i % 2 and item["key"] == f"val-5-{i}" and item["index"] == i
        want = torch.from_numpy(np.array(draw_avatar(["moods", "thumbs"][i % 2], f"val-5-{i}", 16))).permute(2, 0, 1) / 127.5 - 1
        assert torch.allclose(item["image"], want, atol=1e-6)
    assert torch.equal(ds.get(2, flip=True)["image"], ds[2]["image"].flip(-1))
    with pytest.raises(IndexError): ds[6]
    item["image"].zero_()
    assert ds[5]["image"].abs().sum() > 0  # a caller cannot spoil the file


def test_each_parameter_has_its_own_file_and_grey_shares_it(tmp_path):
    kw = dict(num_images=2, size=8, styles=["moods", "thumbs"], root=tmp_path)
    paths = {AvatarDataset(**{**kw, **more}).path for more in [{}, dict(num_images=3), dict(size=9), dict(styles=["thumbs", "moods"]), dict(seed=1), dict(split="test")]}
    assert len(paths) == 6
    grey = AvatarDataset(**kw, channels=1)
    assert grey.path in paths and grey[0]["image"].shape == (1, 8, 8) and grey.signature != AvatarDataset(**kw).signature
    with mock.patch.object(data, "version", lambda p: "99"): assert AvatarDataset(**kw).path not in paths


def test_avatars_are_not_drawn_twice(tmp_path):
    kw = dict(num_images=2, size=8, styles=["moods"], root=tmp_path)
    a = AvatarDataset(**kw)[1]["image"]
    with mock.patch.object(data, "draw_avatar", side_effect=AssertionError("drawn again")): assert torch.equal(AvatarDataset(**kw)[1]["image"], a)


def test_killed_half_way_leaves_nothing_half_cached(tmp_path):
    kw = dict(num_images=4, size=8, styles=["moods"], root=tmp_path)
    real, count = draw_avatar, iter(range(99))
    def dies(*a):
        if next(count) == 2: raise KeyboardInterrupt
        return real(*a)
    with mock.patch.object(data, "draw_avatar", dies), pytest.raises(KeyboardInterrupt): AvatarDataset(**kw)
    assert not list(tmp_path.glob("*.npy")) and not list(tmp_path.glob(".*"))
    ds = AvatarDataset(**kw)
    assert all(ds.picture(i).std() > 0 for i in range(4))


def test_leftovers_of_a_killed_process_are_cleared(tmp_path):
    kw = dict(num_images=2, size=8, styles=["moods"], root=tmp_path)
    path = AvatarDataset(**kw).path
    path.unlink(); (tmp_path / f".{path.stem}-123-abc.tmp.npy").write_bytes(b"half")
    AvatarDataset(**kw)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, path.with_suffix(".lock").name])


def test_two_at_once_draw_once(tmp_path):
    kw, n = dict(num_images=3, size=8, styles=["moods"], root=tmp_path), []
    real = draw_avatar
    with mock.patch.object(data, "draw_avatar", lambda *a: (n.append(1), real(*a))[1]):
        ts = [threading.Thread(target=lambda: AvatarDataset(**kw)) for _ in range(3)]
        for t in ts: t.start()
        for t in ts: t.join()
    assert len(n) == 3


def test_helper_processes_draw_the_same(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((5, 8, 8, 3), np.uint8))
    data._draw_parallel(path, ["moods"], "train-0", 8, 5, 2)
    assert (np.load(path) == np.stack([np.asarray(draw_avatar("moods", f"train-0-{i}", 8)) for i in range(5)])).all()
    with pytest.raises(DitEduError, match="Drawing avatars stopped.*nosuch"): data._draw_parallel(path, ["nosuch"], "train-0", 8, 5, 1)


def test_avatars_travel_to_workers_by_path(tmp_path):
    ds = AvatarDataset(4, 8, ["moods"], root=tmp_path)
    assert len(pickle.dumps(ds)) < 5000 and torch.equal(pickle.loads(pickle.dumps(ds))[1]["image"], ds[1]["image"])


def test_avatar_folder_cannot_be_written(tmp_path):
    (tmp_path / "f").write_text("in the way")
    with pytest.raises(DitEduError, match="Could not write"): AvatarDataset(2, 8, ["moods"], root=tmp_path / "f")


def test_disk_full_while_drawing(tmp_path):
    def full(*a): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch.object(data.np, "save", full), pytest.raises(DitEduError, match="No space left"): AvatarDataset(2, 8, ["moods"], root=tmp_path)
    assert not list(tmp_path.glob("*.npy"))


def test_broken_avatar_file_and_bad_numbers(tmp_path):
    path = AvatarDataset(2, 8, ["moods"], root=tmp_path).path
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(DitEduError, match="delete it"): AvatarDataset(2, 8, ["moods"], root=tmp_path)
    for bad in [dict(num_images=0), dict(size=0), dict(styles=[])]:
        with pytest.raises(DitEduError, match="at least one"): AvatarDataset(**{**dict(num_images=2, size=8, styles=["moods"], root=tmp_path), **bad})
    with pytest.raises(DitEduError, match="did you mean"): AvatarDataset(2, 8, ["mood"], root=tmp_path)


# ---- folders ----
def test_order_classes_keys(album):
    (album / ".hidden.png").write_bytes(b""); (album / "b" / "._2.png").write_bytes(b"macOS"); (album / ".git").mkdir(); (album / "notes.txt").write_text("x")
    ds = ImageFolder(album, 16, classes=True)
    assert ds.keys == ["a/1.JPG", "a/10.jpeg", "b/1.webp", "b/2.png", "b/4.tif", "b/5.TIFF", "b/deep/3.bmp"]
    assert ds.classes == ["a", "b"] and ds.labels == [0, 0, 1, 1, 1, 1, 1] and [d["label"] for d in ds] == ds.labels
    plain = ImageFolder(album, 16)
    assert plain.classes == [] and set(plain.labels) == {0} and plain[0]["image"].dtype == torch.float32 and plain[0]["image"].abs().max() <= 1


def test_links_in_circles(album):
    (album / "b" / "round").symlink_to(album)
    assert len(list_images(album)) == 7


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "F"])
def test_every_mode_becomes_rgb(mode):
    im = picture()
    if mode in ("I", "I;16"): im = Image.fromarray((np.asarray(im.convert("L")).astype(np.uint16) * 257)).convert(mode)
    elif mode in ("La", "RGBa", "PA"): im = im.convert({"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}[mode]).convert({"PA": "P"}.get(mode, mode))
    elif mode == "LAB": im = Image.new("LAB", (40, 30), (128, 0, 0))
    else: im = im.convert(mode)
    try: out = data.to_rgb(im)
    except ValueError as e: pytest.skip(f"PIL has no way from {mode}: {e}") if mode == "LAB" else pytest.fail(str(e))
    assert out.mode == "RGB" and out.size == (40, 30)
    if mode not in ("1", "P", "PA", "LAB"):
        grey = np.asarray(picture().convert("L"), float)
        assert np.abs(np.asarray(out.convert("L"), float) - grey).mean() < 3, mode  # scaled, not clipped


@pytest.mark.parametrize("ext", ["png", "tif", "jpg", "webp"])
def test_stored_modes(tmp_path, ext):
    "RGBA, palette with a clear colour, grey, CMYK and 16 bits, through real files."
    modes = {"png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"], "tif": ["L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"], "jpg": ["L", "RGB", "CMYK"], "webp": ["RGB", "RGBA"]}[ext]
    for m in modes:
        im = Image.fromarray(np.asarray(picture().convert("L")).astype(np.uint16) * 257) if m == "I;16" else picture().convert(m)
        im.save(tmp_path / f"x.{ext}")
        x = ImageFolder(tmp_path, 16)[0]["image"]
        assert x.shape == (3, 16, 16) and x.std() > 0.2, (ext, m)


def test_transparent_is_white(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.png")
    p = Image.new("P", (8, 8), 3); p.putpalette([0, 0, 0] * 256); p.save(tmp_path / "b.png", transparency=3)
    Image.new("L", (8, 8), 7).save(tmp_path / "c.png", transparency=7)
    for n in "abc": assert np.asarray(load_image(tmp_path / f"{n}.png")).min() == 255, n


@pytest.mark.parametrize("tag", range(1, 9))
def test_exif_orientation(tmp_path, tag):
    T = Image.Transpose
    undo = {1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE, 6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270}[tag]
    im, ex = picture(), Image.Exif()
    ex[0x0112] = tag
    (im.transpose(undo) if undo is not None else im).save(tmp_path / "x.png", exif=ex)
    assert np.array_equal(np.asarray(load_image(tmp_path / "x.png")), np.asarray(im))


def test_unreadable_exif_is_no_reason_to_stop(tmp_path):
    picture().save(tmp_path / "x.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert load_image(tmp_path / "x.jpg").size == (40, 30)


@pytest.mark.parametrize("ext", ["jpg", "png", "webp", "bmp", "tif"])
def test_truncated_images_are_named_at_once(tmp_path, ext):
    picture(400, 300).save(tmp_path / f"good.{ext}"); raw = (tmp_path / f"good.{ext}").read_bytes()
    (tmp_path / f"bad.{ext}").write_bytes(raw[:len(raw) * 2 // 3])
    with pytest.raises(DitEduError, match=f"bad.{ext} is broken or cut short"): ImageFolder(tmp_path, 16)
    with pytest.warns(UserWarning, match=f"Left out 1 broken of 2 .*bad.{ext}") as w: ds = ImageFolder(tmp_path, 16, skip_broken=True)
    assert len(w) == 1 and ds.keys == [f"good.{ext}"]


def test_text_called_jpg_empty_file_and_folder_called_jpg(album):
    (album / "a" / "letter.jpg").write_text("Dear data set")
    with pytest.raises(DitEduError, match="letter.jpg is no image, whatever its name says"): ImageFolder(album, 16)
    (album / "a" / "nothing.png").write_bytes(b""); (album / "a" / "folder.png").mkdir()
    with pytest.raises(DitEduError, match="1 more in this folder"): ImageFolder(album, 16)
    with pytest.warns(UserWarning, match="Left out 2 broken of 9") as w: ds = ImageFolder(album, 16, classes=True, skip_broken=True)
    assert len(w) == 1 and len(ds) == 7 and ds.classes == ["a", "b"]


def test_damage_in_the_middle(album):
    "The ends are right, the middle is not: found when read, or before if broken files are to be skipped."
    path = album / "b" / "2.png"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)); noise.save(path) # 57 KB: no check of the ends alone would do
    raw = bytearray(path.read_bytes()); raw[len(raw) // 2] ^= 0xff; path.write_bytes(raw)
    ds = ImageFolder(album, 16)
    with pytest.raises(DitEduError, match="2.png is broken"): ds[ds.keys.index("b/2.png")]
    for _ in range(2):  # the second time from the remembered scan
        with pytest.warns(UserWarning, match="b/2.png"): assert len(ImageFolder(album, 16, skip_broken=True)) == 6
    noise.save(path)  # mended, in a byte in the middle: the memory no longer holds
    with warnings.catch_warnings():
        warnings.simplefilter("error"); assert len(ImageFolder(album, 16, skip_broken=True)) == 7


def test_nothing_readable(tmp_path):
    (tmp_path / "a.jpg").write_text("x")
    with pytest.raises(DitEduError, match="None of the 1 image files"): ImageFolder(tmp_path, 16, skip_broken=True)


def test_smaller_than_crop(album):
    with pytest.raises(DitEduError, match=r"1.JPG is 40 × 30 pixels, smaller than the 32 × 32"): ImageFolder(album, 32)
    for crop in ["center", "random", "resize"]:
        with pytest.raises(DitEduError, match="smaller"): ImageFolder(album, 32, crop=crop)
        assert ImageFolder(album, 32, crop=crop, upscale=True)[0]["image"].shape == (3, 32, 32)
        assert ImageFolder(album, 30, crop=crop)[0]["image"].shape == (3, 30, 30)


def test_missing_and_empty(tmp_path):
    with pytest.raises(DitEduError, match="no folder"): ImageFolder(tmp_path / "none", 16)
    with pytest.raises(DitEduError, match="no image in"): ImageFolder(tmp_path, 16)
    picture().save(tmp_path / "x.png")
    with pytest.raises(DitEduError, match="no folder"): ImageFolder(tmp_path / "x.png", 16)
    with pytest.raises(DitEduError, match="outside every class folder"): ImageFolder(tmp_path, 16, classes=True)
    with pytest.raises(DitEduError, match="Unknown crop"): ImageFolder(tmp_path, 16, crop="centre")


def test_file_gone_after_listing(album):
    ds = ImageFolder(album, 16); (album / "a" / "1.JPG").unlink()
    with pytest.raises(DitEduError, match="no image"): ds[0]


def test_center_is_resize_then_crop():
    im = picture(90, 60)
    a = np.asarray(crop_image(im, 30), float)
    b = np.asarray(im.resize((45, 30), Image.Resampling.LANCZOS).crop((7, 0, 37, 30)), float)
    c = np.asarray(im.resize((45, 30), Image.Resampling.LANCZOS).crop((8, 0, 38, 30)), float)
    assert np.abs(a - (b + c) / 2)[:, 2:-2].mean() < 2  # the true middle lies between the two whole pixels


def test_random_crops_are_decided_by_seed_epoch_index(album):
    ds = ImageFolder(album, 16, crop="random", seed=3)
    assert torch.equal(ds.get(0, epoch=1)["image"], ds.get(0, epoch=1)["image"]) and torch.equal(ds[0]["image"], ds.get(0, epoch=0)["image"])
    assert not torch.equal(ds.get(0, epoch=1)["image"], ds.get(0, epoch=2)["image"])
    assert not torch.equal(ds[0]["image"], ImageFolder(album, 16, crop="random", seed=4)[0]["image"])
    for w, h in [(40, 30), (30, 40), (30, 30)]:
        for k in range(50):
            l, t, r, b = crop_box(w, h, "random", torch.Generator().manual_seed(k), least=28)
            assert 0 <= l and 0 <= t and r <= w + 1e-9 and b <= h + 1e-9 and r - l >= 28 - 1e-9


def test_a_check_sum_of_the_whole_file(tmp_path):
    a = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    prints = []
    for turned in (a, np.concatenate([a[:100], 255 - a[100:200], a[200:]])):
        Image.fromarray(turned).save(tmp_path/"a.bmp"); prints.append(check_image(tmp_path/"a.bmp"))
    assert prints[0][:2] == prints[1][:2] == (400, 300) and prints[0][2] != prints[1][2]


def test_signature_sees_what_matters(album):
    sig = lambda **kw: ImageFolder(album, **{**dict(size=16), **kw}).signature
    base = sig()
    assert base == sig() == sig(flip=True) and len({base, sig(size=17), sig(crop="resize"), sig(channels=1), sig(classes=True)}) == 5
    os.utime(album / "b" / "2.png", (1, 1)); assert sig() == base  # a copy with another date is the same image
    picture(seed=50).save(album / "b" / "2.png"); assert sig() != base
    changed = sig(); (album / "b" / "2.png").rename(album / "b" / "22.png"); assert sig() != changed


def test_celeba_layout(tmp_path):
    inner = tmp_path / "CelebAMask-HQ" / "CelebA-HQ-img"; inner.mkdir(parents=True)
    for i in (0, 1, 2, 10, 9): picture(seed=i).save(inner / f"{i}.jpg")
    for root in (inner.parent, inner): assert CelebAMaskHQ(root, 16).keys == ["0.jpg", "1.jpg", "2.jpg", "9.jpg", "10.jpg"]
    with pytest.raises(DitEduError, match="unpack CelebAMask-HQ"): CelebAMaskHQ(tmp_path, 16)
    assert isinstance(make_dataset({"im_path": str(inner.parent), "im_size": 16}), CelebAMaskHQ)


# ---- from elsewhere ----
class Toy(torch.utils.data.Dataset):
    classes = ["x", "y"]
    def __init__(self, root, train=True, download=False): self.targets, self.n = torch.tensor([0, 1, 1]), 3 if train else 2
    def __len__(self): return 3
    def __getitem__(self, i): return picture(seed=i).convert("L"), int(self.targets[i])


def test_torchvision(monkeypatch):
    tv = SimpleNamespace(Toy=Toy, __all__=["Toy"])
    monkeypatch.setitem(sys.modules, "torchvision.datasets", tv)
    ds = TorchvisionDataset("Toy", 16)
    assert ds.labels == [0, 1, 1] and ds.classes == ["x", "y"] and ds[2]["image"].shape == (3, 16, 16) and ds[2]["key"] == "Toy/train/2"
    class Numbered(Toy): classes = None # as SVHN
    class Boxes(Toy): # as VOCDetection: what comes with an image is no number
        def __init__(self, root, train=True, download=False): pass
        classes = None
        def __getitem__(self, i): return picture(seed=i), {"annotation": i}
    tv.Numbered, tv.Boxes = Numbered, Boxes
    ds = TorchvisionDataset("Numbered", 16)
    assert (ds.labels, ds.classes) == ([0, 1, 1], ["0", "1"])
    ds = TorchvisionDataset("Boxes", 16)
    assert (ds.labels, ds.classes) == ([0, 0, 0], [])
    with pytest.raises(DitEduError, match="did you mean 'Toy'"): TorchvisionDataset("Tox", 16)
    with pytest.raises(DitEduError, match="smaller"): TorchvisionDataset("Toy", 32)[0]
    assert TorchvisionDataset("Toy", 32, upscale=True)[0]["image"].shape == (3, 32, 32)
    tv.Toy = type("Toy", (), {"__init__": lambda self, root, download: (_ for _ in ()).throw(RuntimeError("no network"))})
    with pytest.raises(DitEduError, match="no network"): TorchvisionDataset("Toy", 16)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(DitEduError, match="pip install torchvision"): TorchvisionDataset("Toy", 16)


def test_hugging_face_errors(monkeypatch):
    def nope(name, split): raise ConnectionError("offline")
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=nope))
    with pytest.raises(DitEduError, match="offline"): HFDataset("a/b", 16)
    class Hub(dict): features = {"text": object()}
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=lambda name, split: Hub()))
    with pytest.raises(DitEduError, match="no column of images; it has text"): HFDataset("a/b", 16)
    with pytest.raises(DitEduError, match="no column photo"): HFDataset("a/b", 16, image_key="photo")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DitEduError, match="pip install datasets"): HFDataset("a/b", 16)


def test_make_dataset(album, tmp_path):
    ds = make_dataset(SimpleNamespace(name="avatars", im_size=8, num_images=4, styles=["moods"], seed=2, flip=True, im_path="unused", im_channels=1), "test")
    assert isinstance(ds, AvatarDataset) and ds.keys[3] == "test-2-3" and ds.flip and ds[0]["image"].shape == (1, 8, 8)
    f = make_dataset(SimpleNamespace(name="auto", im_path=album, im_size=16, classes=True, crop="resize", im_channels=3, styles=None, num_images=None))
    assert isinstance(f, ImageFolder) and f.classes == ["a", "b"] and f.crop == "resize"
    with pytest.raises(DitEduError, match="no folder"): make_dataset({"im_path": str(tmp_path / "none")})  # never avatars in silence
    with pytest.raises(DitEduError, match="needs im_path"): make_dataset({"name": "hf"})
