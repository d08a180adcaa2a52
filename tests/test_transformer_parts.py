"Patches, embeddings and attention against other people's code, and against bad input."
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dit_edu.attention import Attention, CrossAttention, attention_by_hand
from dit_edu.core import DitEduError
from dit_edu.embeddings import LabelEmbedder, TimestepEmbedder, interpolate_pos_embed, sincos_1d, sincos_2d, timestep_embedding
from dit_edu.patchify import PatchEmbed, hover_patches, patchify, unpatchify


@pytest.fixture(autouse=True)
def _seed(): torch.manual_seed(0)


# ---------- patchify
@pytest.mark.parametrize("shape,p", [((1, 1, 4, 4), 2), ((2, 3, 8, 12), 4), ((3, 4, 32, 32), 2), ((2, 4, 6, 10), 1)])
def test_round_trip(shape, p):
    x = torch.randn(shape)
    assert torch.equal(unpatchify(patchify(x, p), p, *shape[-2:]), x)


@pytest.mark.parametrize("p", [2, 4, 8])
def test_patchify_is_unfold(p):
    x = torch.randn(2, 3, 16, 24)
    ref = F.unfold(x, p, stride=p).reshape(2, 3, p * p, -1).permute(0, 3, 2, 1).flatten(2)
    assert torch.equal(patchify(x, p), ref)


def test_patch_embed_against_diffusers():
    from diffusers.models.embeddings import PatchEmbed as Theirs
    theirs = Theirs(height=16, width=16, patch_size=2, in_channels=4, embed_dim=32, pos_embed_type=None)
    ours = PatchEmbed(2, 4, 32)
    ours.load_state_dict(theirs.state_dict())          # same parameter names
    x = torch.randn(2, 4, 16, 16)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("p", [0, -2, 3, 5])
def test_patch_size_must_divide(p):
    with pytest.raises(DitEduError, match="does not divide"): patchify(torch.zeros(1, 1, 8, 8), p)


def test_unpatchify_names_what_is_wrong():
    with pytest.raises(DitEduError, match="expected 16 tokens"): unpatchify(torch.zeros(1, 15, 12), 2, 8, 8)
    with pytest.raises(DitEduError, match="multiple of 4"): unpatchify(torch.zeros(1, 16, 13), 2, 8, 8)
    with pytest.raises(DitEduError, match="does not divide"): PatchEmbed(4, 3, 8)(torch.zeros(1, 3, 8, 10))


def test_hover_page_stands_alone():
    for image in (torch.rand(3, 16, 16), torch.rand(1, 16, 16)):
        html = hover_patches(image, torch.rand(16, 16), rows=4)._repr_html_()
        assert html.count("<rect") == 18 and "http" not in html and "@" not in html
    flat = hover_patches(torch.rand(3, 8, 8), torch.zeros(4, 4), rows=2)._repr_html_()   # a table with no contrast
    assert flat.count('opacity="0.00"') == 4


# ---------- embeddings
@pytest.mark.parametrize("d,n", [(16, 4), (384, 16), (1152, 16), (1152, 32)])
def test_sincos_2d_against_diffusers(d, n):
    from diffusers.models.embeddings import get_2d_sincos_pos_embed
    ref = torch.as_tensor(np.asarray(get_2d_sincos_pos_embed(d, n, base_size=n))).float()
    torch.testing.assert_close(sincos_2d(d, n, n), ref, rtol=0, atol=1e-6)


@pytest.mark.parametrize("h,w", [(3, 5), (6, 2), (1, 7)])
def test_sincos_2d_of_any_grid_is_a_corner_of_a_square(h, w):
    square = sincos_2d(32, 8, 8).reshape(8, 8, 32)
    assert torch.equal(sincos_2d(32, h, w).reshape(h, w, 32), square[:h, :w])


