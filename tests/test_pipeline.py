"What people do with a finished run: load it, sample, look at the steps."
import subprocess, sys
import numpy as np
import pytest, torch
from dit_edu.core import DitEduError


@pytest.fixture(scope="module")
def pipe(finished):
    from dit_edu import load_pretrained
    return load_pretrained(finished/"run", device="cpu")


def same(a, b): torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
def far(a, b): assert (a - b).abs().max() > 1e-2


def test_load_pretrained_knows_the_run(pipe):
    assert pipe.classes == ["green", "red"]
    assert pipe.latent_shape == (4, 8, 8)
    assert pipe.diffusion.schedule.T == 12
    assert pipe.defaults == {"sampler": "ddim", "steps": 6, "guidance_scale": 1.0}
    images = pipe.sample(3, steps=4)
    assert images.shape == (3, 3, 16, 16) and images.min() >= 0 and images.max() <= 1 and images.std() > 0.01


def test_latents_have_the_cache_statistics(pipe, finished):
    from dit_edu.latents import LatentCache
    cache = LatentCache(finished/"run/vae_latents")
    assert torch.equal(pipe.vae.latents_mean, cache.mean) and torch.equal(pipe.vae.latents_std, cache.std)
    z, _ = cache.sample(range(len(cache)), generator=torch.Generator().manual_seed(0))
    assert z.mean().abs() < 0.1 and abs(z.std() - 1) < 0.1


def test_the_seed_decides_the_images(pipe):
    for sampler in ("ddim", "ddpm"):
        a, b, c = (pipe.sample(2, steps=4, seed=s, sampler=sampler) for s in (5, 5, 6))
        assert torch.equal(a, b); far(a, c)


def test_the_first_image_does_not_depend_on_how_many(pipe):
    for kw in ({}, {"sampler": "ddpm"}, {"eta": 1.}): # also where noise is added on the way
        few, many = pipe.sample(1, steps=4, seed=1, **kw), pipe.sample(3, steps=4, seed=1, **kw)
        same(few, many[:1])
        assert (many[1] - many[0]).abs().max() > .01


def test_labels_by_number_or_name(pipe):
    assert torch.equal(pipe.sample(2, y=1, steps=3), pipe.sample(2, y="red", steps=3))
    want = pipe.sample(2, y=["green", "red"], steps=3)
    for y in (torch.tensor([0, 1]), np.array([0, 1]), range(2), (np.int64(0), "red")): assert torch.equal(want, pipe.sample(2, y=y, steps=3))
    assert pipe.labels(torch.tensor(1), 3).tolist() == pipe.labels(np.int64(1), 3).tolist() == [1, 1, 1]
    with torch.no_grad(): # a small model hardly heeds its label after 12 steps: look at the network's output, not at pixels
        x, t = torch.randn(1, *pipe.latent_shape, generator=torch.Generator().manual_seed(0)), torch.tensor([5])
        assert not torch.equal(pipe.dit(x, t, torch.tensor([0])), pipe.dit(x, t, torch.tensor([1])))


@pytest.mark.parametrize("y, says", [("blue", "green, red"), (7, "0 … 1"), (-1, "0 … 1"), ([0, 1, 0], "3 labels for 2 images"), ([], "0 labels for 2 images"), (True, "no class True"), (0.5, "no class 0.5")])
def test_wrong_labels_are_named(pipe, y, says):
    with pytest.raises(DitEduError, match=says): pipe.sample(2, y=y, steps=2)


