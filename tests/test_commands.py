"Mistakes at the shell: exit code 2, one sentence that names the file or key and what to do, and nothing written over."
import io, os, shutil, signal, subprocess, sys
import numpy as np
import pytest, torch
from PIL import Image
from runs import draw_images, hashes, log_of, write_config
from dit_edu.core import DitEduError, load_weights, save_weights, state_hash
from dit_edu.pipeline import MODELS

VAE, DIT = "vae_autoencoder_ckpt.safetensors", "dit_ckpt.safetensors"


def sentence(p):
    "What a command wrote to stderr besides its progress bars."
    lines = [line for line in p.stderr.split("\n") if line.strip() and "\r" not in line]
    assert len(lines) == 1 and lines[0].startswith("error: "), p.stderr
    return lines[0]


@pytest.fixture
def refused(run):
    "refused(folder, 'train-vae', 'key=value', says=[…]) with the config in the folder."
    def refused(folder, *args, says, config="config.yaml", may_add=False):
        before = hashes(folder)
        p = run(args[0], "-c", config, *args[1:], cwd=folder, rc=2)
        line, after = sentence(p), hashes(folder)
        assert all(str(word) in line for word in says), line
        if may_add: after = {k: after.get(k) for k in before}
        assert after == before, "files changed: " + ", ".join(k for k in {*before, *after} if before.get(k) != after.get(k))
        return line
    return refused


@pytest.fixture(scope="module")
def fresh(workdir):
    "Images and a config, nothing trained; nothing may appear here."
    return workdir()


@pytest.fixture
def trained(finished, tmp_path):
    "A copy of the finished run; the DiT can be trained again."
    folder = tmp_path/"work"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder/"run/samples")
    for f in [*folder.glob("run/dit_*"), *folder.glob("run/checkpoints/dit_*")]: f.unlink()
    return folder


# --- the config ---

@pytest.mark.parametrize("change, says", [
    ("train_params.dit_lrate=1", ["dit_lrate", "train_params", "did you mean dit_lr?"]),
    ("train_params.zzz=1", ["zzz", "train_params", "nearest known key"]),
    ("train_params.autoencoder_epoch=1", ["autoencoder_epoch", "did you mean autoencoder_epochs?"]),
    ("train_params.num_timesteps=1", ["num_timesteps", "did you mean diffusion_params.num_timesteps?"]),
    ("train_param.seed=1", ["train_param", "did you mean train_params?"]),
    ("seed=1", ["section.key=value"]),
    ("train_params.seed=[1", ["train_params.seed", "YAML"]),
    ("train_params.dit_optimizer=sgd", ["train_params.dit_optimizer", "'sgd'", "'muon'"]),
    ("train_params.dit_epochs=many", ["train_params.dit_epochs", "'many'", "integer"]),
    ("autoencoder_params.down_channels=8", ["autoencoder_params.down_channels", "8", "list"]),
    ("diffusion_params.schedule=linaer", ["diffusion_params.schedule", "'linaer'", "linear"]),
    ("train_params.dit_batch_size=0", ["train_params.dit_batch_size", "at least 1"]),
    ("dit_params.num_heads=0", ["dit_params.num_heads", "at least 1"]),
    ("autoencoder_params.down_channels=[8, 0]", ["autoencoder_params.down_channels.1", "at least 1"]),
    ("train_params.num_workers=-1", ["train_params.num_workers", "at least 0"]),
    ("train_params.dit_lr=-1", ["train_params.dit_lr", "above 0"]),
    ("train_params.dit_lr=.nan", ["train_params.dit_lr", "finite"]),
    ("train_params.dit_ema_decay=1", ["train_params.dit_ema_decay", "below 1"]),
    ("train_params.dit_ckpt_name=''", ["train_params.dit_ckpt_name", "empty"]),
    ("train_params.dit_ckpt_name=vae_autoencoder_ckpt.pth", ["dit_ckpt_name", "vae_autoencoder_ckpt_name", "same file"]),
    ("dit_params.patch_size=3", ["dit_params.patch_size 3", "latent, 8 wide"]),
    ("dataset_params.im_size=15", ["dataset_params.im_size 15", "multiple of 2"]),
    ("dit_params.num_heads=5", ["hidden_size 32", "num_heads 5"]),
    ("dit_params.head_dim=8", ["head_dim 8", "16"]),
    ("dit_params.preset=DiT-Q/2", ["dit_params.preset", "DiT-S/2"]),
    ("autoencoder_params.down_sample=[true, true]", ["down_sample", "2 entries"]),
    ("diffusion_params.sampling_steps=13", ["sampling_steps 13", "num_timesteps 12"]),
    ("diffusion_params.target=flow", ["target flow", "schedule"]),
    ("autoencoder_params.norm_channels=5", ["autoencoder_params.norm_channels 5", "8"]),
    ("autoencoder_params.num_heads=3", ["autoencoder_params.num_heads 3", "16"]),
    ("autoencoder_params.mid_channels=[8]", ["autoencoder_params.mid_channels", "[8, 16]"]),
    ("autoencoder_params.attn_down=[]", ["autoencoder_params.attn_down", "0 entries"]),
    ("dataset_params.im_channels=2", ["dataset_params.im_channels", "1 or 3"]),
    ("dit_params.hidden_size=30", ["dit_params.hidden_size 30", "multiple of 4"]),
    ("diffusion_params.beta_start=0.5", ["beta_start 0.5", "beta_end 0.02"]),
    ("autoencoder_params.disc_layers=4", ["16x16", "32 pixels"]), # known now, and not only when the discriminator joins
    ("dataset_params.im_path=nowhere", ["nowhere", "im_path"]),
    ("dataset_params.im_size=32", ["green/1.png", "20 × 20", "32 × 32", "upscale"]),
    ("dataset_params.name=celebahq", ["CelebA-HQ-img", "unpack"]),
])
def test_a_wrong_key(fresh, refused, change, says): refused(fresh, "train-vae", change, says=says)


