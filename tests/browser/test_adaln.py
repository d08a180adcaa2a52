"""AdaLNExplorer in a browser: the numbers shown are Python's, the gates change the sample, ten fast drags leave one sampling."""
import io
import json
import re

import pytest
import torch
from PIL import Image

from dit_edu.widgets.adaln import KNOBS, AdaLNExplorer, gates_turned, knob_sizes

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time

MAP = '[aria-label^="strength by block"]'
CLASSES = '[aria-label^="strength by class"]'
AFTER = '[aria-label="samples with these gates"]'
def pixels(page, which): return page.locator(which).evaluate('c => c.toDataURL()')
def strength(page): return page.evaluate("document.querySelector('.dw').strength")
def shown(page): return page.locator('.dw').get_attribute('data-shown')
def wait(page, name, before): page.wait_for_function("([n, b]) => document.querySelector('.dw').dataset[n] !== b", arg=[name, before])


@pytest.mark.parametrize('width,scheme', [(1400, 'light'), (800, 'dark'), (390, 'light')])
def test_maps_show_pythons_numbers(open_widget, pipe, width, scheme):
    page = open_widget(AdaLNExplorer(pipe, n=1, steps=2), width, scheme)
    t = json.loads(AdaLNExplorer(pipe, n=1, steps=1).facts)['t']
    page.get_by_label('knob').select_option(label='MLP shift')
    page.get_by_label('class', exact=True).select_option('3')
    before = pixels(page, MAP)
    page.locator(MAP).press('ArrowLeft'); page.locator(MAP).press('ArrowDown')
    page.locator(CLASSES).press('ArrowDown')
    assert pixels(page, MAP) != before
    kind, y, block, i = map(int, shown(page).split(':'))
    assert (KNOBS[kind], y) == ('MLP shift', 4)
    sizes = knob_sizes(pipe.dit, t, list(range(11)))[kind]
    assert abs(strength(page) - sizes[block, i, y].item()) <= sizes.max().item() / 255
    text = page.locator('.state').first.inner_text()
    assert float(re.search(r': (\d+\.\d+)', text)[1]) == pytest.approx(strength(page), abs=1e-3)
    page.get_by_role('button', name='attention scale').click()
    assert shown(page).startswith('1:') and page.get_by_label('knob').input_value() == '1'


def test_the_mouse_looks_and_a_click_keeps(open_widget, pipe):
    page = open_widget(AdaLNExplorer(pipe, n=1, steps=2)); start = shown(page); box = page.locator(MAP).bounding_box()
    page.locator(MAP).hover(position=dict(x=60, y=30)); wait(page, 'shown', start); there = shown(page)
    page.mouse.move(box['x'] - 15, box['y'] - 60); assert shown(page) == start      # gone: back to what was kept
    page.locator(MAP).click(position=dict(x=60, y=30)); page.mouse.move(box['x'] - 15, box['y'] - 60)
    assert shown(page) == there != start


def test_gates(open_widget, pipe):
    widget = AdaLNExplorer(pipe, n=2, steps=4)
    page = open_widget(widget); page.wait_for_selector('[data-gates]')
    whole, at = pixels(page, AFTER), page.locator('.dw').get_attribute('data-gates')
    assert whole == pixels(page, '[aria-label="samples with all gates open"]')
    samples = []; plain = widget.work; widget.work = lambda gates: (samples.append(gates), plain(gates))[1]
    mlp = page.get_by_role('group', name='gates of block 0', exact=True).get_by_label('MLP')
    for _ in range(10): mlp.press('ArrowLeft')                                   # a drag: .95 … .5
    mlp.press('Home'); wait(page, 'gates', at)
    page.wait_for_function("document.body.innerText.includes('1 gate turned')")
    assert samples[-1][0] == [1, 0] and json.loads(widget.gates)[0] == [1, 0] and pixels(page, AFTER) != whole
    assert sum(t.name.startswith('Thread') and '_run' in t.name for t in __import__('threading').enumerate()) <= 1
    with gates_turned(pipe.dit, json.loads(widget.gates)): alone = pipe.sample(**widget.kw)
    seen = torch.frombuffer(bytearray(Image.open(io.BytesIO(widget.after)).convert('RGB').tobytes()), dtype=torch.uint8).view(alone.shape[2], 2, alone.shape[3], 3)
    assert (seen.permute(1, 3, 0, 2) / 255 - alone).abs().max() < 2 / 255        # what is shown is what Python samples
    page.get_by_role('button', name='Open all').click()
    page.wait_for_function("!document.body.innerText.includes('gate turned') && !document.body.innerText.includes('sampling:')")
    page.wait_for_function('([w, u]) => document.querySelector(w).toDataURL() === u', arg=[AFTER, whole])
    assert not any(b.adaLN_modulation._forward_hooks for b in pipe.dit.blocks)   # nothing left behind in the network


def test_a_mistake_is_told(open_widget, pipe):
    widget = AdaLNExplorer(pipe, n=1, steps=2); page = open_widget(widget); page.errors_wanted = True
    widget._receive(dict(command='gates', gates=[[1, 1]]), [])
    page.wait_for_selector('.dw [role=alert]:not([hidden])'); assert 'one pair for each' in page.locator('.dw [role=alert]').inner_text()


@pytest.mark.parametrize('width,scheme', [(1000, 'dark'), (390, 'light')])
def test_saved_page(chromium, pipe, tmp_path, width, scheme):
    widget = AdaLNExplorer(pipe, n=1, steps=2, every_gate=True); worth = json.loads(widget.facts)['worth']
    (tmp_path/'page.html').write_text('<!doctype html><meta charset=utf-8>' + widget.to_html())
    context = chromium.new_context(offline=True, viewport=dict(width=width, height=900), color_scheme=scheme); page = context.new_page(); errors = []
    page.on('pageerror', lambda e: errors.append(str(e))); page.goto(f'file://{tmp_path}/page.html'); page.wait_for_selector('[data-gates]')
    pictures = set()
    for gate in range(3):
        page.get_by_label('which').select_option(str(gate))
        page.get_by_label('shut', exact=True).press('End'); assert page.locator('.dw').get_attribute('data-gates') == str(3 * len(pipe.dit.blocks) - 3 + gate)
        assert f'{100 * worth[gate - 3]:.1f} %' in page.locator('.dw').inner_text(); pictures.add(pixels(page, AFTER))
        page.get_by_label('shut', exact=True).press('Home'); pictures.add(pixels(page, AFTER))
    assert len(pictures) == 6 and not page.get_by_label('MLP', exact=True).count()
    assert page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth')
    context.close(); assert not errors, errors


def test_saved_page_without_samples(chromium, pipe, tmp_path):
    (tmp_path/'page.html').write_text('<!doctype html><meta charset=utf-8>' + AdaLNExplorer(pipe, n=1, steps=1).to_html())
    page = chromium.new_page(); errors = []; page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto(f'file://{tmp_path}/page.html'); page.wait_for_selector('[data-shown]'); page.wait_for_timeout(200); page.close()
    assert not errors, errors
