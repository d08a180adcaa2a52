"""The training monitor in a browser: curves as in the log, pictures, a log that grows, and an end to the looking."""
import json
import time

import pytest
from PIL import Image

from dit_edu.widgets import TrainingMonitor

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time


def row(s, **more): return json.dumps(dict(step=s, epoch=0, loss=1 / s, lr=1e-3, images_per_s=9., seconds=s, **more)) + '\n'
def root(page): return page.locator('.dw')
def plots(page): return [c.evaluate('c => c.toDataURL()') for c in page.locator('.dw figure > canvas').all() if c.is_visible()]


@pytest.fixture
def run(tmp_path):
    folder = tmp_path/'run'; (folder/'vae_autoencoder_samples').mkdir(parents=True); (folder/'dit_samples').mkdir()
    (folder/'vae_log.jsonl').write_text(''.join(row(s, rec=.5, kl=100. + s, **({'p_real': .6, 'p_fake': .4, 'adaptive_weight': 1.} if s > 20 else {'adaptive_weight': 0.})) for s in range(1, 41)))
    for s in (20, 40): Image.new('RGB', (64, 32), (s * 5, 0, 0)).save(folder/'vae_autoencoder_samples'/f'step_{s:08d}.png')
    return folder


@pytest.mark.parametrize('width,scheme', [(1400, 'light'), (800, 'dark'), (390, 'light')])
def test_curves_and_pictures(open_widget, run, width, scheme):
    page = open_widget(TrainingMonitor(run, every=.2), width, scheme)
    assert root(page).get_attribute('data-shown') == '40' and 'vae: step 40, loss 0.0250, 9 images/s' in page.locator('.state').inner_text()
    assert len(plots(page)) == 6 # loss, KL, D, adaptive weight, learning rate, images/s; no gradient norms in this log
    for slider, key, attribute in (('smoothing', 'Home', 'data-smooth'), ('leave out the first', 'End', 'data-from')):
        before = plots(page)[1]
        page.get_by_label(slider).press(key); page.wait_for_function("([a]) => document.querySelector('.dw').getAttribute(a) !== null", arg=[attribute])
        assert plots(page)[1] != before, slider
    assert root(page).get_attribute('data-smooth') == '0' and root(page).get_attribute('data-from') == '37' # 90 % of 40 steps are left out
    page.get_by_label('leave out the first').press('Home'); before = plots(page)[0]
    page.get_by_label('logarithmic axis').press('Space'); assert plots(page)[0] != before
    image = page.locator('.dw img'); newest = image.get_attribute('src'); assert 'the newest' in image.get_attribute('alt')
    page.get_by_label('pictures after step').press('Home')
    assert root(page).get_attribute('data-picture') == '20' and image.get_attribute('src') != newest
    page.wait_for_function("() => document.querySelector('.dw img').naturalWidth == 64")


def test_follows_a_log_that_is_being_written(open_widget, run):
    widget = TrainingMonitor(run, every=.2); page = open_widget(widget)
    with (run/'vae_log.jsonl').open('a') as f: f.write(row(41) + row(42)[:9])
    page.wait_for_selector('[data-shown="41"]')
    with (run/'vae_log.jsonl').open('a') as f: f.write(row(42)[9:])
    page.wait_for_selector('[data-shown="42"]')
    Image.new('RGB', (80, 32)).save(run/'vae_autoencoder_samples'/'step_00000042.png')
    page.wait_for_function("() => document.querySelector('.dw img').naturalWidth == 80") # the newest is shown without asking
    time.sleep(.05); (run/'dit_log.jsonl').write_text(row(7, grad_norm_dit=1.)) # the transformer's training begins
    page.wait_for_selector('[data-part="dit"][data-shown="7"]')
    page.get_by_role('combobox', name='training').select_option('vae'); page.wait_for_selector('[data-part="vae"][data-shown="42"]')
    (run/'vae_log.jsonl').write_text(row(1)); page.wait_for_selector('[data-part="vae"][data-shown="1"]') # begun anew


def test_missing_folder_then_empty_log(open_widget, tmp_path):
    folder = tmp_path/'later'; page = open_widget(TrainingMonitor(folder, every=.2))
    assert 'does not exist' in page.locator('.dw .error').inner_text()
    folder.mkdir(); page.wait_for_function("() => document.querySelector('.dw .error').textContent.includes('holds no vae_log')")
    (folder/'dit_log.jsonl').write_text(''); page.wait_for_function("() => document.querySelector('.state').textContent.includes('no step has been finished')")
    assert not page.locator('.dw .error').is_visible()


def test_stops_looking_when_closed(open_widget, run):
    widget = TrainingMonitor(run, every=.2); assert not widget.job.running # nobody looks yet
    page = open_widget(widget); assert widget.job.running
    page.goto('about:blank')
    for _ in range(300):
        if not widget.job.running: break
        page.wait_for_timeout(100)
    assert not widget.job.running and widget.views == 0
    page.go_back(); page.wait_for_selector('[data-shown="40"]'); assert widget.job.running


def test_saved_page(chromium, run, tmp_path):
    (tmp_path/'page.html').write_text('<!doctype html><meta charset=utf-8>' + TrainingMonitor(run, watch=False).to_html())
    context = chromium.new_context(offline=True, viewport=dict(width=800, height=900)); page = context.new_page(); errors = []
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto(f'file://{tmp_path}/page.html'); page.wait_for_selector('[data-shown="40"]')
    for slider, key in (('smoothing', 'Home'), ('leave out the first', 'End')):
        before = plots(page)[1]; page.get_by_label(slider).press(key); assert plots(page)[1] != before, slider
    page.get_by_label('pictures after step').press('Home'); page.wait_for_selector('[data-picture="20"]')
    context.close(); assert not errors, errors