@pytest.mark.parametrize("name, text, says", [
    ("none.yaml", None, ["none.yaml", "not found", "tiny"]),
    ("tinny", None, ["tinny", "tiny"]),
    ("colon.yaml", "train_params: {seed: 1", ["colon.yaml", "YAML"]),
    ("flat.yaml", "seed: 1", ["seed", "flat.yaml", "section"]),
    ("list.yaml", "- 1", ["list.yaml", "section"]),
    ("numbers.yaml", "1: {seed: 1}", ["1", "numbers.yaml", "words"]),
    ("deep.yaml", "train_params: {1: 2}", ["train_params", "deep.yaml", "words"]),
    ("photo.yaml", "\0\0", ["photo.yaml", "YAML"]),
])
def test_a_wrong_config_file(tmp_path, refused, name, text, says):
    if text is not None: (tmp_path/name).write_text(text)
    refused(tmp_path, "train-vae", config=name, says=says)


# --- images ---

@pytest.fixture
def images(tmp_path):
    write_config(tmp_path/"config.yaml")
    return draw_images(tmp_path/"images")


def cut(path): path.write_bytes(path.read_bytes()[:-60])


def test_an_empty_folder(tmp_path, refused):
    write_config(tmp_path/"config.yaml")
    (tmp_path/"images").mkdir()
    refused(tmp_path, "train-vae", says=["no image", "images", "png"])
    (tmp_path/"images/readme.txt").write_text("none yet")
    refused(tmp_path, "train-vae", says=["no image", "images", "png"])


def test_a_truncated_image(images, tmp_path, refused, run):
    cut(images/"green/7.png")
    refused(tmp_path, "train-vae", says=["green/7.png", "cut short", "skip_broken"])
    p = run("train-vae", "-c", "config.yaml", "dataset_params.skip_broken=true", "train_params.autoencoder_epochs=1", cwd=tmp_path)
    assert "green/7.png" in p.stderr
    assert len(log_of(tmp_path/"run", "vae")) == 3 # 23 images in eights
    run("infer-vae", "-c", "config.yaml", "dataset_params.skip_broken=true", cwd=tmp_path)
    from dit_edu.latents import LatentCache
    assert len(LatentCache(tmp_path/"run/vae_latents")) == 23


def test_a_text_file_called_jpg(images, tmp_path, refused):
    (images/"red/holiday.jpg").write_text("Dear diary")
    refused(tmp_path, "train-vae", says=["red/holiday.jpg", "no image", "skip_broken"])


def test_an_image_smaller_than_the_crop(images, tmp_path, refused):
    Image.fromarray(np.zeros((15, 40, 3), np.uint8)).save(images/"red/small.png")
    refused(tmp_path, "train-vae", says=["red/small.png", "40 × 15", "16 × 16", "upscale"])


