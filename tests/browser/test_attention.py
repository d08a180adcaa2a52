"""AttentionExplorer in a browser: the shares shown are Python's, for what is stored and for what is asked for."""
import json

import pytest
import torch

from dit_edu.widgets.attention import AttentionExplorer, attention_maps

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time

LEFT, RIGHT = '[aria-label^="query picture"]', '[aria-label^="attention over the picture"]'
def pixels(page, which): return page.locator(which).evaluate('c => c.toDataURL()')
def shown(page): return page.locator('.dw').get_attribute('data-shown')
def weights(page): return torch.tensor(page.evaluate("document.querySelector('.dw').weights"), dtype=torch.float64)
def change(page, act):
    before = shown(page); act()
    page.wait_for_function("b => document.querySelector('.dw').dataset.shown !== b", arg=before)


def truth(pipe, widget, page):
    "The row of attention that the page shows, from the network itself."
    i, b, head, query = map(int, shown(page).split(':')[:4])
    maps = attention_maps(pipe.dit, widget.steps[i].xt, widget.steps[i].t, widget.y)[b, 0].double()
    return (maps.mean(0) if head < 0 else maps[head])[query]


@pytest.mark.parametrize('width,scheme', [(1400, 'light'), (800, 'dark'), (390, 'light')])
def test_shares_are_pythons(open_widget, pipe, width, scheme):
    widget = AttentionExplorer(pipe, y=4, steps=6); page = open_widget(widget, width, scheme)
    assert torch.allclose(weights(page), truth(pipe, widget, page), atol=1 / 255)              # at once on opening
    for act in (lambda: page.get_by_label('block').press('ArrowRight'), lambda: page.get_by_label('head').select_option('3'), lambda: page.get_by_label('timestep').press('Home'),
                lambda: page.locator(LEFT).press('ArrowDown'), lambda: page.locator(LEFT).press('ArrowLeft'), lambda: page.get_by_label('block').press('End')):
        before = pixels(page, RIGHT); change(page, act)
        assert pixels(page, RIGHT) != before
        assert torch.allclose(weights(page), truth(pipe, widget, page), atol=1 / 255)
    text, w = page.locator('.state').inner_text(), weights(page)
    assert f'{100 * w.max():.1f} %' in text and f't = {widget.steps[-1].t}, block {len(pipe.dit.blocks) - 1}, head 3' in text
    page.get_by_role('button', name='head 5').click(); assert shown(page).split(':')[2] == '5' and page.get_by_label('head').input_value() == '5'
    page.get_by_role('button', name='head 5').click(); assert shown(page).split(':')[2] == '-1'


def test_pointing(open_widget, pipe):
    page = open_widget(AttentionExplorer(pipe, steps=4)); box = page.locator(LEFT).bounding_box(); start = shown(page).split(':')[3]
    page.locator(LEFT).hover(position=dict(x=8, y=8)); assert shown(page).split(':')[3] == '0'
    page.mouse.move(box['x'] + 20, box['y'] - 60); assert shown(page).split(':')[3] == start      # gone: back to the kept one
    page.locator(LEFT).click(position=dict(x=box['width'] - 8, y=box['height'] - 8)); page.mouse.move(box['x'] + 20, box['y'] - 60)
    assert shown(page).split(':')[3] == '63'
    page.locator(RIGHT).hover(position=dict(x=8, y=8)); assert shown(page).split(':')[3:] == ['63', '0']
    assert f'row 0, column 0: {100 * weights(page)[0]:.1f} %' in page.locator('.dw').inner_text()
    page.mouse.move(box['x'] + 20, box['y'] - 60); page.locator(RIGHT).press('ArrowLeft'); assert shown(page).split(':')[4] == '62'   # read by keyboard


def test_overlay_at_zero_is_the_picture(open_widget, pipe):
    page = open_widget(AttentionExplorer(pipe, steps=4))
    with_light = pixels(page, RIGHT)
    page.get_by_label('overlay').press('Home')
    assert pixels(page, RIGHT) != with_light and pixels(page, RIGHT) == pixels(page, LEFT)        # the same picture, the same square


def test_asked_once(open_widget, pipe):
    widget = AttentionExplorer(pipe, steps=6, timesteps=1, blocks=1); page = open_widget(widget); asked = []
    plain = widget.do_maps; widget.do_maps = lambda **kw: (asked.append(kw), plain(**kw))[1]
    for key in ('Home', 'End', 'Home', 'End'): change(page, lambda: page.get_by_label('timestep').press(key))
    for key in ('Home', 'End', 'Home', 'End'): change(page, lambda: page.get_by_label('block').press(key))
    assert len(asked) == 2, asked                                                                # all blocks of a timestep came together
    answers = page.evaluate("""() => { const r = document.querySelector('.dw'), s = r.querySelector('input[aria-label=block]'), all = [];
        for (let k = 0; k < 8; k++) { s.value = k; s.dispatchEvent(new Event('input')); all.push(r.dataset.shown); } return all }""")
    assert len(set(answers)) == 8, answers                                                       # known ones are drawn within the event itself


def test_saved_page(chromium, pipe, tmp_path):
    widget = AttentionExplorer(pipe, y=4, steps=6); html = widget.to_html(); assert len(html) < 600_000
    (tmp_path/'page.html').write_text('<!doctype html><meta charset=utf-8>' + html)
    context = chromium.new_context(offline=True, viewport=dict(width=390, height=900)); page = context.new_page(); errors = []
    page.on('pageerror', lambda e: errors.append(str(e))); page.goto(f'file://{tmp_path}/page.html'); page.wait_for_selector('[data-shown]')
    facts, seen = json.loads(widget.facts), set()
    page.get_by_label('timestep').press('Home')
    for _ in facts['times']:
        page.get_by_label('block').press('Home')
        for _ in facts['blocks']:
            seen.add(tuple(shown(page).split(':')[:2])); assert torch.allclose(weights(page), truth(pipe, widget, page), atol=1 / 255)
            page.get_by_label('block').press('ArrowRight')
        page.get_by_label('timestep').press('ArrowRight')
    assert seen == {(str(i), str(b)) for i in facts['times'] for b in facts['blocks']}
    assert page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth')
    context.close(); assert not errors, errors


def test_in_context_tokens_are_told(open_widget):
    from dit_edu.diffusion import Diffusion
    from dit_edu.dit import DiT
    from dit_edu.pipeline import Pipeline
    from dit_edu.schedules import make_schedule
    dit = DiT((8, 12), 2, 3, 32, depth=2, num_heads=2, num_classes=3, learn_sigma=False, conditioning='in_context')
    small = Pipeline(dit, None, Diffusion(make_schedule('flow'), 'flow'), (3, 8, 12))
    widget = AttentionExplorer(small, steps=3); page = open_widget(widget)
    assert torch.allclose(weights(page), truth(small, widget, page)[:24], atol=1 / 255) and len(weights(page)) == 24
    assert 'tokens of time and class' in page.locator('.state').inner_text()
