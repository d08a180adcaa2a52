"Our samplers against diffusers' schedulers, step by step, from the same noise and with the same fresh noise."
import pytest, torch
from torch import nn

from dit_edu.core import DitEduError
from dit_edu.diffusion import Diffusion
from dit_edu.samplers import SAMPLERS, ddim, ddpm, dpmpp_2m, dpmpp_2m_sde, euler, heun, make_timesteps, run_sampler
from dit_edu.schedules import make_schedule
from dit_edu.schedules import Schedule

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")   # diffusers with numpy 2
diffusers = pytest.importorskip("diffusers")
SIZE = (2, 3, 8, 8)
KIND = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}


class Dummy(nn.Module):
    "A small fixed network whose answer depends on every pixel around and on t."
    def __init__(self, out=3):
        super().__init__()
        g = torch.Generator().manual_seed(1)
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, out, 3, padding=1)
        for p in self.parameters(): p.data = torch.randn(p.shape, generator=g) * 0.15

    def forward(self, x, t, y=None):
        t = torch.as_tensor(t, dtype=x.dtype).expand(len(x)).view(-1, 1, 1, 1)
        out = self.b(torch.tanh(self.a(x) + torch.sin(t / 150)))
        return torch.cat([out[:, :3], torch.tanh(out[:, 3:])], 1)   # a learned share stays between its two ends


def start(seed=0): return torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))


def theirs(cls, steps, kind="eps", **kw):
    s = cls(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear",
            prediction_type=KIND[kind], **kw)
    s.set_timesteps(steps)
    return s


@torch.no_grad()
def compare(sched, sampler, kind="eps", name="linear", T=1000, model=None, shift=0, step_kw={}, **kw):
    "Walk both ways side by side; every x_t must agree, and so must the finished sample."
    model = model or Dummy()
    diff = Diffusion(make_schedule(name, T), target=kind, learn_sigma=model.b.out_channels == 6)
    times = [round(float(t)) - shift for t in sched.timesteps]
    times = list(dict.fromkeys(times))                # Heun of diffusers names most timesteps twice
    x, seen = start(), []
    theirs_g = {"generator": torch.Generator().manual_seed(7)} if step_kw is not None else {}
    for t in sched.timesteps:
        seen.append(x)
        out = model(x, torch.as_tensor(round(float(t)) - shift))
        x = sched.step(out, t, x, **theirs_g, **(step_kw or {})).prev_sample
    if sampler is heun: seen = [seen[0]] + seen[2::2]
    ours = list(sampler(diff.denoiser(model), start(), diff.schedule, times,
                        generator=torch.Generator().manual_seed(7), **kw))
    assert len(ours) == len(seen) and [s.t for s in ours] == times
    for step, b in zip(ours, seen): assert close(step.xt, b), (step.t, (step.xt - b).abs().max())
    assert close(ours[-1].x0, x), (ours[-1].x0 - x).abs().max()
    assert x.std() > 0.1                              # something was really computed
    return times


def close(a, b): return (a - b).abs().max() <= 1e-4 * max(1., b.abs().max())


@pytest.mark.parametrize("steps", [5, 20, 100])
@pytest.mark.parametrize("kind", ["eps", "v", "x0"])
@pytest.mark.parametrize("spacing", ["linspace", "leading"])
def test_ddpm(steps, kind, spacing):
    sched = theirs(diffusers.DDPMScheduler, steps, kind, clip_sample=False, timestep_spacing=spacing)
    assert compare(sched, ddpm, kind) == make_timesteps(1000, steps, spacing)


def test_ddpm_all_1000_steps():
    compare(theirs(diffusers.DDPMScheduler, 1000, clip_sample=False), ddpm)


@pytest.mark.parametrize("steps", [10, 50, 1000])
def test_ddpm_learned_range(steps):
    sched = theirs(diffusers.DDPMScheduler, steps, clip_sample=False, variance_type="learned_range",
                   timestep_spacing="leading")
    sched.alphas_cumprod = make_schedule("linear", 1000).abar   # theirs in float32 keeps three digits of 1 - abar at t = 0
    compare(sched, ddpm, model=Dummy(6))


@pytest.mark.parametrize("steps", [5, 20, 100])
@pytest.mark.parametrize("kind", ["eps", "v", "x0"])
@pytest.mark.parametrize("eta", [0., 0.5, 1.])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_ddim(steps, kind, eta, spacing):
    sched = theirs(diffusers.DDIMScheduler, steps, kind, clip_sample=False, timestep_spacing=spacing)
    times = compare(sched, ddim, kind, step_kw={"eta": eta}, eta=eta)
    assert times == make_timesteps(1000, steps, spacing)


