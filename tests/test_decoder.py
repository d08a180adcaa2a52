"Guards for a second decoder: the encoder, its latents, their cache and the transformer go on as they were."
import shutil
import pytest, torch
from dit_edu.config import load_config
from dit_edu.core import DitEduError, load_weights
from dit_edu.pipeline import export_run, load_pretrained
from dit_edu.vae import VAE

VAE_FILE, AGAIN = "vae_autoencoder_ckpt.safetensors", ["train_params.task_name=second", "train_params.autoencoder_start_from=run/vae_autoencoder_ckpt.safetensors"]
ONLY = [*AGAIN, "train_params.autoencoder_decoder_only=true"]


@pytest.fixture(scope="module")
def second(finished, run, tmp_path_factory):
    "The finished run, and beside it in second/ an autoencoder with the same encoder and a decoder that was trained on."
    folder = tmp_path_factory.mktemp("decoder")/"work"
    shutil.copytree(finished, folder)
    run("train-vae", "-c", "config.yaml", *ONLY, "train_params.autoencoder_class_weights={red: 3}", cwd=folder)
    return folder


def test_only_the_decoder_moves(second):
    (old, was), (new, now) = (load_weights(second/f/VAE_FILE) for f in ("run", "second"))
    moved = {k for k in old if not torch.equal(old[k], new[k])}
    assert moved and all(k.startswith(("decoder.", "post_quant_conv.")) for k in moved)
    assert {k.split(".")[1] for k in moved if k.startswith("decoder.")} == {k.split(".")[1] for k in old if k.startswith("decoder.")} # every part of it
    assert now["latents_mean"] == was["latents_mean"] and now["latents_std"] == was["latents_std"]


def test_cache_and_transformer_go_on_fitting(second, run):
    old, new = (second/f for f in ("run", "second"))
    shutil.copytree(old/"vae_latents", new/"vae_latents")
    for f in [*old.glob("dit_*.*"), *old.glob("checkpoints/dit_*")]: shutil.copy(f, new/f.relative_to(old))
    stamp = {f: f.stat().st_mtime_ns for f in (new/"vae_latents").iterdir()}
    run("infer-vae", "-c", "config.yaml", ONLY[0], cwd=second)
    assert stamp == {f: f.stat().st_mtime_ns for f in (new/"vae_latents").iterdir()} # nothing was encoded again
    run("train-dit", "-c", "config.yaml", ONLY[0], "--resume", cwd=second)
    a, b = (load_pretrained(f, "cpu") for f in (old, new))
    x, y = (list(p.steps(2, y=0, steps=2, seed=1))[-1].x0 for p in (a, b))
    assert torch.equal(x, y) and not torch.equal(a.decode(x), b.decode(y)) # the same latents, other pictures
    small = load_pretrained(export_run(new, second/"small"), "cpu") # rounding moves the encoder; the copies still know each other
    assert (small.decode(x) - b.decode(x)).abs().max() < .02
    other = export_run(old, second/"small_old")
    shutil.copy(second/"small"/VAE_FILE, other) # also a copy of the first run's
    assert torch.equal(load_pretrained(other, "cpu").decode(x), small.decode(x))


def test_a_second_decoder_of_a_second_decoder(second, run):
    run("train-vae", "-c", "config.yaml", "train_params.task_name=third", "train_params.autoencoder_start_from=second/"+VAE_FILE, ONLY[2], "train_params.autoencoder_max_steps=1", cwd=second)
    first, third = (VAE.load(second/f/VAE_FILE)[0] for f in ("run", "third"))
    assert third.latents_hash() == first.latents_hash()


def test_with_the_encoder_free_the_latents_are_others(second, run):
    shutil.copytree(second/"second", second/"gone", dirs_exist_ok=True)
    run("train-vae", "-c", "config.yaml", "train_params.task_name=free", "train_params.autoencoder_start_from=gone/"+VAE_FILE, "train_params.autoencoder_lr=1e-9", "train_params.autoencoder_max_steps=1", cwd=second)
    old, new = (load_weights(second/f/VAE_FILE)[0] for f in ("second", "free"))
    assert 0 < max((old[k] - new[k]).abs().max() for k in old) < 1e-6 # it did begin there
    for f in ("dit_ckpt.safetensors", "dit_config.yaml"): shutil.copy(second/"run"/f, second/"free"/f)
    with pytest.raises(DitEduError, match="another autoencoder"): load_pretrained(second/"free", "cpu")
    with pytest.raises(DitEduError, match="another autoencoder"): export_run(second/"free", second/"free_small")
    shutil.rmtree(second/"gone") # going on does not need it
    run("train-vae", "-c", "config.yaml", "train_params.task_name=free", "train_params.autoencoder_start_from=gone/"+VAE_FILE, "train_params.autoencoder_max_steps=2", "--resume", cwd=second)