def test_an_image_outside_the_classes(images, tmp_path, refused):
    shutil.copy(images/"red/2.png", images/"loose.png")
    refused(tmp_path, "train-vae", says=["loose.png", "classes"])


def test_classes_that_are_not_there(trained, refused):
    refused(trained, "train-dit", "dataset_params.classes=false", says=["conditional", "classes"])


# --- trained files ---

def test_no_autoencoder_yet(fresh, refused):
    for command in ("infer-vae", "train-dit"): refused(fresh, command, says=[VAE, "train-vae"])


def test_no_transformer_yet(trained, fresh, refused):
    refused(fresh, "sample", says=[DIT, "train-dit"])
    refused(trained, "sample", says=[DIT, "train-dit"])


@pytest.mark.parametrize("change, says", [("autoencoder_params.z_channels=3", ["4", "3"]), ("autoencoder_params.down_channels=[8, 12]", ["[8, 16]", "[8, 12]"])])
@pytest.mark.parametrize("command", ["infer-vae", "train-dit"])
def test_an_autoencoder_of_another_shape(trained, refused, command, change, says):
    refused(trained, command, change, *(["autoencoder_params.mid_channels=[12]"] if "12" in change else []), says=[VAE, *says])


@pytest.mark.parametrize("command", ["infer-vae", "train-dit"])
def test_a_truncated_autoencoder(trained, refused, command):
    path = trained/"run"/VAE
    whole = path.read_bytes()
    for size in (len(whole) // 2, 100, 4, 0):
        path.write_bytes(whole[:size])
        refused(trained, command, says=[VAE, "broken"])


@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_offered_as_weights(trained, refused, old):
    pickle = io.BytesIO()
    torch.save(load_weights(trained/"run"/VAE)[0], pickle, _use_new_zipfile_serialization=not old)
    (trained/"run"/VAE).unlink()
    (trained/"run"/VAE).write_bytes(pickle.getvalue())
    for command in ("infer-vae", "train-dit"): refused(trained, command, says=[VAE, "pickle", ".safetensors"])


def test_a_pickle_is_never_opened(finished, tmp_path, refused):
    "Neither as a transformer: this one would write a file if it were."
    folder = tmp_path/"work"
    shutil.copytree(finished, folder)
    (folder/"run"/DIT).write_bytes(b"\x80\x04cposix\nsystem\n(Vtouch opened\ntR.")
    refused(folder, "sample", says=[DIT, "pickle"])
    assert not (folder/"opened").exists()


def test_an_autoencoder_offered_as_transformer(finished, tmp_path, refused):
    folder = tmp_path/"work"
    shutil.copytree(finished, folder)
    shutil.copy(folder/"run"/VAE, folder/"run"/DIT)
    refused(folder, "sample", says=[DIT, "no DiT"])


@pytest.mark.parametrize("change", ["schedule=cosine", "target=v", "num_timesteps=10", "beta_end=0.03"])
def test_sampling_otherwise_than_trained(finished, refused, change):
    key, value = change.split("=")
    refused(finished, "sample", f"diffusion_params.{change}", says=[DIT, key, value, "dit_config.yaml"])


def test_latents_of_a_vae_that_was_trained_again(trained, refused, run):
    path = trained/"run"/VAE
    state, meta = load_weights(path)
    state["quant_conv.bias"] = state["quant_conv.bias"] + 0.01
    save_weights(path, state, meta)
    for command in ("infer-vae", "train-dit"): refused(trained, command, says=["vae_latents", "another VAE", "rebuild"])
    run("infer-vae", "-c", "config.yaml", "--rebuild", cwd=trained)
    run("train-dit", "-c", "config.yaml", "train_params.dit_epochs=1", cwd=trained)


def test_latents_of_other_images(trained, refused, run):
    a = np.asarray(Image.open(trained/"images/red/2.png"))
    Image.fromarray(255 - a).save(trained/"images/red/2.png")
    refused(trained, "train-dit", says=["vae_latents", "other contents", "rebuild"])
    (trained/"images/red/2.png").unlink()
    refused(trained, "train-dit", says=["vae_latents", "24", "23", "rebuild"])


def test_latents_prepared_otherwise(trained, refused):
    refused(trained, "train-dit", "dataset_params.crop=resize", says=["vae_latents", "center", "resize", "rebuild"])


def test_a_truncated_shard_of_latents_is_made_again(trained, run, finished):
    shard = next(trained.glob("run/vae_latents/*.safetensors"))
    cut(shard)
    run("train-dit", "-c", "config.yaml", cwd=trained)
    assert log_of(trained/"run", "dit") == log_of(finished/"run", "dit")


def test_a_folder_of_something_else_where_latents_should_be(trained, refused):
    shutil.rmtree(trained/"run/vae_latents")
    (trained/"run/vae_latents").mkdir()
    (trained/"run/vae_latents/thesis.txt").write_text("three years of work")
    refused(trained, "train-dit", says=["vae_latents", "thesis.txt"])


@pytest.mark.parametrize("label, says", [("blue", ["'blue'", "green, red"]), ("9", ["9", "0 … 1"]), ("2", ["'2'", "0 … 1"]), ("²", ["'²'"]), ("red,green,red,green,red", ["5 classes for 4 images", "num_samples=5"])])
def test_an_unknown_class(finished, run, tmp_path, label, says):
    p = run("sample", "-c", "config.yaml", "--class", label, "--out", tmp_path/"out", cwd=finished, rc=2)
    assert all(s in sentence(p) for s in says) and not (tmp_path/"out").exists()


def test_classes_by_name(finished, run, tmp_path):
    for label, name in (("red", "a"), ("1", "b"), ("green", "c"), ("red, green", "d"), ("1,0", "e")): run("sample", "-c", "config.yaml", "--class", label, "--out", tmp_path/name, cwd=finished)
    a, b, c, d, e = ((tmp_path/n/"x0_0.png").read_bytes() for n in "abcde")
    assert a == b and d == e and len({a, c, d}) == 3


def test_a_class_whose_name_is_a_number():
    from types import SimpleNamespace
    from dit_edu.cli import _labels
    pipe = SimpleNamespace(dit=SimpleNamespace(num_classes=3), classes=["1", "10", "2"])
    assert _labels(pipe, "1,2,10,0", 4) == ["1", "2", "10", 0] # a name, wherever there is one


def test_options_that_would_do_nothing(finished, run, tmp_path):
    p = run("sample", "train_params.task_name=elsewhere", cwd=tmp_path, rc=2)
    assert "--config" in sentence(p) and not (tmp_path/"samples").exists()
    p = run("infer-vae", "-c", "config.yaml", "--rebuild", "train_params.save_latents=false", cwd=finished, rc=2)
    assert "save_latents=true" in sentence(p)


# --- the disk ---

def test_a_folder_that_cannot_be_made(fresh, trained, refused):
    (trained/"file").write_text("I am no folder")
    for d in ("file", "file/deeper"): refused(trained, "train-vae", f"train_params.task_name={d}", says=["file", "task_name"])


def test_samples_that_cannot_be_written(finished, run, tmp_path):
    (tmp_path/"file").write_text("I am no folder")
    p = run("sample", "-c", "config.yaml", "--out", tmp_path/"file/x", cwd=finished, rc=2)
    assert "file/x" in sentence(p) and (tmp_path/"file").read_text() == "I am no folder"


def test_a_disk_that_fills_up(workdir, run):
    "The first checkpoint does not fit: one sentence, no half file; with room again, resuming ends where a quiet run ends."
    folder, quiet = workdir(), workdir()
    p = run("train-vae", "-c", "config.yaml", cwd=folder, rc=2, fsize=30_000)
    assert all(s in sentence(p) for s in ("run/", ".safetensors", "space"))
    assert not [f for f in folder.rglob("*") if f.suffix == ".safetensors" or ".tmp" in f.name]
    assert log_of(folder/"run", "vae")[-1]["step"] == 3
    run("train-vae", "-c", "config.yaml", "--resume", cwd=folder)
    run("train-vae", "-c", "config.yaml", cwd=quiet)
    assert state_hash(load_weights(folder/"run"/VAE)[0]) == state_hash(load_weights(quiet/"run"/VAE)[0])


def test_a_full_disk_leaves_what_was_there(trained, run):
    run("train-dit", "-c", "config.yaml", cwd=trained)
    run("sample", "-c", "config.yaml", cwd=trained)
    before = hashes(trained)
    p = run("sample", "-c", "config.yaml", "--seed", "9", cwd=trained, rc=2, fsize=500)
    assert "x0_11.png" in sentence(p) and "space" in sentence(p)
    assert hashes(trained) == before
    p = run("train-dit", "-c", "config.yaml", "--resume", "train_params.dit_epochs=9", cwd=trained, rc=2, fsize=20_000)
    assert "run/" in sentence(p) and ".safetensors" in sentence(p) and "space" in sentence(p)
    after = hashes(trained)
    changed = {k for k in {*before, *after} if before.get(k) != after.get(k)}
    assert changed <= {"run/dit_log.jsonl", "run/dit_config.yaml"}
    assert [r["step"] for r in log_of(trained/"run", "dit")][:12] == list(range(1, 13)), "the log of the finished steps is gone"


def test_a_log_that_does_not_fit(trained, run):
    "A disk so full that not even the log can be written: the log that was there survives."
    run("train-dit", "-c", "config.yaml", cwd=trained)
    log = log_of(trained/"run", "dit")
    path, room = trained/"run/dit_log.jsonl", (trained/"run/dit_config.yaml").stat().st_size + 200
    assert path.stat().st_size > room # the config still fits, the log does not
    p = run("train-dit", "-c", "config.yaml", "--resume", "train_params.dit_epochs=9", cwd=trained, rc=2, fsize=room)
    assert "dit_log.jsonl" in sentence(p) and "space" in sentence(p)
    assert log_of(trained/"run", "dit") == log


# --- numbers that explode ---

def test_nan_stops_and_names_the_last_checkpoint(workdir, run):
    folder = workdir(**{"train_params.disc_start": 1000})
    p = run("train-vae", "-c", "config.yaml", "train_params.autoencoder_lr=1e30", cwd=folder, rc=2)
    assert all(s in sentence(p) for s in ("step 2", "no checkpoint had been written yet", "learning rate"))
    shutil.rmtree(folder/"run")
    run("train-vae", "-c", "config.yaml", "train_params.autoencoder_max_steps=6", cwd=folder)
    good = hashes(folder/"run")
    p = run("train-vae", "-c", "config.yaml", "--resume", "train_params.autoencoder_lr=1e30", cwd=folder, rc=2)
    assert all(s in sentence(p) for s in ("step 8", "vae_00000006.safetensors", "learning rate"))
    after = hashes(folder/"run")
    assert {k: after[k] for k in good if k.endswith(".safetensors")} == {k: v for k, v in good.items() if k.endswith(".safetensors")}
    run("train-vae", "-c", "config.yaml", "--resume", cwd=folder) # as the sentence advises


def test_the_last_good_checkpoint_is_good(tmp_path):
    "A loss can still be a number when its gradient is not: the weights are NaN after that step, and are not to be saved."
    from dit_edu.training import Task, Trainer, TrainSettings, fit

    class Cliff(Task):
        def __init__(self):
            net = torch.nn.Linear(1, 1)
            self.modules, self.optimizers = {"net": net}, {"net": torch.optim.SGD(net.parameters(), 0.1)}
        def micro_step(self, batch, draws, step, backward):
            w = self.wrapped["net"].weight
            loss = (w ** 2).sum() + ((w * 0).sqrt().sum() if step == 2 else 0) # the slope of the root at zero is infinite, times zero
            backward(loss)
            return {"loss": loss.detach()}

    class Numbers:
        def __len__(self): return 8
        def batch(self, indices, flips): return {"x": torch.zeros(len(indices), 1)}

    with pytest.raises(DitEduError, match="step 3.*cliff_00000002"):
        fit(Trainer(Cliff(), Numbers(), TrainSettings(batch_size=2, epochs=2, save_every=1, clip=None), tmp_path, "cliff"), progress=False)
    for path in tmp_path.glob("checkpoints/*.safetensors"):
        assert all(torch.isfinite(v).all() for v in load_weights(path)[0].values()), f"{path.name} holds NaN"


# --- help and the notebooks ---

def test_help():
    "In real processes, as a shell starts them."
    ask = lambda *args: subprocess.run([sys.executable, "-m", "dit_edu.cli", *args], capture_output=True, text=True)
    top = ask("--help")
    assert top.returncode == 0 and not top.stderr
    for command in ("train-vae", "infer-vae", "train-dit", "sample", "demo", "lab"):
        assert command in top.stdout
        p = ask(command, "--help")
        assert p.returncode == 0 and "Usage:" in p.stdout and not p.stderr
        if command not in ("lab", "demo"): assert "--config" in p.stdout
    p = ask("trian-vae")
    assert p.returncode == 2 and "trian-vae" in p.stderr and "Traceback" not in p.stderr
    p = ask("train-vae")
    assert p.returncode == 2 and "--config" in p.stderr and "Traceback" not in p.stderr


def test_lab_copies_the_notebooks_and_keeps_yours(tmp_path):
    ask = lambda *args: subprocess.run([sys.executable, "-m", "dit_edu.cli", "lab", *args], cwd=tmp_path, capture_output=True, text=True)
    p = ask("mine", "--copy-only")
    assert p.returncode == 0, p.stderr
    books = sorted((tmp_path/"mine").rglob("*.ipynb"))
    assert len(books) > 15 and "06_dit.ipynb" in [b.name for b in books] and str(len(books)) in p.stdout
    assert (tmp_path/"mine/images/avatars.webp").exists()
    books[0].write_text("my notes")
    books[1].unlink()
    p = ask("mine", "--copy-only")
    assert p.returncode == 0 and books[0].read_text() == "my notes" and books[1].exists()
    (tmp_path/"file").write_text("I am no folder")
    p = ask("file", "--copy-only")
    assert p.returncode == 2 and len(p.stderr.strip().split("\n")) == 1 and "file" in p.stderr


def test_control_c(workdir, start):
    "Stopping by hand is no error, and leaves what resuming needs."
    import time
    folder = workdir(**{"train_params.autoencoder_epochs": 1000})
    p, log = start("train-vae", "-c", "config.yaml", cwd=folder), folder/"run/vae_log.jsonl"
    while not log.exists() or log.read_bytes().count(b"\n") < 5: assert p.poll() is None, p.stderr; time.sleep(0.01)
    os.kill(p.pid, signal.SIGINT)
    assert p.wait().returncode == 130 and p.stderr.rstrip().endswith("stopped") and "Traceback" not in p.stderr
    assert list(folder.glob("run/checkpoints/vae_*"))


def test_the_shipped_model_takes_overrides(run, tmp_path):
    run("sample", "--class", "3", "--out", "one", "train_params.num_samples=1", "diffusion_params.sampling_steps=3", cwd=tmp_path)
    files = sorted(p.name for p in (tmp_path/"one").glob("x0_*.png") if p.stem[3:].isdigit())
    assert files == ["x0_0.png", "x0_500.png", "x0_999.png"] and Image.open(tmp_path/"one/x0_0.png").size == (64, 64)
    p = run("sample", "diffusion_params.nonsense=1", cwd=tmp_path, rc=2)
    assert "unknown key nonsense" in sentence(p) and not (tmp_path/"samples").exists()


def test_another_shipped_model_and_a_folder(run, tmp_path):
    few = ("train_params.num_samples=1", "diffusion_params.sampling_steps=2", "--class", "moods")
    run("sample", "--model", "avatars-128", *few, cwd=tmp_path)
    assert Image.open(tmp_path/"samples/x0_0.png").size == (128, 128)
    shutil.copytree(MODELS["avatars"], tmp_path/"mine", ignore=shutil.ignore_patterns("avatars-128"))
    run("sample", "--model", "mine", "--out", "other", *few, cwd=tmp_path)
    assert Image.open(tmp_path/"other/x0_0.png").size == (64, 64)
    assert "avatars, avatars-128" in sentence(run("sample", "--model", "nobody", cwd=tmp_path, rc=2))
    assert "give one of them" in sentence(run("sample", "--model", "avatars", "--config", "tiny", cwd=tmp_path, rc=2))


def test_classes_that_are_missing_are_told_before_the_training(workdir, refused):
    folder = workdir(**{"dataset_params.classes": False})
    refused(folder, "train-vae", says=["dit_params.conditional is on", "dit_params.conditional=false"])


def test_a_copy_that_was_cut_off_is_made_again(tmp_path, monkeypatch):
    from dit_edu import cli
    whole = shutil.copy
    def half(a, b):
        whole(a, b)
        with open(b, "r+b") as f: f.truncate(1000)
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(cli.shutil, "copy", half)
    with pytest.raises(DitEduError, match="Free some space"): cli.copy_notebooks(tmp_path/"nb")
    assert not [f for f in (tmp_path/"nb").rglob("*") if f.is_file()]
    monkeypatch.setattr(cli.shutil, "copy", whole)
    cli.copy_notebooks(tmp_path/"nb")
    assert (tmp_path/"nb/00_core.ipynb").stat().st_size > 10_000
