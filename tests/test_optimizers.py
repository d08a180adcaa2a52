"Guards for Muon: PyTorch's own as an oracle, which parameters are matrices, a state that travels, bad input."
import copy
import pytest, torch
from torch import nn
from dit_edu.config import Config, load_config
from dit_edu.core import DitEduError, load_weights, save_weights
from dit_edu.dit import DiT
from dit_edu.optimizers import Muon, make_optimizer, orthogonalize
from dit_edu.train_dit import DiTTask
from dit_edu.training import pack, unpack


def train(net, opt, steps, start=0):
    for i in range(start, start + steps):
        g = torch.Generator().manual_seed(i)
        opt.zero_grad()
        net(torch.randn(32, net[0].in_features, generator=g)).pow(3).mean().backward()
        opt.step()


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 96))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon of its own")
def test_equals_pytorchs_own():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(32, 48, bias=False), nn.Linear(32, 48, bias=False)
    theirs.load_state_dict(ours.state_dict())
    a = Muon(ours, 1e-2, momentum=0.9, weight_decay=0.1, dtype=torch.bfloat16)
    b = torch.optim.Muon(theirs.parameters(), lr=1e-2, momentum=0.9, weight_decay=0.1, nesterov=True, adjust_lr_fn="match_rms_adamw")
    before = ours.weight.detach().clone()
    for i in range(5):
        x = torch.randn(64, 32, generator=torch.Generator().manual_seed(i))
        for net, opt in ((ours, a), (theirs, b)):
            opt.zero_grad(); net(x).pow(3).mean().backward(); opt.step()
    moved = (ours.weight - before).norm()
    error = (ours.weight - theirs.weight).norm()
    assert moved > 0.1 and error < 0.03 * moved, (moved, error) # both round to bfloat16, in another order


def test_bfloat16_products_are_near_enough():
    g = torch.randn(64, 96, generator=torch.Generator().manual_seed(0))
    exact, rough = orthogonalize(g), orthogonalize(g, dtype=torch.bfloat16)
    assert rough.dtype == g.dtype and (rough - exact).norm() < 0.05 * exact.norm()


def test_a_zero_gradient_moves_nothing():
    assert not orthogonalize(torch.zeros(16, 16)).any()
    net = small(); net.zero_grad(); opt = Muon(net)
    for p in net.parameters(): p.grad = torch.zeros_like(p)
    before = copy.deepcopy(net.state_dict()); opt.step()
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def matrices(module, **kw):
    ids = {id(p) for g in Muon(module, **kw).param_groups if g["matrices"] for p in g["params"]}
    return {name for name, p in module.named_parameters() if id(p) in ids}


def test_which_parameters_are_matrices():
    net = nn.ModuleDict({"conv": nn.Conv2d(3, 32, 3), "thin": nn.Linear(8, 64), "table": nn.Embedding(64, 32), "norm": nn.LayerNorm(32), "mid": nn.Linear(32, 32),
                         "frozen": nn.Linear(32, 32).requires_grad_(False)})
    assert matrices(net) == {"conv.weight", "mid.weight"} # 32 x 27: three input channels, nine taps
    assert matrices(net, skip=("mid",)) == {"conv.weight"}
    every = [p for g in Muon(net).param_groups for p in g["params"]]
    assert len(every) == len({id(p) for p in every}) == sum(p.requires_grad for p in net.parameters())


def test_parameters_without_a_gradient_stay():
    net = small(); opt = Muon(net, weight_decay=0.1); before = copy.deepcopy(net.state_dict())
    net[0](torch.randn(4, 24)).square().mean().backward(); opt.step()
    assert torch.equal(net[2].weight, before["2.weight"]) and not torch.equal(net[0].weight, before["0.weight"])


def test_all_at_once_is_one_at_a_time():
    "What a GPU is given, many parameters in one call, against what a CPU is given."
    for kind, params in (("matrix_updates", [torch.randn(s) for s in ((96, 32), (32, 32), (32, 64), (64, 32), (32, 8, 4))]), ("adam_updates", [torch.randn(s) for s in ((7,), (3, 5))])):
        params = [nn.Parameter(p) for p in params]
        for p in params: p.grad = torch.randn_like(p)
        once, each = (Muon(nn.ParameterList(params), weight_decay=.1) for _ in range(2))
        with torch.no_grad():
            for _ in range(3): many, single = getattr(once, kind)(params, once.defaults), [getattr(each, kind)([p], each.defaults)[0] for p in params]
        for p, u, v in zip(params, many, single): assert u.shape == p.shape and torch.allclose(u, v, atol=1e-6)


def test_the_state_travels(tmp_path):
    "Through the file that checkpoints use, to the last bit."
    whole = small(); train(whole, Muon(whole, 1e-2, weight_decay=0.01), 6)
    first = small(); opt = Muon(first, 1e-2, weight_decay=0.01); train(first, opt, 3)
    tensors = {}; tree = pack({"net": first.state_dict(), "opt": opt.state_dict()}, tensors)
    save_weights(tmp_path/"ckpt.safetensors", tensors, {"tree": tree})
    tensors, meta = load_weights(tmp_path/"ckpt.safetensors")
    state, second = unpack(meta["tree"], tensors), small()
    second.load_state_dict(state["net"]); opt = Muon(second, 0.5); opt.load_state_dict(state["opt"]); train(second, opt, 3, start=3)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters()))


def test_the_config_chooses():
    assert Config().train_params.autoencoder_optimizer == Config().train_params.dit_optimizer == "adam" # what a config of the seed system means
    dit = DiT(8, 2, 4, 32, 2, 2, num_classes=2, learn_sigma=False)
    for kind, cls in (("adam", torch.optim.AdamW), ("muon", Muon)):
        cfg = load_config("tiny", [f"train_params.dit_optimizer={kind}"])
        assert type(DiTTask(dit, None, 1e-3, optimizer=cfg.train_params.dit_optimizer).optimizers["dit"]) is cls
    with pytest.raises(DitEduError, match="choose adam or muon"): make_optimizer(dit, "sgd", 1e-3)
