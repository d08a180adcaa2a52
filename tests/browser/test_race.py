"""SamplerRace in a browser: results come in one by one, distances are Python's, Stop stops, ten clicks leave one race."""
import json
import time

import pytest
import torch

from dit_edu.widgets.race import SamplerRace, distance

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time

ROOT = "document.querySelector('.dw')"
def drawn(page, name): return page.locator(f'[aria-label="picture of {name}"]').evaluate('c => c.toDataURL()')


@pytest.mark.parametrize('width,scheme', [(1400, 'light'), (800, 'dark'), (390, 'light')])
def test_a_finished_race(open_widget, pipe, width, scheme):
    widget = SamplerRace(pipe, steps=(2, 4, 6), long=12, y=4, guidance_scale=1.)
    widget.job.thread.join(); assert widget.note == 'done'
    runs = 3 * len(widget.names) + 1
    page = open_widget(widget, width, scheme, wait=f'[data-shown$=":{runs}"]')
    slider = page.get_by_role('slider', name='steps')
    slider.press('Home'); page.wait_for_selector(f'[data-shown="0:0:{runs}"]')
    before = [drawn(page, n) for n in widget.names]
    slider.press('End'); page.wait_for_selector(f'[data-shown="0:2:{runs}"]')
    assert all(drawn(page, n) != b for n, b in zip(widget.names, before))
    last = lambda sampler, steps: [s.x0 for s in pipe.steps(1, y=4, seed=0, steps=steps, sampler=sampler, guidance_scale=1.)][-1]
    d = distance(last('dpmpp_2m', 6), last('heun', 12))
    assert f'dpmpp_2m: 6 calls, distance {d:.3f}' in page.locator('.dw').inner_text()
    assert 'heun: 11 calls' in page.locator('.dw').inner_text() and 'class critters' in page.locator('.dw').inner_text()


def test_race_stop_race(open_widget, pipe):
    widget = SamplerRace(pipe, samplers=('euler', 'heun'), steps=(2, 40), long=50, start=False, guidance_scale=1.)
    page = open_widget(widget, wait='[data-running]')
    assert page.get_by_role('button', name='Stop').is_disabled()
    seed = page.get_by_label('seed'); seed.fill('-7'); seed.press('Tab'); assert seed.input_value() == '0' # silly input
    seed.fill('5'); seed.press('Tab')
    for _ in range(10): page.get_by_role('button', name='Race').click()
    page.wait_for_selector('[data-shown="5:0:1"], [data-shown="5:0:2"]', timeout=120_000) # something to see long before the end
    page.get_by_role('button', name='Stop').click(); page.wait_for_selector('[data-running=false]', timeout=60_000)
    widget.job.thread.join(); assert widget.note == 'stopped'
    done, seen = widget.progress, json.loads(widget.results)
    time.sleep(.5); assert widget.progress == done and not widget.job.running # one race was left of ten, and it has ended
    assert seen['done'] < 5 # the rest was not run


def test_closing_the_page_ends_the_work(open_widget, pipe):
    widget = SamplerRace(pipe, samplers=('euler',), steps=(2, 500), long=1000, start=False, guidance_scale=1.)
    page = open_widget(widget, wait='[data-running]')
    page.get_by_role('button', name='Race').click(); page.wait_for_selector('[data-running=true]')
    page.goto('about:blank')
    for _ in range(100):
        if not widget.job.running: break
        time.sleep(.2)
    assert not widget.job.running and widget.note == 'stopped'


def test_a_saved_race_moves_without_python(chromium, pipe, tmp_path):
    widget = SamplerRace(pipe, samplers=('euler', 'heun'), steps=(2, 4), long=8, guidance_scale=1.); widget.job.thread.join()
    (tmp_path/'page.html').write_text('<!doctype html><meta charset=utf-8>' + widget.to_html(), encoding='utf8')
    context = chromium.new_context(offline=True); page = context.new_page(); errors = []
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto(f'file://{tmp_path}/page.html'); page.wait_for_selector('[data-shown="0:1:5"]')
    before = drawn(page, 'euler')
    page.get_by_role('slider', name='steps').press('Home'); page.wait_for_selector('[data-shown="0:0:5"]')
    assert drawn(page, 'euler') != before and not page.get_by_role('button', name='Race').count()
    context.close(); assert not errors, errors
