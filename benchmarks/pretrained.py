"""Measure the model that ships, and write its card: python benchmarks/pretrained.py --samples 1000 --runs avatars_on avatars_more avatars_many avatars_eighty avatars_parts avatars_parts2 avatars_low avatars_gpu --decoder avatars_decoder

Writes metrics.json, README.md (the card) and its pictures into dit_edu/pretrained/, and the moving picture of the
project's README. Every number in the card comes from here.
The transformer was trained in parts, each from the weights that the part before exported. `--runs` names the folders of
the last ones, whose logs are at hand: they give the curves; what metrics.json says of earlier parts is kept.
`--decoder` names the folder in which the decoder was trained further.
"""
import argparse
import json
import platform
import resource
import time
from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import center_of_mass, label

from dit_edu.config import load_config
from dit_edu.core import count_params, image_grid, read_json, save_image, to_01, to_pil, write_json
from dit_edu.data import AVATAR_CLASSES, AvatarDataset, always_there, attribute_words
from dit_edu.evaluate import alexnet_features, class_agreement, frechet_distance, lpips_distance, nearest_neighbours, psnr, train_classifier
from dit_edu.pipeline import load_pretrained
from dit_edu.samplers import SAMPLERS, make_timesteps
from dit_edu.training import read_log

here = Path(__file__).parents[1]/"dit_edu"/"pretrained"
p = argparse.ArgumentParser(); p.add_argument("--samples", type=int, default=1000); p.add_argument("--runs", nargs="+", default=["avatars_on", "avatars_more", "avatars_many", "avatars_eighty", "avatars_parts", "avatars_parts2", "avatars_low", "avatars_gpu"]); p.add_argument("--decoder", default="avatars_decoder"); p.add_argument("--threads", type=int, default=2)
args = p.parse_args()
torch.set_num_threads(args.threads)
pipe, m = load_pretrained(device="cpu"), {}
pick = lambda ds, n: torch.stack([ds[i]["image"] for i in range(n)])
blur = lambda x, sigma=1.: F.conv2d(F.conv2d(F.pad(x, (3,) * 4, mode="replicate"), (k := torch.exp(-torch.arange(-3., 4)**2 / 2 / sigma**2) / torch.exp(-torch.arange(-3., 4)**2 / 2 / sigma**2).sum()).view(1, 1, 7, 1).expand(3, 1, 7, 1), groups=3), k.view(1, 1, 1, 7).expand(3, 1, 1, 7), groups=3)


@torch.no_grad()
def reconstruct(x): return torch.cat([pipe.vae(b, sample=False)[0].clamp(-1, 1) for b in x.split(50)])


# the autoencoder, on avatars it has not seen
unseen = AvatarDataset(1000, 64, split="test")
x = pick(unseen, 1000); r = reconstruct(x)
db, dist = psnr(x, r), lpips_distance(x, r)
m["vae"] = dict(n=1000, psnr=db.mean().item(), lpips_alex=dist.mean().item(), per_class={c: dict(psnr=db[k::10].mean().item(), lpips_alex=dist[k::10].mean().item()) for k, c in enumerate(AVATAR_CLASSES)})
print(m["vae"]["psnr"], m["vae"]["lpips_alex"], flush=True)

# speed, as a person meets it
took = {}
for steps in (25, pipe.defaults["steps"]):
    began = time.perf_counter(); first = None
    for step in pipe.steps(16, y=[i % 10 for i in range(16)], **{**pipe.defaults, "steps": steps}):
        if first is None: pipe.decode(step.x0[:1]); first = time.perf_counter() - began
    pipe.decode(step.x0); took[steps] = time.perf_counter() - began
