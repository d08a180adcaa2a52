"Guards for schedules and diffusion: diffusers and torch.distributions as oracles, devices, dtypes, bad input."
import pickle
import pytest, torch
from torch.distributions import Normal, kl_divergence
from dit_edu.core import DitEduError
from dit_edu.schedules import SCHEDULES, Schedule, linear_betas, make_schedule
from dit_edu.diffusion import *
from dit_edu.diffusion import posterior, posterior_at

PAIRS = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2", "sigmoid": "sigmoid"}
T = torch.tensor([0, 1, 250, 600, 999])


def theirs(name, **kw):
    diffusers = pytest.importorskip("diffusers")
    return diffusers.DDPMScheduler(num_train_timesteps=1000, beta_schedule=PAIRS[name], **kw)


def batch(seed=0, b=5, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(b, 3, 8, 8, generator=g).to(dtype) * 2 - 1, torch.randn(b, 3, 8, 8, generator=g).to(dtype)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("ends", [(1e-4, 0.02), (0.00085, 0.012)])
def test_tables_equal_diffusers(name, ends):
    ours, ref = make_schedule(name, 1000, *ends), theirs(name, beta_start=ends[0], beta_end=ends[1])
    torch.testing.assert_close(ours.betas.float(), ref.betas, rtol=2e-5, atol=1e-8)
    torch.testing.assert_close(ours.abar.float(), ref.alphas_cumprod, rtol=3e-4, atol=1e-9)  # theirs is a float32 product
    assert ours.alpha.dtype == ours.sigma.dtype == ours.betas.dtype == torch.float64


@pytest.mark.parametrize("name", PAIRS)
def test_add_noise_and_v_equal_diffusers(name):
    ours, ref, (x0, eps) = make_schedule(name), theirs(name), batch()
    torch.testing.assert_close(add_noise(x0, eps, T, ours), ref.add_noise(x0, eps, T), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(target_of("v", x0, eps, T, ours), ref.get_velocity(x0, eps, T), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind,theirs_kind", [("eps", "epsilon"), ("x0", "sample"), ("v", "v_prediction")])
def test_x0_of_an_answer_equals_diffusers(name, kind, theirs_kind):
    ours, ref, (xt, out) = make_schedule(name), theirs(name, prediction_type=theirs_kind, clip_sample=False), batch()
    for t in (1, 250, 600):
        x0, _ = to_x0_eps(kind, out, xt, t, ours)
        torch.testing.assert_close(x0, ref.step(out, t, xt).pred_original_sample, rtol=1e-3, atol=1e-4)


def test_flow_equals_flow_match():
    diffusers = pytest.importorskip("diffusers")
    ref, ours, (x0, eps) = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000), make_schedule("flow"), batch()
    for t in (0, 1, 250, 600, 999):
        theirs_t = ref.timesteps[999 - t]   # theirs fall, and are 1000 s = t + 1
        assert theirs_t.item() == pytest.approx(t + 1, rel=1e-5)
        torch.testing.assert_close(add_noise(x0, eps, t, ours), ref.scale_noise(x0, theirs_t[None], eps), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_learned_variance_equals_diffusers(name):
    ours, ref, (_, v) = make_schedule(name), theirs(name, variance_type="learned_range"), batch()
    diff = Diffusion(ours, learn_sigma=True)
    for t in (2, 250, 600, 998):
        got = diff.denoise(lambda x, t, y=None: torch.cat([x, v], 1), v, t).log_var
        torch.testing.assert_close(got, ref._get_variance(t, predicted_variance=v), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", PAIRS)
def test_posterior_mean_equals_diffusers(name):
    ours, ref, (x0, xt) = make_schedule(name), theirs(name, prediction_type="sample", clip_sample=False), batch()
    for t in (0, 250, 600):   # at t = 0 they add no noise; elsewhere the same noise is drawn twice, once for nothing
        c0, ct, small, big = posterior(ours, t, t - 1)
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)) * (small.sqrt() if t else 0)
        want = ref.step(x0, t, xt, generator=torch.Generator().manual_seed(1)).prev_sample
        torch.testing.assert_close(c0 * x0 + ct * xt + noise, want, rtol=1e-3, atol=2e-4)
        torch.testing.assert_close(big, ours.betas[t], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_posterior_chains(name):
    "Going back t -> r -> s with the same x0 is going back t -> s: means and variances agree."
    sch = make_schedule(name)
    t, r, s = 700, 450, 120
    c0, ct, small, _ = posterior(sch, t, s)
    a0, at, asmall, _ = posterior(sch, t, r)
    b0, bt, bsmall, _ = posterior(sch, r, s)
    torch.testing.assert_close(torch.stack([b0 + bt * a0, bt * at, bt**2 * asmall + bsmall]), torch.stack([c0, ct, small]))


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_is_a_schedule(name):
    for steps in (1, 2, 50, 1000):
        sch = make_schedule(name, steps)
        assert len(sch.alpha) == sch.T == steps and (sch.abar.diff() < 0).all() and (sch.sigma.diff() > 0).all()
        assert (sch.log_snr.diff() < 0).all() and sch.is_flow == (name == "flow")
        again = pickle.loads(pickle.dumps(sch))   # worker processes get a copy
        assert torch.equal(again.alpha, sch.alpha)
        x0, eps = batch()
        for kind in TARGETS:
            loss, info = Diffusion(sch, kind, weighting="min_snr").loss(lambda x, t, y=None: x, x0)
            assert loss.isfinite().all() and set(info) == {"t", "mse", "vb"}
        loss, _ = Diffusion(sch, "v", learn_sigma=True).loss(lambda x, t, y=None: torch.cat([x, x], 1), x0)
        assert loss.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_lookup_keeps_dtype_and_shape(dtype):
    sch = make_schedule("linear")
    for like in (torch.zeros(5, 3, 8, 8, dtype=dtype), torch.zeros(5, 7, dtype=dtype), torch.zeros(5, dtype=dtype)):
        a, s = sch.at(T, like)
        assert a.dtype == s.dtype == dtype and a.shape == (5, *[1] * (like.ndim - 1))
        torch.testing.assert_close(a.flatten().double(), sch.alpha[T], rtol=1e-2, atol=1e-3)
    assert sch.at(torch.tensor(-1), like)[0].item() == 1 and sch.at(-1, like)[1].item() == 0
    assert sch.at(T, torch.zeros(5, dtype=torch.uint8))[0].dtype == torch.float32
    table = sch._tables[(like.device, dtype)]
    sch.at(7, like)
    assert sch._tables[(like.device, dtype)] is table   # made once


def test_bf16_network_is_judged_in_float32():
    x0, eps = batch()
    diff = Diffusion(make_schedule("linear"), "v", learn_sigma=True)
    net = lambda x, t, y=None: torch.cat([x, x], 1).bfloat16()
    assert diff.loss(net, x0)[0].dtype == torch.float32
    d = diff.denoise(net, x0, 400)
    assert d.x0.dtype == d.eps.dtype == d.log_var.dtype == torch.float32


def test_loss_passes_on_what_it_is_given():
    seen, x0 = {}, batch()[0]
    def net(x, t, y=None, **kw): seen.update(t=t, y=y, kw=kw); return torch.zeros_like(x)
    y, drop = torch.arange(5), torch.tensor([True, False, True, False, True])
    diff = Diffusion(make_schedule("flow"), "flow")
    diff.loss(net, x0, y)
    assert seen["kw"] == {} and seen["t"].dtype == torch.int64 and seen["y"] is y
    loss, info = diff.loss(net, x0, y, t=T, eps=x0 * 2, drop=drop)
    assert seen["kw"]["drop"] is drop and torch.equal(info["t"], T)
    torch.testing.assert_close(loss, x0.square().flatten(1).mean(1))   # target eps - x0 = x0
    g = lambda: torch.Generator().manual_seed(3)
    assert torch.equal(diff.loss(net, x0, generator=g())[0], diff.loss(net, x0, generator=g())[0])


@pytest.mark.parametrize("kind", TARGETS)
def test_vb_gradient_leaves_the_mean_alone(kind):
    x0, eps = batch()
    sch = make_schedule("cosine")
    for t in (0, 1, 500):
        raw = torch.randn(5, 6, 8, 8, requires_grad=True)
        loss, info = Diffusion(sch, kind, learn_sigma=True).loss(lambda x, t, y=None: raw, x0, t=torch.full((5,), t), eps=eps)
        mse_only = Diffusion(sch, kind).loss(lambda x, t, y=None: raw[:, :3], x0, t=torch.full((5,), t), eps=eps)[0]
        with_vb, without = torch.autograd.grad(loss.sum(), raw)[0], torch.autograd.grad(mse_only.sum(), raw)[0]
        assert torch.equal(with_vb[:, :3], without[:, :3]) and with_vb[:, 3:].abs().sum() > 0
        torch.testing.assert_close(loss, info["mse"] + info["vb"])


def test_kl_and_likelihood():
    m1, v1, m2, v2 = torch.randn(4, 500, dtype=torch.float64)
    want = kl_divergence(Normal(m1, (v1 / 2).exp()), Normal(m2, (v2 / 2).exp()))
    torch.testing.assert_close(normal_kl(m1, v1, m2, v2), want)
    levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    p = discretised_log_likelihood(levels, torch.full_like(levels, 0.2), torch.full_like(levels, -3.0)).exp()
    normal = Normal(torch.tensor(0.2, dtype=torch.float64), torch.tensor(-1.5, dtype=torch.float64).exp())
    torch.testing.assert_close(p[100], normal.cdf(levels[100] + 1 / 255) - normal.cdf(levels[100] - 1 / 255))
    torch.testing.assert_close(p[255], 1 - normal.cdf(levels[255] - 1 / 255))
    torch.testing.assert_close(p.sum(), torch.ones_like(p[0]))


def test_vb_is_scaled_by_the_number_of_timesteps():
    x0, eps = batch()
    net = lambda x, t, y=None: torch.cat([x, x], 1)
    sch = make_schedule("flow", 100)
    t = torch.tensor([3, 20, 50, 80, 99])
    vb = Diffusion(sch, "flow", learn_sigma=True).loss(net, x0, t=t, eps=eps)[1]["vb"]
    xt = add_noise(x0, eps, t, sch)
    want = vb_term(x0, xt, to_x0_eps("flow", xt, xt, t, sch)[0], learned_log_var((xt + 1) / 2, t, sch), t, sch) / 10
    torch.testing.assert_close(vb, want)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", TARGETS)
def test_nothing_beats_the_ideal_denoiser(name, kind):
    "Any nudge of the perfect answer raises the loss, on average over the data set."
    g = torch.Generator().manual_seed(0)
    data, sch = torch.randn(6, 1, 2, 2, generator=g), make_schedule(name)
    x0 = data.repeat(500, 1, 1, 1).double()
    eps, t = torch.randn(x0.shape, generator=g).double(), torch.full((len(x0),), 500)
    net = IdealDenoiser(data, sch, target=kind)
    best = Diffusion(sch, kind).loss(net, x0, t=t, eps=eps)[0].mean()
    for nudge in (lambda o: 1.1 * o, lambda o: 0.9 * o, lambda o: o + 0.1, lambda o: o - 0.1):
        worse = Diffusion(sch, kind).loss(lambda x, t, y=None: nudge(net(x, t, y)), x0, t=t, eps=eps)[0].mean()
        assert worse > best


def test_ideal_denoiser_labels():
    data, sch = torch.randn(6, 1, 2, 2), make_schedule("linear")
    net = IdealDenoiser(data, sch, torch.tensor([0, 0, 1, 1, 2, 2]), "x0")
    assert (net.num_classes, net.null_label) == (3, 3)
    x = torch.randn(4, 1, 2, 2)
    w = net.weights(x, 999, torch.tensor([0, 1, 2, 3]))
    torch.testing.assert_close(w.sum(1), torch.ones(4))
    assert w[0, 2:].sum() == 0 and w[1, :2].sum() == 0 and (w[3] > 0).all()
    assert torch.equal(net(x, 500), net(x, torch.full((4,), 500), torch.full((4,), 3)))
    with pytest.raises(DitEduError, match="No image has the label 7"): net(x, 5, torch.tensor([0, 1, 2, 7]))
    free = IdealDenoiser(data, sch)
    assert free.num_classes == free.null_label == 0 and free(x.double(), 5).dtype == torch.float64


def test_bad_input_is_explained():
    sch, (x0, eps) = make_schedule("linear"), batch()
    for call, says in [
        (lambda: make_schedule("cosin"), "did you mean 'cosine'"),
        (lambda: make_schedule("linear", 0), "at least 1 timestep"),
        (lambda: make_schedule("linear", 10, 0.5, 0.1), "Betas are variances"),
        (lambda: sch.at(1000, x0), "outside this schedule"),
        (lambda: sch.at(-2, x0), "outside this schedule"),
        (lambda: sch.at(torch.tensor([0, 1, 2, 3, 1000]), x0), "outside this schedule"),
        (lambda: sch.at(T / 1000, x0), "whole number"),
        (lambda: add_noise(x0, eps, 0.5, sch), "whole number"),
        (lambda: Diffusion(sch).denoise(lambda x, t, y: x, x0, 0.7), "whole number"),
        (lambda: Schedule("s", torch.linspace(1, 0, 9), torch.linspace(0, 1, 9)), "sigma be above 0"),
        (lambda: Schedule("s", torch.linspace(.1, .9, 9), torch.linspace(.9, .1, 9)), "alpha must fall"),
        (lambda: Schedule("s", torch.linspace(.9, .1, 9), torch.linspace(.1, .9, 8)), "one number for each timestep"),
        (lambda: Diffusion(sch, target="noise"), "Unknown target"),
        (lambda: Diffusion(sch, weighting="snr"), "did you mean 'min_snr'"),
        (lambda: Diffusion(sch, timestep_sampling="lognormal"), "did you mean 'logit_normal'"),
        (lambda: Diffusion(sch).loss(lambda x, t, y=None: torch.cat([x, x], 1), x0), "same learn_sigma"),
    ]:
        with pytest.raises(DitEduError, match=says): call()


def test_tables_made_in_inference_mode_serve_training():
    diff, net = Diffusion(make_schedule("linear", 50), learn_sigma=True), torch.nn.Conv2d(3, 6, 1)
    x = torch.randn(2, 3, 4, 4)
    with torch.inference_mode(): diff.denoise(lambda x, t, y: net(x), x, 5)
    d = diff.denoise(lambda x, t, y: net(x), x, 5)
    (d.x0 * d.log_var).sum().backward()
    assert net.weight.grad.abs().sum() > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    sch, (x0, eps) = make_schedule("cosine"), batch()
    for kind in TARGETS:
        for learn in (False, True):
            net = (lambda x, t, y=None: torch.cat([x, x], 1)) if learn else (lambda x, t, y=None: x)
            diff = Diffusion(sch, kind, "logit_normal", "min_snr", learn)
            a = diff.loss(net, x0, t=T, eps=eps)[0]
            b, info = diff.loss(net, x0.cuda(), t=T.cuda(), eps=eps.cuda())
            torch.testing.assert_close(a, b.cpu(), rtol=1e-3, atol=1e-4)
            assert info["t"].is_cuda
            cpu_draws = diff.loss(net, x0.cuda(), generator=torch.Generator().manual_seed(1))[1]["t"]
            assert torch.equal(cpu_draws.cpu(), diff.loss(net, x0, generator=torch.Generator().manual_seed(1))[1]["t"])
    ideal = IdealDenoiser(x0, sch, torch.arange(5), "v").cuda()
    want = IdealDenoiser(x0, sch, torch.arange(5), "v")(eps, T)
    torch.testing.assert_close(ideal(eps.cuda(), T.cuda()).cpu(), want, rtol=1e-3, atol=1e-3)