def test_guidance_one_is_neutral_and_others_are_not(pipe):
    from dit_edu.guidance import guided_denoiser
    y = torch.tensor([1, 1])
    plain, one, many = ([s.x0 for s in pipe.steps(2, y=1, steps=4, **kw)][-1] for kw in ({}, {"guidance_scale": 1.0}, {"guidance_scale": 30.0}))
    assert torch.equal(plain, one) and not torch.allclose(one, many, atol=1e-4)
    x = torch.randn(2, *pipe.latent_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(): # eps = eps_uncond + s (eps_cond - eps_uncond)
        cond, uncond, s = pipe.diffusion.denoise(pipe.dit, x, 5, y).eps, pipe.diffusion.denoise(pipe.dit, x, 5, None).eps, 3.
        torch.testing.assert_close(guided_denoiser(pipe.diffusion, pipe.dit, y, s)(x, 5).eps, uncond + s * (cond - uncond), rtol=1e-3, atol=1e-4)


def test_steps_descend_to_a_finished_image(pipe):
    steps = list(pipe.steps(2, y=[0, 1], steps=6, seed=2))
    ts = [s.t for s in steps]
    assert ts == sorted(set(ts), reverse=True) and ts[0] == 11 and ts[-1] == 0
    assert all(s.xt.shape == s.x0.shape == s.eps.shape == (2, 4, 8, 8) for s in steps)
    assert torch.equal(pipe.decode(steps[-1].x0), pipe.sample(2, y=[0, 1], steps=6, seed=2))
    sch = pipe.diffusion.schedule
    for s in steps: # each step's parts belong together: xt = alpha x0 + sigma eps
        alpha, sigma = sch.at(s.t, s.xt)
        torch.testing.assert_close(alpha * s.x0 + sigma * s.eps, s.xt, rtol=1e-3, atol=1e-3)


def test_all_steps_is_every_timestep(pipe):
    assert [s.t for s in pipe.steps(1, steps=12)] == list(range(11, -1, -1))


@pytest.mark.parametrize("kw, says", [({"steps": 0}, "1 to 12"), ({"steps": 13}, "1 to 12"), ({"sampler": "dimm"}, "ddim")])
def test_wrong_steps_and_samplers_are_named(pipe, kw, says):
    with pytest.raises(DitEduError, match=says): pipe.sample(1, **kw)


def test_a_folder_without_a_run_is_named(tmp_path, finished):
    from dit_edu import load_pretrained
    with pytest.raises(DitEduError, match=str(tmp_path/"nowhere")): load_pretrained(tmp_path/"nowhere")
    with pytest.raises(DitEduError, match="dit_config.yaml is missing"): load_pretrained(tmp_path)
    (tmp_path/"dit_config.yaml").write_text((finished/"run/dit_config.yaml").read_text())
    with pytest.raises(DitEduError, match="dit_ckpt.safetensors"): load_pretrained(tmp_path)
    (tmp_path/"dit_ckpt.safetensors").write_bytes((finished/"run/dit_ckpt.safetensors").read_bytes())
    with pytest.raises(DitEduError, match="vae_autoencoder_ckpt.safetensors"): load_pretrained(tmp_path)


def test_a_run_can_be_moved(finished, tmp_path, pipe):
    import shutil
    from dit_edu import load_pretrained
    for name in ("dit_config.yaml", "dit_ckpt.safetensors", "vae_autoencoder_ckpt.safetensors"): shutil.copy(finished/"run"/name, tmp_path)
    assert torch.equal(load_pretrained(tmp_path, device="cpu").sample(1, steps=3), pipe.sample(1, steps=3))


def test_the_three_names_and_no_torch_until_they_are_used():
    code = ("import sys, dit_edu; assert 'torch' not in sys.modules; import dit_edu.cli; assert 'torch' not in sys.modules;"
            "from dit_edu import DiT, VAE, load_pretrained; assert 'torch' in sys.modules; assert callable(load_pretrained) and DiT.from_preset and VAE.load;"
            "import dit_edu as d\ntry: d.nonsense\nexcept AttributeError as e: assert 'nonsense' in str(e)\nelse: raise SystemExit('no AttributeError')")
    p = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr


def test_a_model_that_always_saw_its_labels_cannot_be_guided():
    from dit_edu.dit import DiT
    from dit_edu.guidance import guided
    net = DiT(8, 2, 4, 16, 1, 2, num_classes=3, class_dropout_prob=0.).eval()
    x = torch.randn(2, 4, 8, 8)
    assert guided(net, 2)(x, 5).shape[0] == 2
    with pytest.raises(DitEduError, match="class_dropout_prob"): guided(net, 2, 2.)
    for y, says in ((torch.tensor([0, 1, 2]), "3 labels for 2 images"), (torch.tensor([[0], [1]]), "use y\\[:, 0\\]"), (torch.tensor([True]), "whole numbers")):
        with pytest.raises(DitEduError, match=says): guided(net, y)(x, 5)
    torch.testing.assert_close(guided(net, torch.tensor([2, 1], dtype=torch.uint8))(x, 5), guided(net, [2, 1])(x, 5))
    for interval in ((80, 20), (.2, .8), (5,)):
        with pytest.raises(DitEduError, match="two timesteps"): guided(net, 2, interval=interval)
    with pytest.raises(DitEduError, match="from 0 to 2, not"): guided(net, 3) # the number of the null label, where there is one


def test_guidance_zero_forgets_the_label_in_the_variance_too():
    from dit_edu.dit import DiT
    from dit_edu.guidance import guided
    torch.manual_seed(0)
    net = DiT(input_size=4, hidden_size=16, depth=1, num_heads=2, num_classes=3, learn_sigma=True).eval()
    for p in net.parameters(): torch.nn.init.normal_(p, std=.3)
    x = torch.randn(2, 4, 4, 4)
    same(guided(net, 1, 0.)(x, 5), net(x, torch.tensor([5, 5])))


def test_the_finished_image_is_x0_0_whatever_the_steps(pipe, tmp_path):
    from dit_edu.pipeline import pick_steps, save_animation, save_samples
    from PIL import Image
    for kw, last in ((dict(steps=1), 11), (dict(steps=4, spacing="trailing"), 2)):
        assert save_samples(pipe, tmp_path/"s", n=2, progress=False, **kw) == tmp_path/"s"/"x0_0.png"
        assert (tmp_path/"s"/"x0_0.png").read_bytes() == (tmp_path/"s"/f"x0_{last}.png").read_bytes()
    steps = list(pipe.steps(1, steps=3))
    assert pick_steps(steps, 1) == steps[-1:] and len(pick_steps(steps, 2)) == 2
    with pytest.raises(DitEduError, match=".webp or .gif"): save_animation(pipe, steps, tmp_path/"a.mp4")
    assert Image.open(save_animation(pipe, steps, tmp_path/"a.GIF")).format == "GIF"


def test_a_pipeline_in_half_precision(pipe):
    import copy
    half = copy.copy(pipe); half.dit = copy.deepcopy(pipe.dit).bfloat16()
    assert (half.sample(2, y=1, steps=3) - pipe.sample(2, y=1, steps=3)).abs().mean() < .02


def test_sampling_again_leaves_a_persons_pictures(pipe, tmp_path):
    from dit_edu.pipeline import save_samples
    for name in ("x0_7.png", "x0_0_best.png", "x0_5 (copy).png", "x0_favourite.png"): (tmp_path/name).write_bytes(b"mine")
    save_samples(pipe, tmp_path, n=1, steps=2, progress=False)
    assert sorted(f.name for f in tmp_path.glob("x0_*.png")) == ["x0_0.png", "x0_0_best.png", "x0_11.png", "x0_5 (copy).png", "x0_favourite.png", "x0_strip.png"] # 7 was an earlier sampling's