m["speed"] = dict(seconds_16_images=took[steps], steps=steps, seconds_16_images_25_steps=took[25], seconds_to_first_preview_of_16=first, threads=torch.get_num_threads(),
                  peak_memory_mb_of_this_process_so_far=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(m["speed"], flush=True)

# README's picture: what the sampler holds above, the x0 prediction below; seed 4 of 0 to 5, for seed 0 draws a three-eyed monster that looks like a fault
kinds = ["voxel-art", "open-peeps", "critters", "moods", "sprouts", "voxel-bot"]
frames = [to_pil(image_grid(torch.cat([pipe.decode(step.xt), pipe.decode(step.x0)]), len(kinds))) for step in pipe.steps(len(kinds), y=kinds, **{**pipe.defaults, "steps": 40, "seed": 4})]
frames = [im.resize((2 * im.width, 2 * im.height), Image.NEAREST) for im in frames]
frames[0].save(here.parents[1]/"nbs"/"images"/"avatars.webp", save_all=True, append_images=frames[1:], duration=[80] * (len(frames) - 1) + [2500], loop=0, quality=55)

# samples: guidance as shipped, seeds 0, 1, 2 ..., none left out
n = args.samples // 10 * 10
labels = torch.arange(n) % 10
began, parts = time.perf_counter(), []
for k in range(0, n, 50): # in bf16, which is faster; what it changes is measured and told
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16): parts.append(pipe.sample(min(50, n - k), y=labels[k:k + 50].tolist(), **{**pipe.defaults, "seed": k}))
    if k == 0: m["bf16_rms_change"] = (parts[0] - pipe.sample(min(50, n), y=labels[:50].tolist(), **{**pipe.defaults, "seed": 0})).square().mean().sqrt().item()
    print(f"{k + 50}/{n} {time.perf_counter() - began:.0f} s", flush=True)
samples = torch.cat(parts)[:n] * 2 - 1
save_image(image_grid(torch.stack([to_01(samples[k + 10 * i]) for k in range(10) for i in range(10)]), ncols=10), here/"samples.png")

classifier = train_classifier(AvatarDataset(10000, 64), steps=400)
real_labels = torch.arange(1000) % 10
m["classes"] = dict(classifier_on_held_out_real=class_agreement(x, real_labels, classifier), samples=class_agreement(samples, labels, classifier), n=n,
                    per_class={c: class_agreement(samples[k::10], labels[k::10], classifier) for k, c in enumerate(AVATAR_CLASSES)})
print(m["classes"], flush=True)

# a thumb has a body of another colour than the background, two eyes and a mouth: three black or white parts that do not touch the border
def thumb(im): # is it whole; and are the two upper parts, the eyes, alike in size too
    x = to_01(im) * 255
    spots = [found == k for found, count in (label(mask, torch.ones(3, 3)) for mask in (x.amax(0) < 75, x.amin(0) > 185)) for k in range(1, count + 1)]
    parts = [spot for spot in spots if spot.sum() > 1 and not (spot[0].any() or spot[-1].any() or spot[:, 0].any() or spot[:, -1].any())]
    if len(parts) != 3 or max((x[:, 1, c] - x[:, -3, 32]).abs().max() for c in (1, -2)) <= 20: return False, False
    one, other = sorted(spot.sum() for spot in sorted(parts, key=center_of_mass)[:2])
    return True, bool(other < 2 * one)


whole = lambda ims: dict(zip(('whole', 'like_eyes'), (float(np.mean(v)) for v in zip(*(thumb(im) for im in ims)))))


def known(ds, indices): # {part: value} of real avatars, in the words of their own table
    table, numbers = ds.attribute_labels()
    words = [key[1:] for key in attribute_words(table)]
    return [dict(words[j] for j in numbers[i] if j >= 0) for i in indices]


def own(ds, indices): # labels and attributes of real avatars, as the transformer is told of them
    labels = torch.tensor([int(ds.labels[i]) for i in indices])
    if not pipe.attributes: return labels
    tables = [pipe.attributes.get(AVATAR_CLASSES[c], {}) for c in labels]
    return pipe.tell(labels, [{part: has.get(part, "none") for part in t if has.get(part) in t[part] or part not in has and not always_there(t[part])} for has, t in zip(known(ds, indices), tables)])


@torch.no_grad()
def from_real(thumbs, y, t0): # noise real thumbs up to about t0, and sample from there as shipped
    schedule, kw = pipe.diffusion.schedule, pipe.defaults
    ts = [t for t in make_timesteps(schedule.T, kw["steps"]) if t <= t0]
    z, g = pipe.vae.encode(thumbs).mode(), torch.Generator().manual_seed(0)
    x = schedule.alpha[ts[0]].float() * z + schedule.sigma[ts[0]].float() * torch.randn(z.shape, generator=g)
    denoise = pipe.denoiser(len(z), y, **{k: v for k, v in kw.items() if k not in ("sampler", "steps")})
    for step in SAMPLERS[kw["sampler"]](denoise, x, schedule, ts, generator=g): pass
    return ts[0], pipe.decode(step.x0) * 2 - 1


