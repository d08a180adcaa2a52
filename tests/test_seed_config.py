"A config file written for the seed system runs as it is, and leaves what that system's README promises."
import numpy as np
import pytest, torch
from PIL import Image
from runs import draw_images, log_of

SEED = """
dataset_params:
  im_path: 'data/CelebAMask-HQ'
  im_size : 24
  im_channels : 3

diffusion_params:
  num_timesteps : 20
  beta_start : 0.0001
  beta_end : 0.02

dit_params:
  patch_size : 2
  num_layers : 2
  hidden_size : 32
  num_heads : 2
  head_dim : 16
  timestep_emb_dim : 32

autoencoder_params:
  z_channels: 4
  codebook_size : 8192
  down_channels : [8, 8, 16]
  mid_channels : [16]
  down_sample : [True, True]
  attn_down : [False, False]
  norm_channels: 4
  num_heads: 4
  num_down_layers : 2
  num_mid_layers : 2
  num_up_layers : 2


train_params:
  seed : 1111
  task_name: 'celebhq'
  autoencoder_batch_size: 4
  autoencoder_epochs: 2
  autoencoder_lr: 0.00001
  autoencoder_acc_steps: 1
  disc_start: 4
  disc_weight: 0.5
  codebook_weight: 1
  commitment_beta: 0.2
  perceptual_weight: 1
  kl_weight: 0.000005
  autoencoder_img_save_steps: 4
  save_latents: True
  dit_batch_size: 4
  dit_epochs: 2
  num_samples: 3
  num_grid_rows: 2
  dit_lr: 0.00001
  dit_acc_steps: 1
  vae_latent_dir_name: 'vae_latents'
  dit_ckpt_name: 'dit_ckpt.pth'
  vae_autoencoder_ckpt_name: 'vae_autoencoder_ckpt.pth'
  vae_discriminator_ckpt_name: 'vae_discriminator_ckpt.pth'
"""
DEAD = ["autoencoder_params.codebook_size", "train_params.codebook_weight", "train_params.commitment_beta"]


@pytest.fixture(scope="module")
def seed_run(tmp_path_factory, run):
    "All four commands; the folder, and what they printed."
    folder = tmp_path_factory.mktemp("seed")
    draw_images(folder/"data/CelebAMask-HQ/CelebA-HQ-img", 22, 30, ".jpg", classes=("",))
    (folder/"celebhq.yaml").write_text(SEED)
    first = run("train-vae", "--config", "celebhq.yaml", cwd=folder, rc=None)
    if first.returncode: # without LPIPS weights, and no network to fetch them
        assert first.returncode == 2 and len(first.stderr.strip().split("\n")) == 1 and "LPIPS" in first.stderr and "perceptual_weight" in first.stderr, first.stderr
        (folder/"celebhq.yaml").write_text(SEED.replace("perceptual_weight: 1", "perceptual_weight: 0"))
        first = run("train-vae", "--config", "celebhq.yaml", cwd=folder)
    rest = [run(c, "--config", "celebhq.yaml", cwd=folder) for c in ("infer-vae", "train-dit", "sample")]
    return folder, [first, *rest]


@pytest.fixture(scope="module")
def steps(seed_run):
    "What the samples should show, worked out again."
    from dit_edu import load_pretrained
    pipe = load_pretrained(seed_run[0]/"celebhq", device="cpu")
    assert pipe.defaults == {"sampler": "ddpm", "steps": 20, "guidance_scale": 1.0}
    return pipe, list(pipe.steps(3, seed=0, **pipe.defaults))


def test_dead_keys_are_named_in_one_line(seed_run):
    for p in seed_run[1]:
        lines = [line for line in (p.stdout + p.stderr).split("\n") if "codebook_size" in line]
        assert len(lines) == 1 and "unused" in lines[0] and all(k in lines[0] for k in DEAD)


