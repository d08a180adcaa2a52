"""The latent explorer in a browser: its numbers and pixels are Python's, uploads, and a page without Python."""
import io
import json

import pytest
import torch
from PIL import Image

from dit_edu.vae import VAE
from dit_edu.vae_gan import PatchGAN
from dit_edu.widgets import LatentExplorer

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time


@pytest.fixture
def widget(): # a small untrained autoencoder: what is tested here is the view, not the model
    torch.manual_seed(0)
    vae = VAE(3, 4, (8, 16, 16), 1, 1, 1, norm_groups=4).eval()
    g = torch.Generator().manual_seed(1)
    x = torch.nn.functional.interpolate(torch.rand(3, 3, 4, 4, generator=g), size=32, mode='bicubic').clamp(0, 1) * 2 - 1
    return LatentExplorer(vae, x, ['one', 'two', 'three'], critic=PatchGAN(3, 8, 2).eval())


def root(page): return page.locator('.dw')
def pixels(page, label): # (3, h, w) of the canvas of this name, 0 to 1
    c = page.get_by_label(label, exact=True)
    data, w, h = c.evaluate("c => [Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data), c.width, c.height]")
    return torch.tensor(data).view(h, w, 4)[..., :3].permute(2, 0, 1) / 255
def near(a, b, by=.03): # WebP keeps colour at half the resolution: compare squares of 4x4
    return (torch.nn.functional.avg_pool2d(a, 4) - torch.nn.functional.avg_pool2d(b, 4)).abs().mean() < by


@pytest.mark.parametrize('width,scheme', [(1400, 'light'), (800, 'dark'), (390, 'light')])
def test_pictures_and_numbers_are_pythons(open_widget, widget, width, scheme):
    page = open_widget(widget, width, scheme); seen = widget.seen
    for k in (0, 1):
        if k: page.get_by_label('picture', exact=True).press('ArrowRight'); page.wait_for_selector('[data-shown="1"]')
        assert near(pixels(page, 'original'), (seen['x'][k] + 1) / 2) and near(pixels(page, 'reconstruction'), seen['recon'][k])
        assert near(pixels(page, 'error, ×5: black is right'), seen['error'][k], .06) # of untrained weights: noise, and saturated
        text = page.locator('.state').inner_text()
        assert f"PSNR {seen['psnr'][k]:.1f} dB" in text and f"{seen['fake_score'][k]:.2f} for the reconstruction" in text
    assert page.get_by_label('PatchGAN: bright looks fake').is_visible()
    assert page.get_by_label('LPIPS: bright looks different').is_visible() == (widget.perceptual is not None)


def test_between_two(open_widget, widget):
    page = open_widget(widget); mixed = 'from the first to the second'
    page.wait_for_selector('[data-mix="mix:0:1:7"]')
    want = widget.decode((widget.seen['z'][:1] + widget.seen['z'][1:2]) / 2)[0]
    assert near(pixels(page, 'mixture in the latent'), want)
    assert near(pixels(page, 'mixture of pixels'), (widget.seen['x'][:2].mean(0) + 1) / 2)
    page.get_by_label(mixed).press('End'); page.wait_for_selector('[data-mix="mix:0:1:14"]')
    assert near(pixels(page, 'mixture in the latent'), widget.seen['recon'][1]) and near(pixels(page, 'mixture of pixels'), (widget.seen['x'][1] + 1) / 2)
    page.get_by_label('picture', exact=True).press('End'); page.wait_for_selector('[data-mix="mix:1:2:14"]') # from three to two: the same walk, backwards
    assert near(pixels(page, 'mixture in the latent'), widget.seen['recon'][1])
    page.get_by_label('second picture').press('End'); page.wait_for_selector('[data-mix="null:14"]'); assert page.get_by_text('Both are the same picture').is_visible()