@torch.no_grad()
def thumbs_with(count, **kw): # the same, guided otherwise
    with torch.autocast("cpu", torch.bfloat16): return torch.cat([pipe.sample(len(y), y=y, **{**pipe.defaults, "seed": 10**6 + k, **kw}) for k, y in ((k, [3] * min(50, count - k)) for k in range(0, count, 50))]) * 2 - 1


skip = dict(guidance_scale=2.5, interval=(200, 499), skip_blocks=(2,), skip_scale=2., skip_interval=(500, 999)) # what suited an earlier network
held = AvatarDataset(max(2 * n, 2000), 64, split="test") # 200 of each kind at least, for the loss below
real = pick(held, 2 * n); a, b = real[:n], real[n:]
thumbs = a[3::10][:200]
m["whole_thumbs"] = dict(n=n // 10, samples=whole(samples[3::10]), held_out_real=whole(a[3::10]), n_partial=len(thumbs), reconstructed=whole(reconstruct(thumbs)), guided=whole(thumbs_with(n // 10, guidance_scale=2.)), skip_guidance=whole(thumbs_with(n // 10, **skip)),
                         from_real_noised_to={t: whole(ims) for t, ims in (from_real(thumbs, own(held, range(3, 10 * len(thumbs), 10)), t0) for t0 in (500, 800, 900))})
print(m["whole_thumbs"], flush=True)

# are the parts those that were asked for? classifiers of one part each, trained on real avatars
class Part(torch.utils.data.Dataset):
    def __init__(self, kind, part, picture, said): # picture(j) is an image of that kind, said[j] what it should show
        self.classes, self.picture = [*pipe.attributes[kind][part], "none"], picture
        self.labels = [self.classes.index(v if (v := has.get(part)) in self.classes else "none") for has in said]
    def __len__(self): return len(self.labels)
    def __getitem__(self, j): return dict(image=self.picture(j), label=self.labels[j])
    def agreement(self, judge): return class_agreement(torch.stack([self.picture(j) for j in range(len(self))]), torch.tensor(self.labels), judge)


m["parts"] = {}
if pipe.attributes:
    asked, many = [w for k in range(0, n, 50) for w in pipe.told(pipe.tell(labels[k:k + 50], seed=k))], AvatarDataset(80000, 64)
    for kind, part in (("thumbs", "eyes"), ("thumbs", "mouth"), ("moods", "mouth"), ("planets", "surface"), ("landscape", "orb"), ("voxel-bot", "top")):
        k = AVATAR_CLASSES.index(kind)
        judge = train_classifier(Part(kind, part, lambda j: many[10 * j + k]["image"], known(many, range(k, 80000, 10))), steps=400)
        said, mine = known(held, range(k, n, 10)), reconstruct(a[k::10])
        m["parts"][f"{kind}: {part}"] = dict(held_out_real=Part(kind, part, lambda j: a[10 * j + k], said).agreement(judge), reconstructed=Part(kind, part, lambda j: mine[j], said).agreement(judge),
                                             samples=Part(kind, part, lambda j: samples[10 * j + k], asked[k::10]).agreement(judge))
        print(kind, part, m["parts"][f"{kind}: {part}"], flush=True)
feats = {k: alexnet_features(v, device="cpu") for k, v in dict(a=a, b=b, samples=samples, recon=reconstruct(b), blur=blur(b)).items()}
fd = {k: frechet_distance(feats["a"], feats[k]) for k in ("b", "samples", "recon", "blur")}
m["frechet_alexnet"] = dict(n=n, floor_two_real_sets=fd["b"], samples=fd["samples"], vae_reconstructions=fd["recon"], blur_1px=fd["blur"], ratio_samples_to_blur=fd["samples"] / fd["blur"],
                            **{name: {c: frechet_distance(feats["a"][k::10], feats[other][k::10]) for k, c in enumerate(AVATAR_CLASSES)} for name, other in (("per_class", "samples"), ("floor_per_class", "b"))})
print(m["frechet_alexnet"], flush=True)

