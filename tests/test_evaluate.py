"Evaluate against other people's implementations, and against bad input."
import sys, types

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from dit_edu.core import DitEduError
from dit_edu import evaluate
from dit_edu.evaluate import (AvatarClassifier, alexnet_fd, alexnet_features, class_agreement, cloud, fid, frechet_distance, lpips_distance,
                              nearest_neighbours, protocol_card, psnr, ssim)


@pytest.fixture
def pair():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, 48, 48, generator=g) * 2 - 1
    return x, (x + 0.2 * torch.randn(x.shape, generator=g)).clamp(-1, 1)


def test_psnr_and_ssim_equal_skimage(pair):
    metrics = pytest.importorskip("skimage.metrics")
    x, y = pair
    for i in range(4):
        a, b = x[i].numpy(), y[i].numpy()
        assert abs(psnr(x, y)[i] - metrics.peak_signal_noise_ratio(a, b, data_range=2)) < 1e-4
        full = metrics.structural_similarity(a, b, data_range=2, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, truncate=3.5)
        assert abs(ssim(x, y)[i] - full) < 0.01  # skimage's mean also counts a rim of half windows


def test_frechet_equals_scipy_and_the_closed_form():
    g = torch.Generator().manual_seed(0)
    for d, n in ((1, 10), (5, 300), (64, 40)):  # the last has fewer images than features
        a, b = torch.randn(n, d, generator=g), torch.randn(n + 3, d, generator=g) * 2 + 1
        (m1, c1), (m2, c2) = cloud(a), cloud(b)
        with np.errstate(all="ignore"): root = np.real(sqrtm((c1 @ c2).numpy()))
        want = float((m1 - m2).square().sum()) + np.trace((c1 + c2).numpy() - 2 * root)
        assert abs(frechet_distance(a, b) - want) < 1e-3 * want
        assert abs(frechet_distance(a, b) - frechet_distance(b, a)) < 1e-6 * want
    s = torch.tensor([1., 2, 3]); eye = torch.cat([torch.eye(3), -torch.eye(3)]) * (5 / 2) ** 0.5  # covariance exactly 1
    assert abs(frechet_distance(eye * s, eye * 2 * s + 1) - (3 + s.square().sum().item())) < 1e-4


def test_lpips_and_features(pair):
    x, y = pair
    d = lpips_distance(x, y)
    assert d.shape == (4,) and (d > 0).all() and lpips_distance(x, x).abs().max() == 0
    f = alexnet_features(x, device="cpu")
    assert f.shape == (4, 256) and (f >= 0).all()
    as_items = [dict(image=im) for im in x]
    torch.testing.assert_close(alexnet_features(as_items, device="cpu"), f)
    torch.testing.assert_close(alexnet_features(iter([x[:1], x[1:]]), device="cpu"), f, atol=1e-4, rtol=1e-4)
    grey = x[:, :1]
    torch.testing.assert_close(alexnet_features(grey, device="cpu"), alexnet_features(grey.repeat(1, 3, 1, 1), device="cpu"))
    assert alexnet_fd(x, x) < 1e-4 < alexnet_fd(x, y)


def test_fid_asks_inception_for_bytes(pair, monkeypatch):
    seen = []
    class Net(torch.nn.Module):
        def __init__(self, name, features, feature_extractor_weights_path=None): super().__init__(); assert features == ["2048"]
        def forward(self, x): assert not self.training; seen.append(x); return (x.float().flatten(1)[:, :7],)
    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3"); module.FeatureExtractorInceptionV3 = Net
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", module)
    evaluate._inception.cache_clear()
    x, y = pair
    as_bytes = lambda v: ((v + 1) * 127.5).round().flatten(1)[:, :7]
    assert abs(fid(x, y, device="cpu") - frechet_distance(as_bytes(x), as_bytes(y))) < 1e-3
    assert seen[0].dtype == torch.uint8
    evaluate._inception.cache_clear()


def test_fid_without_the_package_is_one_sentence(pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    evaluate._inception.cache_clear()
    with pytest.raises(DitEduError, match="pip install torch-fidelity.*AlexNet-FD"): fid(*pair)


def test_bad_input(pair):
    x, y = pair
    with pytest.raises(DitEduError, match="at least 2"): frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))
    with pytest.raises(DitEduError, match="NaN"): frechet_distance(torch.full((3, 3), float("nan")), torch.zeros(5, 3))
    for measure in (psnr, ssim, lpips_distance):
        with pytest.raises(DitEduError, match=f"{measure.__name__} .*shapes"): measure(x, y[:1])
    with pytest.raises(DitEduError, match="11×11"): ssim(x[..., :8], y[..., :8])
    with pytest.raises(DitEduError, match="same network"): frechet_distance(torch.randn(5, 3), torch.randn(5, 4))
    torch.testing.assert_close(alexnet_features([x[:2], x[2:]], device="cpu"), alexnet_features(x, device="cpu"))
    with pytest.raises(DitEduError, match="not 0"): nearest_neighbours(x, y, k=0)
    with pytest.raises(DitEduError, match="labels"): class_agreement(x, [0], AvatarClassifier())


def test_neighbours_and_classifier(pair):
    x, _ = pair
    d, i = nearest_neighbours(x.flip(0), x, k=4)
    assert i[:, 0].tolist() == [3, 2, 1, 0] and d[:, 0].max() == 0 and (d.diff(dim=1) >= 0).all()
    c = AvatarClassifier(5)
    assert c(x).shape == (4, 5) and class_agreement(x, c(x).argmax(1), c) == 1.0


def test_card():
    card = protocol_card(metric="AlexNet-FD", value=3.14159, n_samples=1000, reference="a <b>", n_reference=10, size="64 px", resize="none", format="png")
    assert card["n_samples"] == 1000 and card.missing == [] and "3.142" in repr(card) and "1,000" in repr(card)
    assert "<b>" not in card._repr_html_()
    assert "resize" in protocol_card(metric="FID").missing
