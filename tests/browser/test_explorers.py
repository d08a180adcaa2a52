"""The other widgets in a browser: what a person moves changes what they see, and the numbers are Python's."""
import base64
import io
import json
import os

import pytest
import torch
from PIL import Image

from dit_edu.schedules import SCHEDULES, make_schedule
from dit_edu.widgets import AdaLNExplorer, AttentionExplorer, LatentExplorer, PatchifyExplorer, SamplerRace, ScheduleExplorer, TrainingMonitor

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time


def shown(page): return page.locator('[data-shown]').first.get_attribute('data-shown')
def picture(page, k=0): return page.locator('.dw canvas:not(.smooth)').nth(k).evaluate("c => c.toDataURL()")


def change(page, act, attribute='data-shown'):
    before = page.locator(f'[{attribute}]').first.get_attribute(attribute)
    act()
    page.wait_for_function(f"([a, before]) => document.querySelector('.dw').getAttribute(a) !== before", arg=[attribute, before])


@pytest.mark.parametrize('name', list(SCHEDULES))
def test_schedule_numbers_are_pythons(open_widget, name):
    page = open_widget(ScheduleExplorer(name, T=200, beta_start=2e-4, beta_end=.05))
    got = page.evaluate("() => { const n = document.querySelector('.dw').numbers; return [n.alpha, n.sigma] }")
    s = make_schedule(name, 200, 2e-4, .05)
    for ours, theirs in zip(got, (s.alpha, s.sigma)): assert torch.allclose(torch.tensor(ours, dtype=torch.float64), theirs, atol=1e-9)


@pytest.mark.parametrize('width,scheme', [(1400, 'light'), (800, 'dark'), (390, 'light')])
def test_schedule(open_widget, width, scheme):
    page = open_widget(ScheduleExplorer(), width, scheme)
    before = picture(page)
    change(page, lambda: page.get_by_role('slider', name='timestep t').press('End')); assert picture(page) != before
    change(page, lambda: page.get_by_role('combobox', name='schedule').select_option('flow'))
    assert page.get_by_label('first β').is_disabled()
    page.get_by_role('button', name='Keep for comparison').click()
    change(page, lambda: page.get_by_role('combobox', name='schedule').select_option('cosine'))
    assert page.locator('text=flow').count() # the kept one is in the legend


@pytest.mark.parametrize('width,scheme', [(1400, 'dark'), (390, 'light')])
def test_patchify(open_widget, width, scheme):
    page = open_widget(PatchifyExplorer(), width, scheme)
    from dit_edu.embeddings import sincos_2d
    pos = sincos_2d(64, 8, 8).double(); at = int(shown(page).split(':')[1])
    sim = torch.tensor(page.evaluate("() => document.querySelector('.dw').similarity"), dtype=torch.float64)
    assert torch.allclose(sim, pos @ pos[at] / (pos[at] @ pos[at]), atol=1e-5)
    before = picture(page)
    change(page, lambda: page.get_by_role('application').press('ArrowRight'))
    change(page, lambda: page.get_by_role('button', name='Shuffle').click()); assert picture(page) != before
    change(page, lambda: page.get_by_role('button', name='Put them back').click()); assert picture(page) == before
    change(page, lambda: page.get_by_label('patch size p').select_option('2')); assert '1024' in page.locator('.state').inner_text()
    page.get_by_role('application').hover(position=dict(x=3, y=3)); page.wait_for_selector('[data-shown="2:0:ordered"]')


def test_race(open_widget, pipe):
    widget = SamplerRace(pipe, samplers=('euler', 'heun'), steps=(3, 6), long=12)
    page = open_widget(widget)
    before = picture(page)
    change(page, lambda: page.get_by_role('slider', name='steps').press('Home')); assert picture(page) != before
    change(page, lambda: (page.get_by_label('seed').fill('5'), page.get_by_label('seed').press('Tab'), page.get_by_role('button', name='Race').click()))
    page.get_by_role('button', name='Race').click(); page.get_by_role('button', name='Stop').click()
    page.wait_for_selector('[data-running="false"]')