@pytest.mark.parametrize("d", [2, 7, 64, 256])
@pytest.mark.parametrize("dtype", [torch.long, torch.float32])
def test_timestep_embedding_against_diffusers(d, dtype):
    from diffusers.models.embeddings import get_timestep_embedding
    t = torch.arange(1000).to(dtype)
    ref = get_timestep_embedding(t, d, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(timestep_embedding(t, d), ref, rtol=0, atol=1e-6)


def test_timestep_embedder_against_diffusers():
    from diffusers.models.embeddings import TimestepEmbedding
    theirs, ours = TimestepEmbedding(256, 64), TimestepEmbedder(64)
    names = {"linear_1": "mlp.0", "linear_2": "mlp.2"}
    ours.load_state_dict({f"{names[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in theirs.state_dict().items()})
    t = torch.tensor([0, 1, 500, 999])
    torch.testing.assert_close(ours(t), theirs(timestep_embedding(t, 256)))


def test_timestep_embedder_in_half_precision():
    assert TimestepEmbedder(16).to(torch.bfloat16)(torch.tensor([0, 999])).dtype == torch.bfloat16


def test_interpolation():
    pos = sincos_2d(64, 8, 8)
    ref = F.interpolate(pos.T.reshape(1, 64, 8, 8), size=(12, 10), mode="bicubic", align_corners=False)[0].flatten(1).T
    torch.testing.assert_close(interpolate_pos_embed(pos[None], (8, 8), (12, 10))[0], ref)
    assert interpolate_pos_embed(pos.half(), (8, 8), (4, 4)).dtype == torch.float16
    with pytest.raises(DitEduError, match="do not fill"): interpolate_pos_embed(pos, (8, 7), (4, 4))
    with pytest.raises(DitEduError, match="even"): sincos_1d(3, torch.arange(2))
    with pytest.raises(DitEduError, match="divisible by 4"): sincos_2d(10, 2, 2)


def test_label_embedder_follows_the_mask_even_in_eval():
    emb = LabelEmbedder(10, 8, 0.1).eval()
    y, drop = torch.arange(10), torch.arange(10) % 2 == 0
    out = emb(y, drop=drop)
    assert torch.equal(out[drop], emb.embedding_table.weight[10].expand(5, 8))
    assert torch.equal(out[~drop], emb.embedding_table.weight[y[~drop]])
    emb.train()
    assert torch.equal(emb(y, drop=torch.zeros(10, dtype=torch.bool)), emb.embedding_table.weight[y])   # a mask replaces the draw


def test_label_embedder_without_null_row():
    emb = LabelEmbedder(10, 8, 0.)
    assert emb.embedding_table.weight.shape == (10, 8)
    emb(torch.arange(3), drop=torch.zeros(3, dtype=torch.bool))
    with pytest.raises(DitEduError, match="no null label"): emb(torch.arange(3), drop=torch.ones(3, dtype=torch.bool))


# ---------- attention
def _mha(attn, dim, heads, bias=True):
    "torch's own module with our weights: both stack q, k and v along the rows of one matrix."
    mha = nn.MultiheadAttention(dim, heads, bias=bias, batch_first=True)
    state = {"in_proj_weight": attn.qkv.weight, "out_proj.weight": attn.proj.weight}
    if bias: state |= {"in_proj_bias": attn.qkv.bias, "out_proj.bias": attn.proj.bias}
    mha.load_state_dict(state, strict=bias)
    return mha


@pytest.mark.parametrize("dim,heads,n", [(32, 1, 5), (32, 4, 16), (48, 6, 64)])
def test_attention_against_torch(dim, heads, n):
    attn, x = Attention(dim, heads), torch.randn(2, n, dim)
    out, weights = _mha(attn, dim, heads)(x, x, x, average_attn_weights=False)
    torch.testing.assert_close(attn(x), out, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(attn.maps(x), weights, rtol=1e-4, atol=1e-5)


def test_attention_gradients_against_torch():
    attn, x = Attention(32, 4), torch.randn(2, 9, 32)
    mha = _mha(attn, 32, 4)
    attn(x).square().sum().backward(); mha(x, x, x)[0].square().sum().backward()
    torch.testing.assert_close(attn.qkv.weight.grad, mha.in_proj_weight.grad, rtol=1e-3, atol=1e-4)


def test_attention_against_diffusers():
    from diffusers.models.attention_processor import Attention as Theirs
    theirs, ours = Theirs(query_dim=32, heads=4, dim_head=8, bias=True), Attention(32, 4)
    with torch.no_grad():
        for i, name in enumerate(("to_q", "to_k", "to_v")):
            getattr(theirs, name).weight.copy_(ours.qkv.weight[32 * i:32 * (i + 1)])
            getattr(theirs, name).bias.copy_(ours.qkv.bias[32 * i:32 * (i + 1)])
        theirs.to_out[0].load_state_dict(ours.proj.state_dict())
    x = torch.randn(2, 10, 32)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_cross_attention_against_torch():
    cross, x, ctx = CrossAttention(32, 4, context_dim=20), torch.randn(2, 7, 32), torch.randn(2, 3, 20)
    mha = nn.MultiheadAttention(32, 4, batch_first=True, kdim=20, vdim=20)
    wk, wv = cross.kv.weight.chunk(2)
    mha.load_state_dict({"q_proj_weight": cross.q.weight, "k_proj_weight": wk, "v_proj_weight": wv,
                         "in_proj_bias": torch.cat([cross.q.bias, cross.kv.bias]),
                         "out_proj.weight": cross.proj.weight, "out_proj.bias": cross.proj.bias})
    torch.testing.assert_close(cross(x, ctx), mha(x, ctx, ctx)[0], rtol=1e-4, atol=1e-5)


def test_attention_by_hand_against_sdpa_in_double():
    q, k, v = (torch.randn(2, 3, n, 8, dtype=torch.float64) for n in (5, 7, 7))
    out, weights = attention_by_hand(q, k, v)
    torch.testing.assert_close(out, F.scaled_dot_product_attention(q, k, v))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 5, dtype=torch.float64))


def test_heads_must_divide_the_width():
    for make in (lambda: Attention(30, 4), lambda: Attention(32, 0), lambda: CrossAttention(30, 4)):
        with pytest.raises(DitEduError, match="heads cannot share"): make()
    assert Attention(32, 4, qkv_bias=False).qkv.bias is None


def test_everything_compiles_without_a_graph_break():
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.x, self.attn, self.cross = PatchEmbed(2, 3, 32), Attention(32, 4), CrossAttention(32, 4)
            self.t, self.y = TimestepEmbedder(32), LabelEmbedder(10, 32, 0.1)
        def forward(self, x, t, y, drop=None):
            context = torch.stack([self.t(t), self.y(y, drop)], 1)
            return unpatchify(self.cross(self.attn(self.x(x)), context)[..., :12], 2, *x.shape[-2:])
    parts = Parts().eval()
    args = torch.randn(2, 3, 8, 12), torch.tensor([1, 999]), torch.tensor([0, 10]), torch.tensor([True, False])
    fast = torch.compile(parts, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(fast(*args), parts(*args))
