"""Measure the second model that ships, and write its card: python benchmarks/pretrained_128.py --run /work/run/avatars128

Writes metrics.json, README.md (the card) and its pictures into dit_edu/pretrained/avatars-128/, and the second picture of
the project's README. Every number in the card comes from here. `--run` names the folder in which decoder and transformer were trained, for its logs and configs.
"""
import argparse
import platform
import resource
import time
from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torchvision.transforms.functional import gaussian_blur

from dit_edu.config import load_config
from dit_edu.core import count_params, image_grid, save_image, to_01, to_pil, write_json
from dit_edu.data import AVATAR_CLASSES, AvatarDataset
from dit_edu.evaluate import alexnet_features, class_agreement, frechet_distance, lpips_distance, psnr, train_classifier
from dit_edu.pipeline import MODELS, load_pretrained
from dit_edu.training import read_log

p = argparse.ArgumentParser(); p.add_argument("--samples", type=int, default=1000); p.add_argument("--run", default="avatars128"); p.add_argument("--threads", type=int, default=2)
args = p.parse_args()
torch.set_num_threads(args.threads)
here, pipe, n, m = MODELS["avatars-128"], load_pretrained("avatars-128", device="cpu"), args.samples // 10 * 10, {}

# speed, as a person meets it
began = time.perf_counter(); first = None
for step in pipe.steps(16, y=[i % 10 for i in range(16)], **pipe.defaults):
    if first is None: pipe.decode(step.x0[:1]); first = time.perf_counter() - began
pipe.decode(step.x0)
m["speed"] = dict(seconds_16_images=time.perf_counter() - began, steps=pipe.defaults["steps"], seconds_to_first_preview_of_16=first, threads=torch.get_num_threads(),
                  peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(m["speed"], flush=True)

# the autoencoder, on avatars it has not seen
held = AvatarDataset(2000, 128, split="test")
a, b = (torch.stack([held[i]["image"] for i in range(k, k + n)]) for k in (0, n))
with torch.no_grad(): recon = torch.cat([pipe.vae(x, sample=False)[0].clamp(-1, 1) for x in a.split(20)])
db, dist = psnr(a, recon), lpips_distance(a, recon)
m["vae"] = dict(n=n, psnr=db.mean().item(), lpips_alex=dist.mean().item(), per_class={c: dict(psnr=db[k::10].mean().item(), lpips_alex=dist[k::10].mean().item()) for k, c in enumerate(AVATAR_CLASSES)})
print(m["vae"]["psnr"], m["vae"]["lpips_alex"], flush=True)

# samples: seeds 0, 1, 2 ..., none left out
labels, parts = torch.arange(n) % 10, []
for k in range(0, n, 50): # in bf16, which is faster
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16): parts.append(pipe.sample(min(50, n - k), y=labels[k:k + 50].tolist(), **{**pipe.defaults, "seed": k}))
    print(k + 50, flush=True)
samples = torch.cat(parts) * 2 - 1
save_image(image_grid(torch.stack([to_01(samples[k + 10 * i]) for k in range(10) for i in range(6)]), ncols=6), here/"samples.png")
to_pil(image_grid(to_01(samples[:20]), ncols=10)).save(here.parents[2]/"nbs"/"images"/"avatars-128.webp", quality=88, method=6) # README's second picture

classifier = train_classifier(AvatarDataset(2000, 128), steps=300)
m["classes"] = dict(classifier_on_held_out_real=class_agreement(a, labels, classifier), samples=class_agreement(samples, labels, classifier), n=n)
print(m["classes"], flush=True)
feats = {k: alexnet_features(v, device="cpu") for k, v in dict(a=a, b=b, samples=samples, recon=recon, blur=gaussian_blur(b, 7, 1.)).items()}
fd = lambda one, other, k=slice(None): frechet_distance(feats[one][k], feats[other][k])
m["frechet_alexnet"] = dict(n=n, floor_two_real_sets=fd("a", "b"), samples=fd("b", "samples"), vae_reconstructions=fd("b", "recon"), blur_1px=fd("a", "blur"), per_class={c: fd("b", "samples", slice(k, None, 10)) for k, c in enumerate(AVATAR_CLASSES)})
print(m["frechet_alexnet"], flush=True)

# how it was trained
run = Path(args.run)
logs, cfgs = ({k: f(run/f"{k}_{end}") for k in ("vae", "dit")} for f, end in ((read_log, "log.jsonl"), (load_config, "config.yaml")))
v, d = (cfgs[k].train_params for k in ("vae", "dit"))
m["training"] = {k: dict(steps=len(log), minutes=log[-1]["seconds"] / 60, last_loss=float(np.mean([r["loss"] for r in log[-100:]]))) for k, log in logs.items()}
fig, axes = plt.subplots(1, 2, figsize=(9, 2.6), dpi=90)
for ax, k, title in zip(axes, ("vae", "dit"), ("the decoder's loss (L1 + 0.5 LPIPS + KL)", "the transformer's flow loss")):
    loss = np.array([r["loss"] for r in logs[k]])
    ax.plot(loss, lw=.3, alpha=.5); ax.plot(np.arange(99, len(loss)), np.convolve(loss, np.ones(100) / 100, "valid"), c="C0"); ax.set(xlabel="step", title=title, yscale="log")
fig.tight_layout(); fig.savefig(here/"curves.png")
m["parameters"] = dict(dit=count_params(pipe.dit), vae=count_params(pipe.vae))
m["made_with"] = dict(python=platform.python_version(), **{k: version(k) for k in ("torch", "dicebear-core", "dicebear-styles", "resvg-py")})
write_json(here/"metrics.json", m)