@pytest.mark.parametrize('width,scheme', [(1400, 'light'), (390, 'dark')])
def test_adaln(open_widget, pipe, width, scheme):
    widget = AdaLNExplorer(pipe, n=2, steps=4)
    page = open_widget(widget, width, scheme)
    before = picture(page)
    change(page, lambda: page.get_by_label('knob').select_option('0')); assert picture(page) != before
    change(page, lambda: page.locator('.dw canvas:not(.smooth)').first.press('ArrowLeft'))
    page.wait_for_selector('[data-gates]'); whole = picture(page, 2)
    change(page, lambda: page.get_by_label('MLP', exact=True).nth(0).press('Home'), 'data-gates')
    assert picture(page, 2) != whole and json.loads(widget.gates)[0] == [1, 0]


def test_attention(open_widget, pipe):
    page = open_widget(AttentionExplorer(pipe, timesteps=3, steps=6))
    before = picture(page, 1)
    change(page, lambda: page.get_by_label('block').press('ArrowRight')); assert picture(page, 1) != before
    change(page, lambda: page.locator('.dw canvas:not(.smooth)').first.press('ArrowDown'))
    change(page, lambda: page.get_by_label('head').select_option('1'))
    change(page, lambda: page.get_by_label('timestep').press('Home'))
    assert '%' in page.locator('.state').inner_text()


def test_latent(open_widget, pipe, tmp_path):
    widget = LatentExplorer(pipe)
    page = open_widget(widget); page.errors_wanted = True
    before = picture(page)
    change(page, lambda: page.get_by_label('picture', exact=True).press('ArrowRight')); assert picture(page) != before
    mixed = page.locator('[aria-label="mixture in the latent"]').evaluate('c => c.toDataURL()')
    change(page, lambda: page.get_by_label('from the first').press('Home'), 'data-mix')
    assert page.locator('[aria-label="mixture in the latent"]').evaluate('c => c.toDataURL()') != mixed
    change(page, lambda: page.get_by_label('push, in').press('Home'), 'data-push')
    Image.new('RGB', (90, 300), 'orange').save(tmp_path/'mine.bmp')
    count = len(widget.images)
    page.get_by_label('a picture of your own').set_input_files(str(tmp_path/'mine.bmp'))
    page.wait_for_selector(f'[data-shown="{count}"]'); assert 'mine.bmp' in page.locator('.state').inner_text()
    (tmp_path/'bad.png').write_bytes(b'not a picture')
    page.get_by_label('a picture of your own').set_input_files(str(tmp_path/'bad.png'))
    page.wait_for_selector('[role=alert]:not([hidden])'); assert 'bad.png' in page.locator('[role=alert]').first.inner_text()


def test_monitor(open_widget, tmp_path):
    run = tmp_path/'run'
    widget = TrainingMonitor(run, every=.2)
    page = open_widget(widget)
    assert 'does not exist' in page.locator('[role=alert]').first.inner_text()
    run.mkdir(); row = lambda s: json.dumps(dict(step=s, loss=1 / s, lr=1e-3, images_per_s=9., seconds=s)) + '\n'
    (run/'dit_log.jsonl').write_text(''.join(row(s) for s in range(1, 30)))
    page.wait_for_selector('[data-shown="29"]')
    with (run/'dit_log.jsonl').open('a') as f: f.write(row(30) + row(31)[:9])
    page.wait_for_selector('[data-shown="30"]')
    assert page.locator('.dw canvas').count() >= 3
    page.get_by_label('smoothing').press('Home')


def test_saved_pages_move_without_python(chromium, pipe, tmp_path):
    "What `to_html` writes works from a file, with the network cut."
    from dit_edu.widgets import DenoisingExplorer, record
    widgets = [DenoisingExplorer(record(pipe, steps=6)), ScheduleExplorer(), PatchifyExplorer(), AttentionExplorer(pipe, timesteps=2, steps=4, heads=False), AdaLNExplorer(pipe, n=1, steps=2, every_gate=True), LatentExplorer(pipe)]
    (tmp_path/'page.html').write_text('<!doctype html><meta charset=utf-8>' + ''.join(w.to_html() for w in widgets))
    context = chromium.new_context(offline=True, viewport=dict(width=1000, height=900)); page = context.new_page(); errors = []
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto(f'file://{tmp_path}/page.html')
    page.wait_for_function(f"() => document.querySelectorAll('.dw[data-shown]').length == {len(widgets)}")
    for k in range(len(widgets)):
        root = page.locator('.dw').nth(k)
        if (slider := root.locator('input[type=range]')).count():
            before = root.screenshot(); slider.first.press('Home'); slider.first.press('ArrowRight'); slider.last.press('End'); page.wait_for_timeout(100)
            assert root.screenshot() != before
    context.close()
    assert not errors, errors
