"The model that ships: it is there, small, loads from anywhere, gives the same pictures for the same seed, and is as good as its card says."
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import dit_edu
from dit_edu.data import AvatarDataset
from dit_edu.pipeline import MODELS, load_pretrained

HOME = Path(dit_edu.__file__).parent/'pretrained'
REFERENCE = Path(__file__).parent/'data'


@pytest.fixture(scope='module')
def pipe(): return load_pretrained(device='cpu')


@pytest.fixture(scope='module', params=MODELS)
def each(request): return request.param, load_pretrained(request.param, device='cpu')


def thumbnails(pipe): # 2 pictures, 8x8 numbers of 0..255 each colour
    x = pipe.sample(2, y=[1, 8], steps=8, sampler='euler', guidance_scale=2., seed=7)
    return (F.adaptive_avg_pool2d(x, 8) * 255).round().to(torch.int).flatten().tolist()


def test_size_and_papers(each):
    folder = MODELS[each[0]]
    assert sum(p.stat().st_size for p in folder.glob('*.safetensors')) <= 24 * 2**20
    for name in ('README.md', 'NOTICE', 'metrics.json', 'dit_config.yaml', 'samples.png'): assert (folder/name).stat().st_size > 0
    notice = (folder/'NOTICE').read_text()
    assert all(style in notice for style in each[1].classes)


def test_the_second_model_has_the_seed_systems_geometry(each):
    name, pipe = each
    assert (pipe.latent_shape, pipe.dit.pos_embed.shape[1]) == {'avatars': ((4, 16, 16), 64), 'avatars-128': ((4, 32, 32), 256)}[name]


def test_the_same_seed_gives_the_same_pictures(each):
    name, pipe = each
    now, then = thumbnails(pipe), json.loads((REFERENCE/f'{name}_seed7.json').read_text())
    worst = max(abs(a - b) for a, b in zip(now, then, strict=True))
    assert worst <= 2, f'seed 7 gives other pictures than when the weights were shipped (worst pixel {worst} of 255)'


def test_reconstructions_are_as_the_card_says(each):
    from dit_edu.evaluate import lpips_distance, psnr
    name, pipe = each
    n, size = {'avatars': (100, 64), 'avatars-128': (50, 128)}[name]
    unseen = AvatarDataset(n, size, split='test')
    x = torch.stack([unseen[i]['image'] for i in range(n)])
    with torch.no_grad(): r = torch.cat([pipe.vae(part, sample=False)[0].clamp(-1, 1) for part in x.split(25)])
    says = json.loads((MODELS[name]/'metrics.json').read_text())['vae']
    assert says['psnr'] >= 34 and says['lpips_alex'] <= .004
    assert abs(psnr(x, r).mean() - says['psnr']) < 1.5 and lpips_distance(x, r).mean() < 1.5 * says['lpips_alex']


def test_samples_show_their_class(each):
    from dit_edu.evaluate import class_agreement, train_classifier
    labels = torch.arange(20) % 10
    images = each[1].sample(20, y=labels.tolist(), **{**each[1].defaults, 'steps': 15}, seed=5) * 2 - 1
    images = F.adaptive_avg_pool2d(images, 64)
    assert class_agreement(images, labels, train_classifier(AvatarDataset(2000, 64, split='test'), steps=100)) >= .9


def test_from_any_folder_offline_and_nothing_written_into_the_package(tmp_path):
    block = tmp_path/'block'; block.mkdir()
    (block/'sitecustomize.py').write_text("import socket\ndef no(*a, **k): raise OSError('the network is cut')\nsocket.socket.connect = no\nsocket.create_connection = no\n")
    seen = lambda: {p: p.stat().st_mtime_ns for p in HOME.parent.rglob('*') if '__pycache__' not in p.parts}
    before = seen()
    env = {**os.environ, 'PYTHONPATH': str(block), 'DIT_EDU_CACHE': str(tmp_path/'cache'), 'PYTHONDONTWRITEBYTECODE': '1'}
    p = subprocess.run([sys.executable, '-m', 'dit_edu.cli', 'sample', '--class', 'planets', '--seed', '3'], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    assert {'x0_0.png', 'x0_strip.png', 'x0_strip.webp'} <= {f.name for f in (tmp_path/'samples').iterdir()}
    assert seen() == before


def test_guidance_has_an_interval_and_silly_ones_are_refused(pipe):
    from dit_edu.config import load_config
    from dit_edu.core import DitEduError
    assert pipe.defaults['interval'] == (200, 800)
    for key in ('guidance_interval', 'skip_interval'):
        for bad in ('[8]', '[800, 200]', '[-1, 5]'):
            with pytest.raises(DitEduError, match=key): load_config('tiny', [f'diffusion_params.{key}={bad}'])


def test_a_mean_of_timesteps_needs_logit_normal():
    from dit_edu.config import load_config
    from dit_edu.core import DitEduError
    with pytest.raises(DitEduError, match='needs timestep_sampling logit_normal'): load_config('celebahq', ['diffusion_params.timestep_mean=1'])
    with pytest.raises(DitEduError, match='timestep_mean'): load_config('avatars', ['diffusion_params.timestep_mean=100'])


def test_skip_guidance_wants_blocks_that_are_there(pipe):
    from dit_edu.config import load_config
    from dit_edu.core import DitEduError
    with pytest.raises(DitEduError, match='needs skip_blocks'): load_config('tiny', ['diffusion_params.skip_scale=2'])
    with pytest.raises(DitEduError, match='blocks 0 to'): load_config('tiny', ['diffusion_params.skip_scale=2', 'diffusion_params.skip_blocks=[99]'])
    with pytest.raises(DitEduError, match='blocks 0 to 7'): pipe.sample(1, steps=2, skip_scale=2.)
    one, same, other = (pipe.sample(1, y='moods', steps=4, **kw) for kw in ({}, dict(skip_blocks=(2,)), dict(skip_blocks=(2,), skip_scale=2.)))
    assert one.equal(same) and not one.allclose(other, atol=.05)
