"Guards for the two kinds of guidance: diffusers' own formulas as oracles, labels, variances, intervals, bad input."
import pytest, torch
from dit_edu.core import DitEduError
from dit_edu.dit import DiT
from dit_edu.guidance import guided, without_blocks

def network(**kw):
    torch.manual_seed(0)
    dit = DiT(**{**dict(input_size=8, in_channels=4, hidden_size=32, depth=3, num_heads=4, num_classes=5, learn_sigma=False), **kw}).eval()
    for p in dit.parameters():
        if not p.any(): torch.nn.init.normal_(p, std=.1) # adaLN-Zero begins as the identity: every block would be as good as none
    return dit

x, t, y = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([700] * 3), torch.tensor([0, 2, 4])

def test_both_guidances_equal_diffusers():
    guiders = pytest.importorskip("diffusers.guiders")
    dit = network()
    with torch.no_grad():
        cond, uncond, weak = dit(x, t, y), dit(x, t), dit(x, t, y, skip=(1,))
        theirs = guiders.AutoGuidance(guidance_scale=2.5, auto_guidance_layers=[1], dropout=1.).forward(cond, weak).pred
        torch.testing.assert_close(guided(dit, y, weak=without_blocks(dit, [1]), weak_scale=2.5)(x, 700), theirs)
        slg = guiders.SkipLayerGuidance(guidance_scale=3., skip_layer_guidance_scale=1.5, skip_layer_guidance_start=0., skip_layer_guidance_stop=1., skip_layer_guidance_layers=[1])
        slg.set_state(step=1, num_inference_steps=10, timestep=t)
        theirs = slg.forward(cond, uncond, weak).pred
        torch.testing.assert_close(guided(dit, y, 3., weak=without_blocks(dit, [1]), weak_scale=2.5)(x, 700), theirs)
    assert (cond - weak).abs().max() > .01 and (cond - uncond).abs().max() > .01

def test_a_block_left_out_is_a_network_without_it():
    dit, short = network(), network(depth=2)
    short.load_state_dict({k: v for k, v in dit.state_dict().items() if "blocks.2" not in k})
    with torch.no_grad(): torch.testing.assert_close(without_blocks(dit, (2,))(x, t, y), short(x, t, y))

def test_intervals_are_apart_and_one_is_neutral():
    dit = network()
    weak = without_blocks(dit, (0,))
    with torch.no_grad():
        plain, label = dit(x, t, y), guided(dit, y, 3.)(x, 700)
        for kw in (dict(weak_scale=1.), dict(weak_scale=3., weak_interval=(0, 699))):
            assert torch.equal(guided(dit, y, weak=weak, **kw)(x, 700), plain)
            assert torch.equal(guided(dit, y, 3., weak=weak, **kw)(x, 700), label)
        only = guided(dit, y, 3., (0, 699), weak=weak, weak_scale=2., weak_interval=(700, 999))(x, 700)
    torch.testing.assert_close(only, 2 * plain - weak(x, t, y))

def test_no_labels_and_learned_variances():
    free = network(num_classes=0, learn_sigma=True)
    weak = without_blocks(free, (1,))
    with torch.no_grad(): out, plain, worse = guided(free, None, weak=weak, weak_scale=3.)(x, 700), free(x, t), weak(x, t)
    torch.testing.assert_close(out[:, :4], (3 * plain - 2 * worse)[:, :4])
    assert torch.equal(out[:, 4:], plain[:, 4:]) and not torch.equal(plain[:, 4:], worse[:, 4:])

def test_scale_0_forgets_the_label_in_the_weak_network_too():
    dit = network()
    weak = without_blocks(dit, (1,))
    with torch.no_grad(): torch.testing.assert_close(guided(dit, y, 0., weak=weak, weak_scale=2.)(x, 700), 2 * dit(x, t) - weak(x, t))

@pytest.mark.parametrize("blocks", [(), (3,), (-1,), (0, 7), None, [True], [1.], "1"])
def test_blocks_that_are_not_there(blocks):
    with pytest.raises(DitEduError, match="blocks 0 to 2"): without_blocks(network(), blocks)

@pytest.mark.parametrize("blocks", [2, [2], torch.tensor([2]), torch.tensor(2)])
def test_one_block_however_it_is_written(blocks):
    dit = network()
    with torch.no_grad(): assert torch.equal(without_blocks(dit, blocks)(x, t, y), dit(x, t, y, skip=(2,)))

def test_a_network_without_blocks():
    with pytest.raises(DitEduError, match="has no blocks"): without_blocks(torch.nn.Linear(2, 2), (0,))

@pytest.mark.parametrize("bad", [(900, 100), (), 5, ("a", "b"), (None, 5), (0, float("inf"))])
def test_intervals_that_are_none(bad):
    for name in ("interval", "weak_interval"):
        with pytest.raises(DitEduError, match=f"^{name} is two timesteps"): guided(network(), y, **{name: bad})