def test_files_lie_where_the_seed_system_puts_them(seed_run):
    run = seed_run[0]/"celebhq"
    names = {p.relative_to(run).as_posix() for p in run.rglob("*")}
    assert {"vae_autoencoder_samples", "input_samples.png", "encoded_samples.png", "reconstructed_samples.png", "vae_latents", "samples",
            "dit_ckpt.safetensors", "vae_autoencoder_ckpt.safetensors", "vae_discriminator_ckpt.safetensors"} <= names
    assert sorted(p.name for p in (run/"vae_autoencoder_samples").iterdir()) == [f"step_{s:08d}.png" for s in (4, 8, 12)]
    assert not [p for p in seed_run[0].rglob("*") if p.suffix in (".pth", ".pt", ".pkl", ".tmp") or ".tmp" in p.name]
    assert {p.name for p in (run/"samples").iterdir()} == {f"x0_{t}.png" for t in range(20)} | {"x0_strip.png", "x0_strip.webp"}
    for name in ("input_samples.png", "reconstructed_samples.png", "encoded_samples.png", "samples/x0_0.png"):
        assert np.asarray(Image.open(run/name)).std() > 1, f"{name} is blank"


def test_the_logs_can_be_read(seed_run):
    run = seed_run[0]/"celebhq"
    vae, dit = log_of(run, "vae"), log_of(run, "dit")
    assert [r["step"] for r in vae] == [r["step"] for r in dit] == list(range(1, 13)) # 22 images in fours: 6 steps, twice
    assert all({"loss", "rec", "kl", "lr", "epoch"} <= r.keys() for r in vae) and all({"loss", "lr", "epoch"} <= r.keys() for r in dit)
    assert [r["step"] for r in vae if "d_loss" in r] == list(range(5, 13)) # disc_start counts optimiser steps
    assert all(r["lr"] == 1e-5 for r in vae + dit)


def test_the_latents_are_there_and_used(seed_run):
    from dit_edu.latents import LatentCache
    cache = LatentCache(seed_run[0]/"celebhq/vae_latents")
    assert len(cache) == 22 and cache.shape == (4, 6, 6)


def test_weights_are_plain_tensors_with_the_official_names(seed_run):
    from dit_edu.core import load_weights
    dit, vae = (load_weights(seed_run[0]/"celebhq"/f"{n}.safetensors")[0] for n in ("dit_ckpt", "vae_autoencoder_ckpt"))
    assert {"x_embedder.proj.weight", "blocks.1.adaLN_modulation.1.weight", "final_layer.linear.weight", "pos_embed"} <= dit.keys()
    assert {"encoder.conv_in.weight", "decoder.conv_out.weight", "quant_conv.weight"} <= vae.keys()


def picture(path): return np.asarray(Image.open(path).convert("RGB")).astype(int)


def drawn(pipe, latents):
    from dit_edu.core import image_grid, to_pil
    return np.asarray(to_pil(image_grid(pipe.decode(latents), 2))).astype(int)


def test_x0_0_is_the_finished_image(seed_run, steps):
    from dit_edu.core import image_grid, to_pil
    pipe, _ = steps
    finished = np.asarray(to_pil(image_grid(pipe.sample(3, seed=0, **pipe.defaults), 2))).astype(int)
    assert np.abs(picture(seed_run[0]/"celebhq/samples/x0_0.png") - finished).max() <= 1


def test_every_other_picture_is_the_x0_prediction_and_not_x_t(seed_run, steps):
    pipe, steps = steps
    assert [s.t for s in steps] == list(range(19, -1, -1))
    for s in steps:
        saved = picture(seed_run[0]/"celebhq/samples"/f"x0_{s.t}.png")
        assert np.abs(saved - drawn(pipe, s.x0)).max() <= 1, f"x0_{s.t}.png is not the x0 prediction"
        if s.t > 14: assert np.abs(saved - drawn(pipe, s.xt)).max() > 3, f"x0_{s.t}.png shows x_t"


def test_another_seed_gives_other_samples(seed_run, run, tmp_path):
    folder = seed_run[0]
    run("sample", "--config", "celebhq.yaml", "--seed", "1", "--out", tmp_path/"one", cwd=folder)
    run("sample", "--config", "celebhq.yaml", "--seed", "0", "--out", tmp_path/"zero", cwd=folder)
    first, one, zero = (p/"x0_0.png" for p in (folder/"celebhq/samples", tmp_path/"one", tmp_path/"zero"))
    assert zero.read_bytes() == first.read_bytes() != one.read_bytes()
