"Switches of a training that other tests leave alone."
import shutil
from functools import partialmethod
from pathlib import Path

import pytest, torch

from dit_edu.config import load_config
from dit_edu.core import DitEduError, load_weights
from dit_edu.dit import DiT
from dit_edu.train_dit import save_preview, train_dit
from dit_edu.train_vae import train_vae
from dit_edu.training import Task, Trainer, TrainSettings, fit, make_accelerator, read_ahead
from dit_edu.vae import VAE
from runs import draw_images, log_of, write_config


def trained(tmp_path, monkeypatch, **changes):
    monkeypatch.chdir(tmp_path); draw_images("images")
    write_config("c.yaml", **{"train_params.autoencoder_epochs": 2, **changes})
    train_vae(load_config("c.yaml"), progress=False)
    return log_of("run", "vae")


def test_a_compiled_vae_gan_gets_past_the_step_where_the_discriminator_joins(tmp_path, monkeypatch):
    # the adaptive weight goes back through the compiled decoder twice; torch forbids that unless it is told.
    # aot_eager traces only: no compiler is needed, and it takes seconds
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="aot_eager"))
    log = trained(tmp_path, monkeypatch, **{"train_params.compile": True, "train_params.disc_adaptive": True})
    assert len(log) == 6 and log[-1]["adaptive_weight"] > 0 and "d_loss" in log[-1]


def test_no_pictures_when_none_are_asked_for(tmp_path, monkeypatch):
    assert len(trained(tmp_path, monkeypatch, **{"train_params.autoencoder_img_save_steps": 0})) == 6
    assert not list((tmp_path/"run").glob("vae_autoencoder_samples/*"))


class Two(Task):
    "Two networks that get their gradients one after the other, as autoencoder and discriminator do."
    def __init__(self):
        torch.manual_seed(0)
        self.modules = {k: torch.nn.Linear(3, 2) for k in "ab"}
        self.optimizers = {k: torch.optim.SGD(m.parameters(), lr=1.) for k, m in self.modules.items()}

    def micro_step(self, batch, draws, step, backward):
        for m in self.modules.values(): backward(loss := m(batch["x"]).square().mean())
        return {"loss": loss.detach()}


class Rows:
    def __len__(self): return 4
    def batch(self, indices, flips): return {"x": torch.tensor(indices).float()[:, None] + torch.arange(3.)}


def test_fp16_undoes_its_scale_once_for_each_network(tmp_path):
    weights = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=1024.)):
        acc = make_accelerator("fp32")
        acc.scaler = scaler
        trainer = Trainer(task := Two(), Rows(), TrainSettings(batch_size=4, epochs=3, clip=0.5), tmp_path, "t", acc)
        logs = list(trainer.steps())
        weights.append([m.weight.detach() for m in task.modules.values()])
        assert logs[0]["grad_norm_a"] > 0.5 # so clipping matters, and it needs the true size
    torch.testing.assert_close(*weights)


class Broken(torch.utils.data.Dataset):
    def __len__(self): return 4
    def __getitem__(self, i): raise DitEduError("cat.jpg is broken; mend it.")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_worker_says_one_sentence(workers):
    with pytest.raises(DitEduError) as e: list(read_ahead(torch.utils.data.DataLoader(Broken(), num_workers=workers)))
    assert str(e.value) == "cat.jpg is broken; mend it."


def test_a_transformer_that_starts_from_another(finished, run, tmp_path):
    def train(name, *more, rc=0):
        (tmp_path/name).mkdir()
        for f in ("images", "run/vae_latents"): shutil.copytree(finished/f, tmp_path/name/f)
        for f in ("config.yaml", "run/vae_autoencoder_ckpt.safetensors"): shutil.copy(finished/f, tmp_path/name/f)
        return run("train-dit", "-c", "config.yaml", "train_params.dit_max_steps=1", "train_params.dit_lr=1e-9", *more, cwd=tmp_path/name, rc=rc)
    weights = lambda folder: load_weights(folder/"run/dit_ckpt.safetensors")[0]
    trained = f"train_params.dit_start_from={finished/'run/dit_ckpt.safetensors'}"
    near = lambda a, b: max((a[k] - b[k]).abs().max() for k in b)
    train("anew"), train("on", trained)
    assert near(weights(tmp_path/"on"), weights(finished)) < 1e-6 < near(weights(tmp_path/"anew"), weights(finished))
    for name, more, says in (("v", ["diffusion_params.target=v"], "target"), ("wide", ["dit_params.hidden_size=64"], "dit_ckpt.safetensors, does not fit"), ("none", ["train_params.dit_start_from=none.safetensors"], "none.safetensors"),
                             ("unlabelled", ["dit_params.conditional=false"], "classes ['green', 'red']")):
        p = train(name, trained, *more, rc=2)
        assert says in p.stderr and "Traceback" not in p.stderr and not (tmp_path/name/"run/dit_ckpt.safetensors").exists(), p.stderr


