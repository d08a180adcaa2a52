"Switches of a training that other tests leave alone."
from functools import partialmethod

import torch

from dit_edu.config import load_config
from dit_edu.train_vae import train_vae
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