def test_a_number_is_pushed_where_one_points(open_widget, widget):
    page = open_widget(widget); page.wait_for_selector('[data-push="push:0:0:4:4:6"]')
    page.get_by_label('latent channel 2').press('ArrowUp'); page.wait_for_selector('[data-push="push:0:2:3:4:6"]')
    from dit_edu.widgets.latent import pushed
    now, plain = widget.decode(pushed(widget.seen['z'][0], 2, 3, 4, (6, 0)))
    shown = pixels(page, 'picture after the push'); assert (shown - now).abs().mean() < (shown - plain).abs().mean() # the pushed one, not the plain one
    assert near(pixels(page, 'difference'), ((now - plain).abs() * 4).clamp(0, 1))
    page.get_by_label('push, in standard deviations').press('Home'); page.wait_for_selector('[data-push="push:0:2:3:4:0"]')
    box = page.get_by_label('latent channel 1').bounding_box()
    page.mouse.click(box['x'] + box['width'] * 6.5 / 8, box['y'] + box['height'] * 1.5 / 8); page.wait_for_selector('[data-push="push:0:1:1:6:0"]')
    page.mouse.down(); page.mouse.move(box['x'] + box['width'] + 50, box['y'] - 50); page.mouse.up(); page.wait_for_selector('[data-push="push:0:1:0:7:0"]') # past the edge


def test_upload(open_widget, widget, tmp_path):
    page = open_widget(widget); page.errors_wanted = True; choose = page.get_by_label('a picture of your own')
    im = Image.new('RGB', (90, 30), 'orange'); exif = Image.Exif(); exif[0x0112] = 6; im.save(tmp_path/'mine.jpg', exif=exif)
    choose.set_input_files(str(tmp_path/'mine.jpg')); page.wait_for_selector('[data-shown="3"]')
    assert 'mine.jpg' in page.locator('.state').inner_text() and near(pixels(page, 'original'), torch.tensor([1., 165 / 255, 0]).view(3, 1, 1).expand(3, 32, 32))
    (tmp_path/'bad.png').write_bytes(b'not a picture')
    choose.set_input_files(str(tmp_path/'bad.png')); page.wait_for_selector('.dw .error:not([hidden])')
    assert 'bad.png is not a picture' in page.locator('.dw .error').inner_text() and len(widget.names) == 4
    Image.new('I;16', (40, 40), 30000).save(tmp_path/'deep.png')
    choose.set_input_files(str(tmp_path/'deep.png')); page.wait_for_selector('[data-shown="4"]'); assert not page.locator('.dw .error').is_visible()


def test_saved_page(chromium, widget, tmp_path):
    widget.prepare(pictures=2, places=2)
    (tmp_path/'page.html').write_text('<!doctype html><meta charset=utf-8>' + widget.to_html())
    context = chromium.new_context(offline=True, viewport=dict(width=800, height=900)); page = context.new_page(); errors = []
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto(f'file://{tmp_path}/page.html'); page.wait_for_selector('[data-shown="0"][data-mix="mix:0:1:7"]')
    assert page.get_by_label('a picture of your own').count() == 0 # needs Python
    before = pixels(page, 'mixture in the latent')
    page.get_by_label('from the first to the second').press('Home'); page.wait_for_selector('[data-mix="mix:0:1:0"]'); assert not near(pixels(page, 'mixture in the latent'), before, .002)
    known = {k for k in json.loads(widget.stock) if k.startswith('push')}
    for key in ('ArrowUp', 'ArrowLeft', 'ArrowDown', 'ArrowRight'): # from one prepared place to the next
        page.get_by_label('latent channel 3').press(key); page.wait_for_function("() => document.querySelector('.dw').dataset.push?.startsWith('push:0:3')")
        assert root(page).get_attribute('data-push').rsplit(':', 1)[0] in known
    page.get_by_label('second picture').press('End'); assert page.get_by_text('was not made ready for this page').is_visible()
    context.close(); assert not errors, errors