def test_tensorboard_shows_a_step_that_was_run_twice_once(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    log = trained(tmp_path, monkeypatch, **{"train_params.tensorboard": True})
    for f in (tmp_path/"run").glob("vae_*_ckpt.safetensors"): f.unlink()
    for f in (tmp_path/"run/checkpoints").glob("vae_00000006*"): f.unlink() # as if it had been killed after step 3's checkpoint
    train_vae(load_config("c.yaml"), resume=True, progress=False)
    train_dit(load_config("c.yaml"), progress=False) # has a board of its own, and leaves that one as it is
    board = EventAccumulator(str(tmp_path/"run/tensorboard/vae")); board.Reload()
    assert len(list((tmp_path/"run/tensorboard/vae").iterdir())) == 2 # one file of each start
    assert len(list((tmp_path/"run/tensorboard/dit").iterdir())) == 1
    assert [(e.step, pytest.approx(e.value)) for e in board.Scalars("vae/loss")] == [(r["step"], r["loss"]) for r in log]


def test_previews_guide_only_within_the_interval(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(finished)
    cfg = load_config("config.yaml")
    dit, vae = DiT.load("run/dit_ckpt.safetensors")[0], VAE.load("run/vae_autoencoder_ckpt.safetensors")[0]
    def preview(name, **kw):
        save_preview(cfg.model_copy(update={"diffusion_params": cfg.diffusion_params.model_copy(update=kw)}), dit, vae, ["red", "green"], tmp_path/f"{name}.png")
        return (tmp_path/f"{name}.png").read_bytes()
    plain = preview("plain", guidance_scale=1.)
    assert preview("everywhere", guidance_scale=5.) != plain
    assert preview("outside", guidance_scale=5., guidance_interval=[50, 60]) == plain
    assert preview("skip", guidance_scale=1., skip_blocks=[0], skip_scale=3.) != plain
    assert preview("skip outside", guidance_scale=1., skip_blocks=[0], skip_scale=3., skip_interval=[50, 60]) == plain


def test_pictures_of_a_training_show_what_would_be_saved(tmp_path, monkeypatch):
    from dit_edu import train_vae as module
    seen = []
    monkeypatch.setattr(module, "save_reconstructions", lambda vae, *args: seen.append(vae.encoder.conv_in.weight.clone()))
    trained(tmp_path, monkeypatch, **{"train_params.autoencoder_ema_decay": .9, "train_params.autoencoder_img_save_steps": 6, "train_params.save_every_steps": 6})
    torch.testing.assert_close(seen[-1], load_weights("run/vae_autoencoder_ckpt.safetensors")[0]["encoder.conv_in.weight"])


def test_a_log_is_json_even_where_fp16_skips_a_step(tmp_path):
    import json
    class Blows(Two):
        def micro_step(self, batch, draws, step, backward):
            for m in self.modules.values(): backward(m(batch["x"]).square().mean() * (1e38 if step == 1 else 1.))
            return {"loss": torch.tensor(1.)}
    acc = make_accelerator("fp32")
    acc.scaler = torch.amp.GradScaler("cpu", init_scale=1024.)
    fit(Trainer(Blows(), Rows(), TrainSettings(batch_size=4, epochs=3, clip=0.5), tmp_path, "t", acc), progress=False)
    def no(word): raise AssertionError(f"{word} is not JSON")
    rows = [json.loads(line, parse_constant=no) for line in (tmp_path/"t_log.jsonl").read_text().splitlines()]
    assert len(rows) == 3 and [r["grad_norm_a"] is None for r in rows].count(True) == 1


def test_the_mean_of_logit_normal_reaches_training_and_loss(finished, tmp_path, monkeypatch):
    from dit_edu.pipeline import build_diffusion
    shutil.copytree(finished, tmp_path/"copy"); monkeypatch.chdir(tmp_path/"copy")
    for mean, least, most in ((-3., 0, .2), (3., .8, 1)):
        cfg = load_config("config.yaml", ["diffusion_params.timestep_sampling=logit_normal", f"diffusion_params.timestep_mean={mean}"])
        t = build_diffusion(cfg).loss(lambda x, t, y=None: x, torch.zeros(400, 1, 1, 1))[1]["t"]
        for old in [*Path("run").glob("dit_*.*"), *Path("run/checkpoints").glob("dit_*")]: old.unlink()
        train_dit(cfg, progress=False)
        counts = torch.tensor([r["count_sum"] for r in log_of("run", "dit")]).sum(0)
        for noisy in ((t >= cfg.diffusion_params.num_timesteps/2).float().mean(), counts[len(counts)//2:].sum()/counts.sum()): assert least <= noisy <= most