# does the transformer know its training images better than others? the same noise and timesteps for both
@torch.no_grad()
def flow_loss(ds, k, n=200):
    z, g = torch.cat([pipe.vae.encode(torch.stack([ds[10 * i + k]["image"] for i in range(b, b + 50)])).mode() for b in range(0, n, 50)]), torch.Generator().manual_seed(0)
    y = own(ds, range(k, 10 * n, 10))
    return torch.cat([pipe.diffusion.loss(pipe.dit, z, y, t=torch.randint(0, 1000, (n,), generator=g), generator=g)[0] for _ in range(3)]).mean().item()


train = AvatarDataset(10000, 64)
m["loss"] = dict(n_per_class=200, draws=3, per_class={c: dict(trained_on=flow_loss(train, k), unseen=flow_loss(held, k)) for k, c in enumerate(AVATAR_CLASSES)})
print(m["loss"], flush=True)

# how the transformer was trained: the parts before these runs, then these
runs, before = [Path(r) for r in args.runs], read_json(here/"metrics.json")["training"]
parts = [part for part in before["dit"] if part["run"] not in {r.name for r in runs}]
logs = [read_log(r/"dit_log.jsonl") for r in runs]
for run, log in zip(runs, logs):
    cfg = load_config(run/"dit_config.yaml"); how = cfg.train_params
    parts.append(dict(run=run.name, steps=len(log), minutes=log[-1]["seconds"] / 60, num_images=cfg.dataset_params.num_images, epochs=how.dit_epochs, lr=how.dit_lr, warmup_steps=how.dit_warmup_steps, class_weights=how.dit_class_weights,
                      timestep_sampling=cfg.diffusion_params.timestep_sampling, timestep_mean=cfg.diffusion_params.timestep_mean, attributes=cfg.dit_params.attributes, max_steps=how.dit_max_steps, ema_decay=how.dit_ema_decay, start=Path(how.dit_start_from).parent.name.removeprefix("pretrained"), batch_size=how.dit_batch_size, # what shipped before is what the part before exported
                      last_loss=float(np.mean([r["loss"] for r in log[-100:]]))))
log, cfg = read_log(Path(args.decoder)/"vae_log.jsonl"), load_config(Path(args.decoder)/"vae_config.yaml"); how = cfg.train_params
if len(log) != how.autoencoder_max_steps: raise SystemExit(f"{args.decoder} has {len(log)} steps and should have {how.autoencoder_max_steps}: let it finish first")
decoder = dict(run=Path(args.decoder).name, steps=len(log), minutes=log[-1]["seconds"] / 60, num_images=cfg.dataset_params.num_images, lr=how.autoencoder_lr, epochs=how.autoencoder_epochs, class_weights=how.autoencoder_class_weights, disc_weight=how.disc_weight, goes_into=Path(how.autoencoder_start_from).parent.name,
               last_loss=float(np.mean([row["loss"] for row in log[-100:]])))
m["training"] = dict(vae=before["vae"], decoder=decoder, dit=parts)

# near-copies: is a sample nearer to a training image than unseen real avatars are?
train, small = AvatarDataset(max(part["num_images"] for part in parts), 64), lambda v: F.avg_pool2d(v, 4)
bank = torch.cat([small(torch.stack([train[i]["image"] for i in range(k, min(k + 1000, len(train)))])) for k in range(0, len(train), 1000)])
near, which = nearest_neighbours(small(samples[:300]), bank, 1); near_real, _ = nearest_neighbours(small(x[:300]), bank, 1)
m["near_copies"] = dict(n=300, measure=f"Euclidean distance of images averaged to 16x16, nearest of {len(train):,} training images", median_samples=near.median().item(), median_held_out_real=near_real.median().item(),
                        share_of_samples_nearer_than_a_hundredth_of_held_out_real=(near < near_real.quantile(.01)).float().mean().item())
save_image(image_grid(torch.cat([to_01(samples[:10]), torch.stack([to_01(train[int(i)]["image"]) for i in which[:10, 0]])]), ncols=10), here/"neighbours.png")