@pytest.mark.parametrize("steps", [4, 14, 20, 100])   # under 15 diffusers has a rule of its own
@pytest.mark.parametrize("kind", ["eps", "v", "x0"])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("algorithm,sampler", [("dpmsolver++", dpmpp_2m), ("sde-dpmsolver++", dpmpp_2m_sde)])
def test_dpmpp_2m(steps, kind, spacing, algorithm, sampler):
    sched = theirs(diffusers.DPMSolverMultistepScheduler, steps, kind, algorithm_type=algorithm,
                   solver_order=2, solver_type="midpoint", final_sigmas_type="zero", timestep_spacing=spacing)
    times = compare(sched, sampler, kind)
    # only 'trailing' is the same list of timesteps: diffusers leaves out t = 0 in the other two here
    if spacing == "trailing": assert times == make_timesteps(1000, steps, spacing)


@pytest.mark.parametrize("steps", [4, 10, 28])        # steps whose even grid falls on whole timesteps
@pytest.mark.parametrize("sampler,cls", [(euler, "FlowMatchEulerDiscreteScheduler"),
                                         (heun, "FlowMatchHeunDiscreteScheduler")])
def test_flow(steps, sampler, cls):
    sched = getattr(diffusers, cls)(num_train_timesteps=1000)
    sched.set_timesteps(steps)
    times = compare(sched, sampler, "flow", "flow", shift=1)   # their t counts from 1
    assert times == make_timesteps(1000, steps)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 27, 50, 333, 999, 1000])
def test_timesteps_are_those_of_diffusers(steps):
    for spacing in ("linspace", "leading", "trailing"):
        if steps == 1 and spacing != "trailing": continue   # diffusers would start at t = 0, where nothing is to do
        sched = theirs(diffusers.DDPMScheduler, steps, timestep_spacing=spacing)
        want = [int(t) for t in sched.timesteps][:steps]   # np.arange with a fraction may give one too many
        assert make_timesteps(1000, steps, spacing) == want


@pytest.mark.parametrize("name", list(SAMPLERS))
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "cosine", "sigmoid", "flow"])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_every_sampler_on_every_schedule(name, schedule, steps):
    sch = make_schedule(schedule, 50)
    diff = Diffusion(sch, target="v" if schedule != "flow" else "flow")
    g = torch.Generator().manual_seed(0)
    out = list(run_sampler(name, diff.denoiser(Dummy()), start(), sch, steps, generator=g))
    assert len(out) == steps and out[-1].x0.shape == SIZE
    assert all(torch.isfinite(s.xt).all() and torch.isfinite(s.x0).all() for s in out)
    assert not out[-1].x0.requires_grad


def test_samplers_do_not_touch_the_start():
    diff = Diffusion(make_schedule("linear", 50), target="v")
    for name in SAMPLERS:
        x = start()
        list(run_sampler(name, diff.denoiser(Dummy()), x, diff.schedule, 5))
        assert torch.equal(x, start())


def test_bad_requests():
    sch = make_schedule("linear", 100)
    ask = lambda name="ddim", **kw: run_sampler(name, None, start(), sch, **kw)
    with pytest.raises(DitEduError, match="did you mean 'ddim'"): ask("dimm")
    with pytest.raises(DitEduError, match="ddpm, ddim, dpmpp_2m, dpmpp_2m_sde, euler, heun"): ask("plms")
    for steps in (0, -3, 101, 2.5, None, "10"):
        with pytest.raises(DitEduError, match="from 1 to 100"): ask(steps=steps)
    with pytest.raises(DitEduError, match="trailing"): ask(steps=5, spacing="even")
    with pytest.raises(DitEduError, match="begin at t = 0"): ask(steps=1, spacing="leading")
    for eta in (-1, 1.5):
        with pytest.raises(DitEduError, match="eta"): list(ask(steps=5, eta=eta))


def test_euler_says_where_there_is_nothing_to_divide_by():
    from types import SimpleNamespace
    alpha = torch.linspace(.9, 0, 10, dtype=torch.float64)
    schedule = Schedule('ends at nothing', alpha, (1 - alpha**2).sqrt())
    for name in ('euler', 'heun'):
        with pytest.raises(DitEduError, match='alpha is 0 at t = 9'):
            list(run_sampler(name, lambda x, t: SimpleNamespace(x0=x, eps=x, log_var=None), torch.randn(1, 1, 2, 2), schedule, steps=5))