def test_killed_and_resumed_it_is_the_same(second, run):
    shutil.copytree(second/"second/checkpoints", second/"half/checkpoints", ignore=shutil.ignore_patterns("dit_*"))
    last = sorted((second/"half/checkpoints").glob("vae_*"))
    assert len(last) > 1
    last[-1].unlink() # as if it had been killed after the checkpoint before
    run("train-vae", "-c", "config.yaml", "train_params.task_name=half", *ONLY[1:], "train_params.autoencoder_class_weights={red: 3}", "--resume", cwd=second)
    a, b = (load_weights(second/f/VAE_FILE) for f in ("half", "second"))
    assert all(torch.equal(a[0][k], b[0][k]) for k in b[0]) and a[1]["latents_of"] == b[1]["latents_of"] is not None
    p = run("train-vae", "-c", "config.yaml", "train_params.task_name=half", AGAIN[1], "--resume", cwd=second, rc=2)
    assert "autoencoder_decoder_only was True" in p.stderr
    other, _ = VAE.load(second/"run"/VAE_FILE)
    with torch.no_grad(): other.encoder.conv_in.bias[0] += 1
    other.save(second/"other.safetensors")
    p = run("train-vae", "-c", "config.yaml", "train_params.task_name=half", ONLY[2], "train_params.autoencoder_start_from=other.safetensors", "--resume", cwd=second, rc=2)
    assert "the hash of train_params.autoencoder_start_from was" in p.stderr


def test_an_average_leaves_the_encoder_alone(second, run):
    vae, _ = VAE.load(second/"run"/VAE_FILE)
    with torch.no_grad(): vae.encoder.conv_in.bias[0] = -0. # as rounding makes it
    vae.save(second/"zero.safetensors")
    run("train-vae", "-c", "config.yaml", "train_params.task_name=averaged", "train_params.autoencoder_start_from=zero.safetensors", ONLY[2], "train_params.autoencoder_ema_decay=.9", "train_params.autoencoder_optimizer=muon", cwd=second)
    averaged, _ = VAE.load(second/"averaged"/VAE_FILE)
    assert averaged.latents_hash() == vae.latents_hash() and not torch.equal(averaged.decoder.conv_out.weight, vae.decoder.conv_out.weight)


def test_class_weights_choose_the_images(second, run):
    for name, weights in (("alike", "{}"), ("red", "{red: 1000}")):
        run("train-vae", "-c", "config.yaml", f"train_params.task_name={name}", *ONLY[1:], f"train_params.autoencoder_class_weights={weights}", "train_params.autoencoder_max_steps=1", cwd=second)
    a, b = (load_weights(second/f/VAE_FILE)[0] for f in ("alike", "red"))
    assert not torch.equal(a["decoder.conv_out.weight"], b["decoder.conv_out.weight"])


@pytest.mark.parametrize("more, says", [
    ([ONLY[2]], "needs autoencoder_start_from"),
    (["train_params.autoencoder_start_from=none.safetensors"], "autoencoder_start_from, none.safetensors, cannot be used"),
    (["train_params.autoencoder_start_from=run/dit_ckpt.safetensors"], "no VAE saved by dit_edu"),
    ([AGAIN[1], "autoencoder_params.z_channels=8"], "autoencoder_params.z_channels = 4 and the config asks for 8"),
    ([AGAIN[1], "train_params.autoencoder_class_weights={moon: 2}"], "'moon', which is no class of the data"),
])
def test_what_cannot_be_is_said(second, run, more, says):
    p = run("train-vae", "-c", "config.yaml", "train_params.task_name=bad", *more, cwd=second, rc=2)
    assert says in p.stderr and "Traceback" not in p.stderr, p.stderr
    assert not list((second/"bad").rglob("*.safetensors"))