# the curves of these runs
log = [r for log in logs for r in log]
loss, by_t = np.array([r["loss"] for r in log]), lambda rows: np.sum([r["mse_sum"] for r in rows], 0) / np.sum([r["count_sum"] for r in rows], 0)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6), dpi=90)
left.plot(loss, lw=.3, alpha=.5); left.plot(np.arange(99, len(loss)), np.convolve(loss, np.ones(100) / 100, "valid"), c="C0"); left.set(xlabel="step", title="flow loss, and its mean over 100 steps", ylim=(None, np.quantile(loss, .999)))
for k in np.cumsum([len(log) for log in logs])[:-1]: left.axvline(k, c="k", lw=.7, ls=":")
left.xaxis.set_major_locator(plt.MaxNLocator(5))
for name, rows in (("first 300 steps", log[:300]), ("last 300", log[-300:])): right.plot(np.arange(10) * 100 + 50, by_t(rows), "o-", ms=3, label=name)
right.set(xlabel="timestep t", title="… by timestep"); right.legend(frameon=False); fig.tight_layout(); fig.savefig(here/"curves.png")
m["parameters"] = dict(dit=count_params(pipe.dit), vae=count_params(pipe.vae))
m["made_with"] = dict(python=platform.python_version(), **{k: version(k) for k in ("torch", "dicebear-core", "dicebear-styles", "resvg-py")})
write_json(here/"metrics.json", m)

