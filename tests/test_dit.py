"The DiT against diffusers' implementation of the official one, and against bad input."
import pytest, torch
from diffusers import DiTTransformer2DModel
from dit_edu.blocks import BLOCKS
from dit_edu.core import DitEduError
from dit_edu.dit import DiT, PRESETS, multiply_adds
from dit_edu.embeddings import interpolate_pos_embed, sincos_2d

WAYS = list(BLOCKS)


def official_shapes(size=32, p=2, c=4, d=32, depth=2, classes=1000, mlp=4, c_out=8):
    "Names and shapes of the official release's state dict, written down by hand."
    s = {'pos_embed': (1, (size // p) ** 2, d), 'x_embedder.proj.weight': (d, c, p, p), 'x_embedder.proj.bias': (d,),
         't_embedder.mlp.0.weight': (d, 256), 't_embedder.mlp.0.bias': (d,),
         't_embedder.mlp.2.weight': (d, d), 't_embedder.mlp.2.bias': (d,),
         'y_embedder.embedding_table.weight': (classes + 1, d),
         'final_layer.linear.weight': (p * p * c_out, d), 'final_layer.linear.bias': (p * p * c_out,),
         'final_layer.adaLN_modulation.1.weight': (2 * d, d), 'final_layer.adaLN_modulation.1.bias': (2 * d,)}
    for i in range(depth):
        for name, (o, n) in {'attn.qkv': (3 * d, d), 'attn.proj': (d, d), 'mlp.fc1': (mlp * d, d), 'mlp.fc2': (d, mlp * d),
                             'adaLN_modulation.1': (6 * d, d)}.items():
            s |= {f'blocks.{i}.{name}.weight': (o, n), f'blocks.{i}.{name}.bias': (o,)}
    return s


def random_official(size=32, p=2, d=32, **kw):
    "A state dict in which nothing is zero, so that every tensor counts; the positions are what they always are."
    g = torch.Generator().manual_seed(0)
    state = {k: torch.randn(s, generator=g) * (0.3 if len(s) == 1 else 0.7 / s[1] ** 0.5)
             for k, s in official_shapes(size, p, d=d, **kw).items()}
    state['y_embedder.embedding_table.weight'] *= d ** 0.5
    state['pos_embed'] = sincos_2d(d, size // p, size // p)[None]
    return state


def to_diffusers(state, depth):
    "The same weights under diffusers' names; each of its blocks keeps its own copy of the embedders."
    out = {f'pos_embed.proj.{w}': state[f'x_embedder.proj.{w}'] for w in ('weight', 'bias')}
    for i in range(depth):
        a, b = f'blocks.{i}.', f'transformer_blocks.{i}.'
        for w in ('weight', 'bias'):
            for k, part in zip(('to_q', 'to_k', 'to_v'), state[f'{a}attn.qkv.{w}'].chunk(3)): out[f'{b}attn1.{k}.{w}'] = part
            for theirs, ours in {'attn1.to_out.0': 'attn.proj', 'norm1.linear': 'adaLN_modulation.1',
                                 'ff.net.0.proj': 'mlp.fc1', 'ff.net.2': 'mlp.fc2'}.items():
                out[f'{b}{theirs}.{w}'] = state[f'{a}{ours}.{w}']
            for theirs, ours in {'linear_1': 'mlp.0', 'linear_2': 'mlp.2'}.items():
                out[f'{b}norm1.emb.timestep_embedder.{theirs}.{w}'] = state[f't_embedder.{ours}.{w}']
        out[f'{b}norm1.emb.class_embedder.embedding_table.weight'] = state['y_embedder.embedding_table.weight']
    for theirs, ours in {'proj_out_1': 'adaLN_modulation.1', 'proj_out_2': 'linear'}.items():
        for w in ('weight', 'bias'): out[f'{theirs}.{w}'] = state[f'final_layer.{ours}.{w}']
    return out


def diffusers_dit(state, size, p, heads, depth, d):
    m = DiTTransformer2DModel(num_attention_heads=heads, attention_head_dim=d // heads, in_channels=4, out_channels=8,
                              num_layers=depth, sample_size=size, patch_size=p, num_embeds_ada_norm=1000, norm_eps=1e-6).eval()
    m.load_state_dict(to_diffusers(state, depth), strict=True)
    # diffusers divides the timestep frequencies by 127 where the official release divides by 128: ask it for 128
    for b in m.transformer_blocks: b.norm1.emb.time_proj.downscale_freq_shift = 0
    return m


@pytest.mark.parametrize('size,p,d,heads,depth', [(32, 2, 32, 4, 2), (24, 4, 48, 3, 3), (16, 8, 64, 2, 1)])
@torch.no_grad()
def test_same_numbers_as_diffusers(size, p, d, heads, depth):
    state = random_official(size, p, d, depth=depth)
    ours = DiT(size, p, hidden_size=d, depth=depth, num_heads=heads).eval()
    ours.load_state_dict(state, strict=True)
    theirs = diffusers_dit(state, size, p, heads, depth, d)
    g = torch.Generator().manual_seed(1)
    x, t, y = torch.randn(4, 4, size, size, generator=g), torch.tensor([0, 1, 500, 999]), torch.tensor([0, 7, 400, 999])
    a, b = ours(x, t, y), theirs(x, timestep=t, class_labels=y).sample
    assert b.std() > 0.1 # the weights are such that something happens
    assert (a - b).abs().max() < 1e-4
    for k in state: # and every tensor matters, so that none can be in the wrong place unseen
        if k == 'pos_embed': continue
        ours.load_state_dict(state | {k: state[k] * 1.5})
        assert (ours(x, t, y) - b).abs().max() > 1e-4, k
    ours.load_state_dict(state) # no label is the last row of the table
    assert torch.equal(ours(x, t), ours(x, t, torch.full((4,), 1000)))
    assert not torch.allclose(ours(x, t), ours(x, t, y))


def test_names_and_shapes_are_the_official_ones():
    m = DiT(32, 2, hidden_size=32, depth=2, num_heads=4)
    assert {k: tuple(v.shape) for k, v in m.state_dict().items()} == official_shapes()
    with torch.device('meta'): xl = DiT.from_preset('DiT-XL/2')
    assert {k: tuple(v.shape) for k, v in xl.state_dict().items()} == official_shapes(d=1152, depth=28)
    assert not m.state_dict()['pos_embed'].requires_grad


def tiny(**kw):
    "A small DiT with no zeros in it."
    torch.manual_seed(0)
    m = DiT(**{**dict(input_size=8, patch_size=2, hidden_size=32, depth=3, num_heads=4, num_classes=10), **kw})
    for p in m.parameters(): torch.nn.init.normal_(p, std=0.15)
    return m


def batch(b=3, h=8, w=8):
    g = torch.Generator().manual_seed(2)
    return torch.randn(b, 4, h, w, generator=g), torch.randint(1000, (b,), generator=g), torch.randint(10, (b,), generator=g)


@pytest.mark.parametrize('way', WAYS)
def test_every_conditioning_starts_at_zero_and_listens(way):
    assert DiT(8, 2, hidden_size=32, depth=2, num_heads=4, conditioning=way)(*batch()).abs().max() == 0
    m, (x, t, y) = tiny(conditioning=way).eval(), batch()
    out = m(x, t, y)
    assert out.shape == (3, 8, 8, 8)
    assert not torch.allclose(out, m(x, 999 - t, y), atol=1e-4) and not torch.allclose(out, m(x, t, 9 - y), atol=1e-4)
    assert not torch.allclose(out, m(x.flip(0), t, y), atol=1e-4)
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in m.named_parameters())
    one = torch.cat([m(x[i:i + 1], t[i:i + 1], y[i:i + 1]) for i in range(3)]) # no image sees its neighbour
    assert torch.allclose(out, one, atol=1e-5)


@pytest.mark.parametrize('way', WAYS)
def test_unconditional(way):
    m, (x, t, y) = tiny(conditioning=way, num_classes=0, learn_sigma=False), batch()
    assert m.y_embedder is None and not any('y_embedder' in k for k in m.state_dict())
    assert m(x, t).shape == x.shape and not torch.allclose(m(x, t), m(x, 999 - t), atol=1e-4)


@pytest.mark.parametrize('way', WAYS)
def test_compiles_without_a_break(way):
    torch._dynamo.reset()
    m, (x, t, y) = tiny(conditioning=way, depth=1).eval(), batch()
    fast = torch.compile(m, fullgraph=True, backend='eager') # fullgraph: a graph break is an error
    for args in [(x, t, y), (x, t), batch(h=4, w=12)]: assert torch.allclose(fast(*args), m(*args), atol=1e-5)


def test_compiled_gradients_with_checkpointing():
    torch._dynamo.reset()
    m, (x, t, y) = tiny(depth=1, grad_checkpointing=True), batch()
    fast, drop = torch.compile(m, fullgraph=True, backend='aot_eager'), torch.tensor([True, False, False])
    a = torch.autograd.grad(fast(x, t, y, drop).square().mean(), m.parameters())
    b = torch.autograd.grad(m(x, t, y, drop).square().mean(), m.parameters())
    for i, j in zip(a, b): assert torch.allclose(i, j, atol=1e-5)


@pytest.mark.parametrize('way', WAYS)
def test_checkpointing_changes_no_gradient(way):
    plain, saving = tiny(conditioning=way), tiny(conditioning=way, grad_checkpointing=True)
    saved = []
    for m in (plain, saving):
        kept = 0
        def count(a):
            nonlocal kept
            kept += a.numel()
            return a
        torch.manual_seed(3) # the same labels dropped
        with torch.autograd.graph.saved_tensors_hooks(count, lambda a: a): loss = m(*batch()).square().mean()
        loss.backward()
        saved.append(kept)
    for a, b in zip(plain.parameters(), saving.parameters()): assert torch.allclose(a.grad, b.grad, atol=1e-6)
    assert saved[1] < saved[0] / 3 # and far less is kept for backward


def test_label_dropout():
    m, (x, t, y) = tiny(class_dropout_prob=1.0), batch()
    assert torch.allclose(m(x, t, y), m(x, t)) # in training every label is hidden
    m.eval()
    assert not torch.allclose(m(x, t, y), m(x, t), atol=1e-4) # and never in eval
    half = m(x, t, y, drop=torch.tensor([True, False, True]))
    assert torch.allclose(half[[0, 2]], m(x, t)[[0, 2]], atol=1e-5) and torch.allclose(half[1], m(x, t, y)[1], atol=1e-5)


def test_other_sizes_use_stretched_positions_once(monkeypatch):
    import dit_edu.dit as mod
    m, calls = tiny().eval(), []
    monkeypatch.setattr(mod, 'interpolate_pos_embed', lambda *a: calls.append(a) or interpolate_pos_embed(*a))
    monkeypatch.setattr(mod, 'sincos_2d', lambda *a: calls.append(a) or sincos_2d(*a))
    for _ in range(3): m(*batch())
    assert calls == []
    for _ in range(3): assert m(*batch(h=12, w=4)).shape == (3, 8, 12, 4)
    assert len(calls) == 1
    m.double()
    assert m(batch(h=12, w=4)[0].double(), *batch()[1:]).dtype == torch.float64 # a stale float32 copy is not used


def test_rectangular_input_size():
    m, (x, t, y) = tiny(input_size=(4, 12)), batch(h=4, w=12)
    assert torch.equal(m.pos_embed[0], sincos_2d(32, 2, 6)) and m(x, t, y).shape == (3, 8, 4, 12)


def test_checkpoint_of_another_input_size():
    small, big = tiny(), tiny(input_size=16)
    big.load_state_dict(small.state_dict(), strict=True)
    assert torch.equal(big.pos_embed, interpolate_pos_embed(small.pos_embed, (4, 4), (8, 8)))
    x, t, y = batch(h=16, w=16)
    assert torch.allclose(big.eval()(x, t, y), small.eval()(x, t, y), atol=1e-6)


def test_checkpoint_of_another_shape_with_as_many_patches():
    square, wide = tiny(), tiny(input_size=(4, 16)) # 16 positions both
    wide.load_state_dict(square.state_dict())
    assert torch.equal(wide.pos_embed, interpolate_pos_embed(square.pos_embed, (4, 4), (2, 8)))
    square.load_state_dict(tiny(input_size=(4, 16)).state_dict())
    assert torch.equal(square.pos_embed[0], interpolate_pos_embed(sincos_2d(32, 2, 8), (2, 8), (4, 4)))
    again = tiny()
    again.load_state_dict(square.state_dict()) # stretched positions fit no grid: taken as they are
    assert torch.equal(again.pos_embed, square.pos_embed)


def test_positions_made_in_inference_mode_serve_training():
    m, args = tiny(), batch(h=12, w=4)
    with torch.inference_mode(): m(*args)
    m(*args).sum().backward()


def test_save_and_load(tmp_path):
    m = tiny(input_size=(8, 16), conditioning='cross_attention').eval()
    m.save(tmp_path / 'm.safetensors', dict(step=7))
    again, meta = DiT.load(tmp_path / 'm.safetensors')
    x, t, y = batch(h=8, w=16)
    assert meta['step'] == 7 and not again.training and torch.equal(again(x, t, y), m(x, t, y))
    assert again.config['conditioning'] == 'cross_attention' and tuple(again.config['input_size']) == (8, 16)


def test_bfloat16():
    m, (x, t, y) = tiny().eval(), batch()
    with torch.autocast('cpu', dtype=torch.bfloat16): half = m(x, t, y)
    assert (half.float() - m(x, t, y)).abs().max() < 0.1 * m(x, t, y).abs().max()
    assert m.bfloat16()(x.bfloat16(), t, y).dtype == m(x, t, y).dtype == torch.bfloat16


@pytest.mark.parametrize('kw,words', [
    (dict(input_size=9), '9×9'), (dict(patch_size=3), 'patch'), (dict(patch_size=16), 'patch'), (dict(conditioning='adaln-zero'), 'adaln_zero'),
    (dict(num_heads=5), 'heads'), (dict(hidden_size=30, num_heads=3), '4')])
def test_impossible_sizes(kw, words):
    with pytest.raises(DitEduError, match=words): tiny(**kw)


def test_impossible_inputs_and_checkpoints(tmp_path):
    m, (x, t, y) = tiny(), batch()
    with pytest.raises(DitEduError, match='8×7'): m(x[..., :7], t, y)
    with pytest.raises(DitEduError, match='3'): m(x[:, :3], t, y)
    for bad, words in ((y[:1], 'one for each'), (y.float(), 'whole numbers'), (y + 10, 'from 0 to'), (y > 0, 'whole numbers')):
        with pytest.raises(DitEduError, match=words): m(x, t, bad)
    with pytest.raises(DitEduError, match='timesteps of shape'): m(x, torch.arange(len(x) + 1), y)
    assert m(x, t, y.to(torch.uint8)).shape[0] == len(x)
    with pytest.raises(DitEduError, match='null label'): tiny(class_dropout_prob=0)(x, t)
    state = m.state_dict()
    with pytest.raises(DitEduError, match='64'): tiny(hidden_size=64).load_state_dict(state)
    with pytest.raises(DitEduError, match='embedding_table'): tiny(num_classes=5).load_state_dict(state)
    with pytest.raises(DitEduError, match='final_layer'): tiny(learn_sigma=False).load_state_dict(state)
    with pytest.raises(DitEduError, match='missing'): tiny(depth=4).load_state_dict(state)
    with pytest.raises(DitEduError, match='unknown'): tiny(num_classes=0).load_state_dict(state)
    with pytest.raises(DitEduError, match='7 positions'): m.load_state_dict(state | {'pos_embed': state['pos_embed'][:, :7]})
    with pytest.raises(DitEduError, match='DiT-B/2'): DiT.from_preset('DIT-B2')
    with pytest.raises(DitEduError): DiT.load(tmp_path / 'nothing.safetensors')
    from dit_edu.core import save_weights
    save_weights(tmp_path / 'bare.safetensors', state)
    with pytest.raises(DitEduError, match='no DiT saved by'): DiT.load(tmp_path / 'bare.safetensors')
    assert m.load_state_dict({}, strict=False).missing_keys # strict=False still means what it means in torch


def test_preset_and_count():
    assert len(PRESETS) == 12 and DiT.from_preset('DiT-S/8', depth=1, num_classes=3).config['depth'] == 1
    with torch.device('meta'):
        s = DiT.from_preset('DiT-S/2').eval()
        args = torch.zeros(1, 4, 32, 32), torch.zeros(1), torch.zeros(1, dtype=torch.long)
    n, d = 256, 384
    by_hand = 12 * (12 * n * d * d + 2 * n * n * d + 6 * d * d) + 2 * n * 16 * d + n * 16 * d + 2 * d * d + 256 * d + d * d
    assert multiply_adds(s, *args) == by_hand