often = lambda weights: "{" + ", ".join(f"{k}: {w:g}" for k, w in weights.items()) + "}"
data = f"dataset_params.num_images={cfgs['dit'].dataset_params.num_images} dataset_params.im_size=128"
s, c, f, q, t, w = (m[k] for k in ("speed", "classes", "frechet_alexnet", "vae", "training", "made_with"))
rows = "\n".join(f"| {k} | {q['per_class'][k]['psnr']:.1f} | {q['per_class'][k]['lpips_alex']:.4f} | {f['per_class'][k]:.0f} |" for k in AVATAR_CLASSES)
(here/"README.md").write_text(f"""# The second model that ships: 128 pixels

Class-conditional avatars, 128×128 pixels, the same ten kinds as the [default](../README.md), with the geometry of the system this project grew from: 32×32×4 latents, 256 tokens. `load_pretrained("avatars-128")` reads it; written by `benchmarks/pretrained_128.py`, which measured the numbers below.

| | |
|---|---|
| autoencoder | the default's encoder as it is (f4, 4 channels: 128×128×3 → 32×32×4); its decoder trained on at 128 px, {t['vae']['steps']:,} steps of {v.autoencoder_batch_size} images, {t['vae']['minutes']:.0f} minutes; {m['parameters']['vae']:,} parameters |
| transformer | DiT, patch 2, 8 blocks, width 256, {m['parameters']['dit']:,} parameters, flow matching, EMA; begun with the default's weights as they were before its last stage, {t['dit']['steps']:,} steps of {d.dit_batch_size} images, {t['dit']['minutes']:.0f} minutes |
| hardware | one NVIDIA H200, on which the default's last stage was trained at the same time; bf16 autocast |
| data | {cfgs['dit'].dataset_params.num_images:,} avatars drawn by DiceBear (`dicebear-core` {w['dicebear-core']}, `dicebear-styles` {w['dicebear-styles']}, `resvg-py` {w['resvg-py']}), as many of each kind; styles CC0, see NOTICE |
| config | `dit_config.yaml` here; seed 0 |
| weights | fp16 safetensors, {sum(x.stat().st_size for x in here.glob('*.safetensors')) / 2**20:.1f} MB |

Repeat it, where `small` holds the default as it was before its last stage (`dit_edu/pretrained` at commit 882d886):

```sh
dit_edu train-vae --config avatars {data} train_params.task_name=avatars128 \\
  train_params.autoencoder_start_from=small/vae_autoencoder_ckpt.safetensors train_params.autoencoder_decoder_only=true \\
  train_params.autoencoder_batch_size={v.autoencoder_batch_size} train_params.autoencoder_epochs={v.autoencoder_epochs} train_params.autoencoder_max_steps={v.autoencoder_max_steps} train_params.autoencoder_lr={v.autoencoder_lr} \\
  train_params.autoencoder_ema_decay={v.autoencoder_ema_decay} train_params.disc_weight={v.disc_weight:g} train_params.compile=true "train_params.autoencoder_class_weights={often(v.autoencoder_class_weights)}"
dit_edu train-dit --config avatars {data} train_params.task_name=avatars128 dit_params.attributes=true \\
  train_params.dit_start_from=small/dit_ckpt.safetensors train_params.dit_batch_size={d.dit_batch_size} train_params.dit_epochs={d.dit_epochs} train_params.dit_max_steps={d.dit_max_steps} \\
  train_params.dit_lr={d.dit_lr} train_params.dit_ema_decay={d.dit_ema_decay} train_params.dit_warmup_steps={d.dit_warmup_steps} diffusion_params.timestep_mean={cfgs['dit'].diffusion_params.timestep_mean} train_params.compile=true \\
  "train_params.dit_class_weights={often(d.dit_class_weights)}"
python -c "from dit_edu.pipeline import export_run; export_run('avatars128', 'avatars-128')"
```

(It was planned for 12,000 steps of the transformer and resumed at step 1,000 with {t['dit']['steps']:,}, as many as fitted; what parts an avatar has was looked up among 320,000, whose table of attributes has the same words.)

![the losses of decoder and transformer](curves.png)

![60 samples, not chosen: seeds in order, six per kind](samples.png)

## Measured

- **Autoencoder**, on {q['n']:,} avatars it has not seen (test split, mode of the latent): PSNR {q['psnr']:.2f} dB, LPIPS (AlexNet) {q['lpips_alex']:.4f}.
- **Classes**: a classifier trained on real avatars, itself right on {100 * c['classifier_on_held_out_real']:.1f} % of {n:,} held-out real ones, agrees with the asked class on {100 * c['samples']:.2f} % of {c['n']:,} samples.
- **Fréchet distance on AlexNet features** (not an FID), {f['n']:,} samples against {f['n']:,} held-out real avatars, 128 px, no resizing, float in memory: samples {f['samples']:.1f}; floor (two real sets) {f['floor_two_real_sets']:.1f}; the autoencoder's reconstructions {f['vae_reconstructions']:.1f}; real ones blurred by 1 px {f['blur_1px']:.1f}. Sets of {f['n']:,} have a higher floor than the default's 5,000.
- **Speed**, here, with {s['threads']} threads: 16 images in {s['steps']} steps, decoded, {s['seconds_16_images']:.1f} s; first preview after {s['seconds_to_first_preview_of_16']:.2f} s; peak memory {s['peak_memory_mb']:,.0f} MB.

| kind | PSNR, dB | LPIPS | Fréchet ({n // 10} samples) |
|---|---|---|---|
{rows}

## Limits

Ten kinds of cartoon avatars and nothing else; trained for a quarter of an hour. Not measured here, other than for the default: whether parts are what was asked for, how many thumbs are whole, near-copies, the loss on unseen images. Sampling: {pipe.defaults['sampler']}, {pipe.defaults['steps']} steps, no guidance.
""", encoding="utf8")
