"""PatchifyExplorer in a browser: tokens, similarity and what a shuffle does are Python's; pointing by mouse, keys and slider."""
import json

import pytest
import torch

from dit_edu.embeddings import sincos_2d
from dit_edu.patchify import patchify
from dit_edu.widgets.patchify import PatchifyExplorer, shuffle_change

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time

ROOT = "document.querySelector('.dw')"
PATCHES = '[aria-label^="the picture, cut"]'
def shown(page): return page.locator('.dw').get_attribute('data-shown')
def drawn(page, which=PATCHES): return page.locator(which).evaluate('c => c.toDataURL()')
def numbers(page, name): return torch.tensor(page.evaluate(f"Array.from({ROOT}.{name})"), dtype=torch.float64)


def python_sources(widget): # the numbers that were sent, as (1, c, h, w)
    out = {}
    for s in json.loads(widget.sources):
        part, (c, h, w) = bytearray(widget.numbers[s['from']:s['from'] + s['length']]), s['size']
        out[s['kind']] = (torch.frombuffer(part, dtype=torch.uint8).view(h, w, c).permute(2, 0, 1) / 127.5 - 1 if s['kind'] == 'picture'
                          else torch.frombuffer(part, dtype=torch.float32).view(c, h, w))[None].double()
    return out


@pytest.mark.parametrize('kind,p', [('picture', 2), ('picture', 4), ('picture', 8), ('picture', 16), ('latent', 2), ('latent', 4), ('latent', 8)])
def test_numbers_are_pythons(open_widget, pipe, kind, p):
    widget = PatchifyExplorer(pipe=pipe)
    page, x = open_widget(widget), python_sources(widget)[kind]
    page.get_by_label('what is cut').select_option(label=next(s['name'] for s in json.loads(widget.sources) if s['kind'] == kind))
    page.wait_for_selector(f'[data-source={kind}]')
    page.get_by_label('patch size p').select_option(str(p)); page.wait_for_selector(f'[data-shown^="{p}:"]')
    tokens, side = patchify(x, p)[0], x.shape[-1] // p
    at, pos = int(shown(page).split(':')[1]), sincos_2d(64, side, side).double()
    assert torch.allclose(numbers(page, 'token'), tokens[at], atol=1e-5)
    assert torch.allclose(numbers(page, 'similarity'), pos @ pos[at] / 32, atol=1e-5)
    page.get_by_role('button', name='Shuffle').click(); page.wait_for_selector('[data-shown$=shuffled]')
    order = numbers(page, 'order').long(); assert sorted(order.tolist()) == list(range(side**2)) and (order != torch.arange(side**2)).all() # every token has moved
    assert torch.allclose(numbers(page, 'token'), tokens[order[at]], atol=1e-5)
    embedded = tokens @ numbers(page, 'weights').view(64, -1).T / tokens.shape[1]**.5
    without, with_ = page.evaluate(f"{ROOT}.moved")
    assert without < 1e-9 and abs(with_ - shuffle_change(embedded, order, at, pos)) < 1e-4


@pytest.mark.parametrize('width,scheme', [(1400, 'light'), (800, 'dark'), (390, 'light')])
def test_pointing(open_widget, pipe, width, scheme):
    page = open_widget(PatchifyExplorer(pipe=pipe), width, scheme)
    grid, before = page.get_by_role('application'), drawn(page, '[aria-label="the patch, enlarged"]')
    assert shown(page) == '8:36:ordered'
    for key, to in (('ArrowUp', 28), ('ArrowLeft', 27), ('ArrowDown', 35), ('ArrowRight', 36)):
        grid.press(key); page.wait_for_selector(f'[data-shown="8:{to}:ordered"]')
    box = grid.bounding_box()
    page.mouse.move(box['x'] + box['width'] - 3, box['y'] + 3); page.wait_for_selector('[data-shown="8:7:ordered"]')
    assert drawn(page, '[aria-label="the patch, enlarged"]') != before
    page.mouse.move(0, 0)
    slider = page.get_by_role('slider', name='token')
    slider.press('End'); page.wait_for_selector('[data-shown="8:63:ordered"]'); slider.press('Home'); page.wait_for_selector('[data-shown="8:0:ordered"]')
    grid.press('ArrowLeft'); grid.press('ArrowUp'); assert shown(page) == '8:0:ordered' # it stays inside
    whole = drawn(page)
    page.get_by_role('button', name='Shuffle').click(); page.wait_for_selector('[data-shown$=shuffled]'); assert drawn(page) != whole
    page.get_by_role('button', name='Put them back').click(); page.wait_for_selector('[data-shown$=ordered]'); assert drawn(page) == whole
    page.get_by_label('what is cut').select_option('1'); page.wait_for_selector('[data-source=latent]')
    assert shown(page).startswith('2:') # what the DiT reads
    page.get_by_role('button', name='Shuffle').click()


def test_a_move_is_answered_at_once(open_widget):
    "Within the event itself: nothing is waited for."
    page = open_widget(PatchifyExplorer(patch=2, pipe=False)) # 1024 tokens
    page.get_by_role('button', name='Shuffle').click(); page.wait_for_selector('[data-shown$=shuffled]')
    answers = page.evaluate("""() => { const g = document.querySelector('[role=application]'), root = document.querySelector('[data-shown]'), all = [];
        for (let k = 0; k < 15; k++) { g.dispatchEvent(new KeyboardEvent('keydown', { key: k % 2 ? 'ArrowLeft' : 'ArrowRight' })); all.push(root.dataset.shown); }
        return all }""")
    assert all(a != b for a, b in zip(answers, answers[1:])) and len(set(answers)) == 2


def test_a_picture_that_is_not_square(open_widget):
    widget = PatchifyExplorer(torch.rand(3, 32, 48), patch=4, pipe=False)
    page = open_widget(widget)
    x = python_sources(widget)['picture']
    page.get_by_role('slider', name='token').press('End'); page.wait_for_selector('[data-shown="4:95:ordered"]')
    assert torch.allclose(numbers(page, 'token'), patchify(x, 4)[0, 95], atol=1e-5)
    box = page.get_by_role('application').bounding_box(); assert abs(box['width'] / box['height'] - 1.5) < .05
    widget.patch = 16; page.wait_for_selector('[data-shown^="16:"]') # set from Python