# the commands of every part after the first, each beginning with what the part before exported, or with its folder
usual = load_config("avatars").train_params.dit_ema_decay
exported = [f"avatars_{sum(q['epochs'] for q in parts[:k + 1])}" for k in range(len(parts))]
num_images = lambda part: f"dataset_params.num_images={part['num_images']} " if part["num_images"] != parts[0]["num_images"] else ""
extras = lambda part: "dit_params.attributes=true " * part.get("attributes", False) + (f"train_params.dit_max_steps={n} " if (n := part["max_steps"]) else "") + (f"train_params.dit_batch_size={b} " if (b := part.get("batch_size", 64)) != 64 else "") + (f"diffusion_params.timestep_sampling={how} " if (how := part["timestep_sampling"]) != parts[0]["timestep_sampling"] else "") + (f"diffusion_params.timestep_mean={mean} " if (mean := part.get("timestep_mean", 0)) else "") + (f"train_params.dit_ema_decay={d} " if (d := part.get("ema_decay", usual)) != usual else "")
often = lambda weights: "{" + ", ".join(f"{k}: {w:g}" for k, w in weights.items()) + "}"
further = [f"""mkdir {part['run']} && cp {start}/vae_*.safetensors {part['run']}                  # {part['steps']:,} steps more, with hard kinds shown more often{', told of parts' * part.get('attributes', False)}
dit_edu train-dit --config avatars {num_images(part)}train_params.task_name={part['run']} train_params.dit_start_from={start}/dit_ckpt.safetensors \\
  train_params.dit_epochs={part['epochs']} {extras(part)}train_params.dit_lr={part['lr']} train_params.dit_warmup_steps={part['warmup_steps']} train_params.compile=true \\
  "train_params.dit_class_weights={often(part['class_weights'])}"
{f"cp {decoder['run']}/vae_autoencoder_ckpt.safetensors {part['run']}" + chr(10) if part['run'] == decoder['goes_into'] else ""}python -c "from dit_edu.pipeline import export_run; export_run('{part['run']}', '{end}')"
""" for part, start, end in zip(parts[1:], [part.get("start") or e for part, e in zip(parts[1:], exported)], exported[1:])]
at = [part["run"] for part in parts].index(decoder["goes_into"]) - 1 # of the block in further whose folder gets the decoder
tuned = f"""# {decoder['steps']:,} steps more of the decoder alone, for the next export: the latents stay as they are
dit_edu train-vae --config avatars dataset_params.num_images={decoder['num_images']} train_params.task_name={decoder['run']} \\
  train_params.autoencoder_start_from={exported[at]}/vae_autoencoder_ckpt.safetensors train_params.autoencoder_decoder_only=true \\
  train_params.autoencoder_epochs={decoder['epochs']} train_params.autoencoder_max_steps={decoder['steps']} train_params.autoencoder_lr={decoder['lr']} train_params.disc_weight={decoder['disc_weight']:g} \\
  "train_params.autoencoder_class_weights={often(decoder['class_weights'])}"
"""
v, c, f, s, d, t, o, e = (m[k] for k in ("vae", "classes", "frechet_alexnet", "speed", "near_copies", "training", "loss", "whole_thumbs"))
rows = "\n".join(f"| {k} | {v['per_class'][k]['psnr']:.1f} | {v['per_class'][k]['lpips_alex']:.4f} | {100 * c['per_class'][k]:.1f} % | {f['per_class'][k]:.1f} / {f['floor_per_class'][k]:.1f} | {o['per_class'][k]['trained_on']:.3f} / {o['per_class'][k]['unseen']:.3f} |" for k in AVATAR_CLASSES)
both = lambda q: f"{100 * q['whole']:.0f} % ({100 * q['like_eyes']:.0f} %)"
span = lambda key: "%d to %d" % pipe.defaults[key]
(here/"README.md").write_text(f"""# The model that ships

Class-conditional avatars, 64×64 pixels, ten kinds. `load_pretrained()` reads it; written by `benchmarks/pretrained.py`, which measured the numbers below (what a reader counted, and what had been planned, is typed in).

| | |
|---|---|
| autoencoder | VAE-GAN, f4, 4 channels (64×64×3 → 16×16×4), {m['parameters']['vae']:,} parameters, {t['vae']['steps']:,} steps of 8 images, {t['vae']['minutes']:.0f} minutes; then {t['decoder']['steps']:,} of its decoder alone, with {', '.join(t['decoder']['class_weights'])} shown more often, {t['decoder']['minutes']:.0f} minutes |
| transformer | DiT, patch 2, 8 blocks, width 256, {m['parameters']['dit']:,} parameters, flow matching, EMA, {sum(q['steps'] for q in t['dit'][:-1]):,} steps of 64 images in stages of {', '.join(f"{q['steps']:,} ({q['minutes']:.0f} minutes)" for q in t['dit'][:-1])}, wall time in which other work was done too; then {t['dit'][-1]['steps']:,} steps of {t['dit'][-1]['batch_size']:,} images in {t['dit'][-1]['minutes']:.0f} minutes on a GPU |
| hardware | two CPU cores (AMD EPYC, AVX-512 with bf16), other work beside it; for the last stage one NVIDIA H200, on which `avatars-128` was trained at the same time; bf16 autocast |
| data | avatars drawn by DiceBear (`dicebear-core` {m['made_with']['dicebear-core']}, `dicebear-styles` {m['made_with']['dicebear-styles']}, `resvg-py` {m['made_with']['resvg-py']}), as many of each kind: 10,000 for the autoencoder and {t['decoder']['num_images']:,} for its decoder, {', '.join(f"{q['num_images']:,}" for q in t['dit'])} for the transformer's stages, the smaller sets within the larger; styles CC0, see NOTICE |
| config | `dit_config.yaml` here; seed 0 |
| weights | fp16 safetensors, {sum(q.stat().st_size for q in here.glob('*.safetensors')) / 2**20:.1f} MB |

Repeat it:

```sh
dit_edu train-vae --config avatars && dit_edu infer-vae --config avatars
dit_edu train-dit --config avatars train_params.dit_epochs=12                 # to the end of a cosine
dit_edu train-dit --config avatars --resume train_params.compile=true        # and from there to 30 epochs
python -c "from dit_edu.pipeline import export_run; export_run('avatars', '{exported[0]}')"
{''.join(further[:at])}{tuned}{''.join(further[at:])}```

On another machine the numbers will differ in the last digits. (One thing differs from the code as it is now: the first 10,000 steps of the autoencoder were made when Muon still computed in fp32; now it does so in bf16, as the config asks.)

![the loss of the transformer's last {len(runs)} stages (a dotted line between them), by step and by timestep](curves.png)

(The last stage was planned for 24,000 steps and, to end in time, resumed at step 8,000 with 21,100: the learning rate's cosine was drawn anew from there. The logs of the autoencoder's first training and of the transformer's first stage were lost with the machine they lay on; the tutorial `avatars_cpu` has both curves for a shorter training. Stages that draw other kinds and timesteps more often, or tell more, have other losses, so heights compare within a stage only.)

![100 samples, not chosen: seeds in order, ten per kind](samples.png)

## Measured

- **Autoencoder**, on {v['n']:,} avatars it has not seen (test split, mode of the latent): PSNR {v['psnr']:.2f} dB, LPIPS (AlexNet) {v['lpips_alex']:.4f}.
- **Classes**: a classifier trained on real avatars, itself right on {100 * c['classifier_on_held_out_real']:.1f} % of 1,000 held-out real ones, agrees with the asked class on {100 * c['samples']:.2f} % of {c['n']:,} samples.
- **Fréchet distance on AlexNet features** (not an FID), {f['n']:,} samples against {f['n']:,} held-out real avatars, 64 px, no resizing, float in memory (the samples were drawn under bf16 autocast, which moves a pixel by {m['bf16_rms_change']:.4f} of its range, rms): samples {f['samples']:.1f}; floor (two real sets) {f['floor_two_real_sets']:.1f}; the autoencoder's reconstructions {f['vae_reconstructions']:.1f}; real ones blurred by 1 px {f['blur_1px']:.1f}. Samples / blur: {f['ratio_samples_to_blur']:.3f}.
- **Thumbs**, the hardest kind: {both(e['samples'])} of {e['n']} samples are whole, with a body of another colour than the background and just three black or white parts in the face, two eyes and a mouth (in brackets: and the larger eye is less than twice the smaller); of real ones {both(e['held_out_real'])}, of {e['n_partial']} reconstructed ones {both(e['reconstructed'])}. With guidance 2 by the label for t from {span('interval')} it would be {both(e['guided'])}, with skip guidance ({skip['skip_scale']:g} away from a copy without block 2 for t from 500, {skip['guidance_scale']:g} by the label below) {both(e['skip_guidance'])}. Of {e['n_partial']} real thumbs that are noised to t and sampled from there, told of their own parts, {', '.join(f'{both(v)} are whole from t = {t}' for t, v in e['from_real_noised_to'].items())}.
- **Parts**: the transformer is told of parts beside the class ({len(attribute_words(pipe.attributes)):,} values in all, with numbers in eight boxes each); for each sample they came by chance, as often as in the data. Classifiers of one part each, trained on 8,000 real avatars of that kind, find the part that was asked for (in brackets: of held-out real ones, of reconstructed ones): {', '.join(f"{k} {100 * q['samples']:.0f} % ({100 * q['held_out_real']:.0f}, {100 * q['reconstructed']:.0f})" for k, q in m['parts'].items())}. (By chance it would be 7 to 30 %. The judge of eyes is weak itself, so compare with the brackets.)
- **Near-copies**: {d['measure']}. Median over {d['n']} samples {d['median_samples']:.2f}, over held-out real avatars {d['median_held_out_real']:.2f}; {100 * d['share_of_samples_nearer_than_a_hundredth_of_held_out_real']:.1f} % of samples are nearer than the nearest hundredth of real ones.
- **Speed**, here, with {s['threads']} threads: 16 images in {s['steps']} steps, decoded, {s['seconds_16_images']:.1f} s (in 25 steps {s['seconds_16_images_25_steps']:.1f} s); first preview after {s['seconds_to_first_preview_of_16']:.2f} s.

| kind | PSNR, dB | LPIPS | class agreement | Fréchet, samples / two real sets | loss, trained on / unseen |
|---|---|---|---|---|---|
{rows}

(Fréchet distances per kind rest on a tenth of the images, so they are larger than the whole's; compare with the real sets beside them. The loss is the transformer's, told of class and parts, on {o['n_per_class']} images of each kind, each at {o['draws']} random timesteps, the same noise for both.)

![samples above, the nearest training avatar below](neighbours.png)

## Limits

It knows ten kinds of cartoon avatars and nothing else. It is small; look at the samples above, where faults are left in. Of thumbs {100 - 100 * e['samples']['whole']:.0f} % have an eye too many, too few or out of place, a mouth in pieces, or no body that stands out, as the program counts above, which rejects {100 - 100 * e['held_out_real']['whole']:.0f} % of real ones too. A strict reader of four pages of 100, of which one held real avatars through the autoencoder and nobody said which, marked 5 clear faults on the three of unchosen samples (a stained face and a tangle of glasses among the pixel-art and people, glasses again, one pair of squinting eyes, hills that dissolve at their edge) and none on the other, which it picked out; borderline ones 5 and none, milder ones 30 and 5. It would put the real page on a poster, calls two of the others nearly fit for one and the third, for the stained face, not. (Of the network before the last stage another such reader marked 21 on three pages.) The surfaces of planets are not always what was asked for. Thumbs and people were shown more often than the other kinds, so without a label it draws more of them. The discriminator of the autoencoder's first training (that of its decoder had none) never told real from reconstructed (see the tutorial), so it has added nothing. Sampling: {pipe.defaults['sampler']}, {pipe.defaults['steps']} steps, no guidance: since the last stage guidance no longer helps (the numbers for thumbs above), and the second pass of the network that it costs is better spent on twice as many steps.
""", encoding="utf8")
