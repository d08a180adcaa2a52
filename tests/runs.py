"Small images, a small config, and how to read what a run left: what the tests of whole runs share."
import copy, hashlib, json
from pathlib import Path
import numpy as np
import yaml
from PIL import Image

MICRO = {
    "dataset_params": {"name": "folder", "im_path": "images", "im_size": 16, "classes": True},
    "diffusion_params": {"num_timesteps": 12, "schedule": "linear", "target": "eps", "sampler": "ddim", "sampling_steps": 6},
    "dit_params": {"patch_size": 2, "num_layers": 2, "hidden_size": 32, "num_heads": 2, "conditional": True},
    "autoencoder_params": {"z_channels": 4, "down_channels": [8, 16], "mid_channels": [16], "down_sample": [True], "attn_down": [False],
                           "norm_channels": 4, "num_heads": 1, "num_down_layers": 1, "num_mid_layers": 1, "num_up_layers": 1, "disc_channels": 8, "disc_layers": 1},
    "train_params": {"seed": 3, "task_name": "run", "autoencoder_batch_size": 8, "autoencoder_epochs": 4, "autoencoder_lr": 2e-3, "autoencoder_img_save_steps": 4,
                     "rec_loss": "l1", "perceptual_weight": 0, "perceptual_net": "none", "disc_start": 3, "disc_weight": 0.1, "disc_loss": "hinge",
                     "save_latents": True, "dit_batch_size": 8, "dit_epochs": 4, "dit_lr": 1e-3, "dit_ema_decay": 0.9, "save_every_steps": 3, "num_samples": 4},
}


def draw_images(folder, n=24, size=20, suffix=".png", classes=("red", "green"), seed=0):
    "A few small pictures: a gradient, a square and noise, in one sub-folder for each class."
    rng, folder = np.random.default_rng(seed), Path(folder)
    for i in range(n):
        a = np.linspace(40, 200, size)[:, None, None] + rng.normal(0, 12, (size, size, 3))
        y, x = rng.integers(0, size - 8, 2)
        a[y:y + 8, x:x + 8, i % 2] = 250
        path = folder/(classes[i % len(classes)] if classes else "")/f"{i}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(a.clip(0, 255).astype(np.uint8)).save(path)
    return folder


def write_config(path, **changes):
    "MICRO with changes: write_config(p, train_params={'seed': 4}) or, for one key, write_config(p, **{'train_params.seed': 4})."
    data = copy.deepcopy(MICRO)
    for key, val in changes.items():
        section, dot, name = key.partition(".")
        data.setdefault(section, {}).update({name: val} if dot else val)
    Path(path).write_text(yaml.safe_dump(data, sort_keys=False))
    return Path(path)


def hashes(folder):
    "Every file under a folder, with what is in it."
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def log_of(run, part):
    "A training's log without the keys that depend on the clock."
    rows = [json.loads(line) for line in (Path(run)/f"{part}_log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k not in ("seconds", "images_per_s")} for r in rows]
