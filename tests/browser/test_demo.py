"""SamplingDemo in a browser: Generate, Stop, ten presses, scrub, save; and the app as `dit_edu demo` starts it."""
import io
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from dit_edu.widgets.demo import SamplingDemo
from shots import shot

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time


def wait(condition, seconds=60):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, 'nothing came'
        time.sleep(.02)


def press(page, name): page.get_by_role('button', name=name, exact=True).click()


def test_generate_grows_scrubs_and_saves(open_widget, pipe):
    widget = SamplingDemo(pipe, n=4, steps=12, start=False)
    page = open_widget(widget, wait='.dw canvas')
    press(page, 'Generate')
    page.wait_for_selector('[data-preview]', timeout=30_000) # it is seen before it is done
    page.wait_for_selector('[data-shown="1:11:x0"]', timeout=60_000)
    last = page.locator('.dw canvas').first.screenshot()
    scrub = page.get_by_label('step', exact=True)
    scrub.press('Home'); page.wait_for_selector('[data-shown="1:0:x0"]')
    first = page.locator('.dw canvas').first.screenshot()
    assert first != last
    page.get_by_label('show').select_option('xt'); page.wait_for_selector('[data-shown="1:0:xt"]')
    assert page.locator('.dw canvas').first.screenshot() != first
    for kind in ('png', 'gif', 'webp'):
        with page.expect_download() as download: page.get_by_role('button', name=f'save as {kind}').click()
        assert Image.open(download.value.path()).format.lower() == kind and download.value.suggested_filename.endswith(kind)


def test_stop_stops_within_a_step(open_widget, pipe):
    widget = SamplingDemo(pipe, n=4, steps=100, start=False)
    page = open_widget(widget, wait='.dw canvas')
    press(page, 'Generate'); wait(lambda: widget.progress[0] >= 2)
    press(page, 'Stop'); at = widget.progress[0]
    wait(lambda: not widget.running); assert widget.progress[0] < 100 and widget.progress[0] - at <= 20 # the click itself takes a while
    page.wait_for_selector('text=/stopped after/')


def test_ten_presses_leave_one_run(open_widget, pipe):
    widget = SamplingDemo(pipe, n=1, steps=20, start=False)
    page = open_widget(widget, wait='.dw canvas')
    page.evaluate("() => { const b = [...document.querySelectorAll('button')].find(b => b.textContent == 'Generate'); for (let k = 0; k < 10; k++) b.click() }")
    page.wait_for_selector('[data-running="false"][data-shown]', timeout=60_000)
    assert widget.progress == [20, 20] and widget.run < 10 # those in between never began
    assert not widget.job.running


def test_closing_the_page_stops_the_work(open_widget, pipe):
    widget = SamplingDemo(pipe, n=16, steps=100, start=False)
    page = open_widget(widget, wait='.dw canvas')
    press(page, 'Generate'); wait(lambda: widget.progress[0] >= 1)
    page.goto('about:blank')
    wait(lambda: not widget.job.running); assert widget.progress[0] < 100


def test_silly_input_and_errors_are_said(open_widget, pipe):
    widget = SamplingDemo(pipe, n=1, steps=2, start=False)
    page = open_widget(widget, wait='.dw canvas'); page.errors_wanted = True
    seed = page.get_by_label('seed', exact=True)
    seed.fill('-5'); seed.press('Tab'); assert seed.input_value() == '0'
    seed.fill(''); seed.press('Tab'); assert seed.input_value().isdigit()
    widget.pipes = {k: None for k in widget.pipes} # something breaks in Python
    press(page, 'Generate'); page.wait_for_selector('[role=alert]:not([hidden])')


def test_every_control_by_keyboard(open_widget, pipe):
    page = open_widget(SamplingDemo(pipe, n=1, steps=2, start=False), 800, 'dark', wait='.dw canvas')
    seen = set()
    for _ in range(30):
        page.keyboard.press('Tab')
        seen.add(page.evaluate("() => { const e = document.activeElement; return e.getAttribute('aria-label') || e.textContent }"))
    assert {'class', 'seed', 'pictures', 'steps', 'sampler', 'guidance', 'guided from t', 'up to t', 'skip guidance', 'Generate', 'New seed'} <= seen


def test_it_begins_by_itself(open_widget, pipe):
    page = open_widget(widget := SamplingDemo(pipe, n=2, steps=3), wait='[data-shown]')
    wait(lambda: not widget.running); assert widget.run == 1 and widget.note.startswith('2 pictures in 3 steps')


def test_the_command(chromium):
    "`dit_edu demo` says where, serves this machine only, and ends on Ctrl-C."
    interruptible = lambda: signal.signal(signal.SIGINT, signal.default_int_handler) # what runs in a shell's background ignores Ctrl-C, and its children would too
    p = subprocess.Popen([sys.executable, '-m', 'dit_edu.cli', 'demo', '--no-browser'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=interruptible)
    try:
        said = ''
        while 'http://' not in said: line = p.stdout.readline(); assert line, said; said += line
        url = re.search(r'http://127\.0\.0\.1:\d+/', said)[0]
        page = chromium.new_page(viewport=dict(width=1400, height=900)); errors = []
        page.on('pageerror', lambda e: errors.append(str(e))); page.on('console', lambda m: m.type == 'error' and errors.append(m.text))
        page.goto(url); press(page, 'Generate')
        page.wait_for_selector('[data-shown]', timeout=90_000)
        shot(page, 'demo-command')
        assert not errors, errors
        ports = subprocess.run(['ss', '-ltn'], capture_output=True, text=True).stdout if os.path.exists('/usr/bin/ss') or os.path.exists('/bin/ss') else ''
        port = url.split(':')[-1].strip('/')
        assert not ports or f'127.0.0.1:{port}' in ports and f'0.0.0.0:{port}' not in ports
        p.send_signal(signal.SIGINT)
        assert p.wait(20) == 0
        page.wait_for_selector('#lost:not([hidden])', timeout=20_000) # the page says that its program has ended
        page.close()
    finally: p.kill()


def test_another_model_brings_its_own_classes(open_widget, pipe):
    import copy
    other = copy.copy(pipe); other.classes, other.defaults = list(reversed(pipe.classes)), {**pipe.defaults, 'guidance_scale': 1.3, 'skip_scale': 1.6}
    widget = SamplingDemo({'one': pipe, 'other': other}, n=1, steps=2, start=False)
    page = open_widget(widget, wait='.dw canvas')
    offered = lambda: page.get_by_label('class', exact=True).locator('option').all_inner_texts()[2:]
    assert offered() == [f'{i} {c}' for i, c in enumerate(pipe.classes)]
    page.get_by_label('model').select_option('other')
    assert offered() == [f'{i} {c}' for i, c in enumerate(other.classes)]
    assert page.get_by_label('guidance', exact=True).get_attribute('aria-valuetext') == '1.30' # what is used, not where the knob snapped
    assert page.get_by_label('skip guidance').get_attribute('aria-valuetext') == '1.60' and 'without block' in page.get_by_role('note').inner_text()
    page.get_by_label('pictures').press('Home'); page.get_by_label('steps', exact=True).press('Home')
    press(page, 'Generate'); page.wait_for_selector('[data-shown]', timeout=60_000)
    assert widget.settings['skip'] == 1.6 and widget.settings['model'] == 'other' and widget.settings['scale'] == 1.3 and widget.progress == [1, 1]


def test_parts_of_a_class_can_be_chosen(open_widget, pipe):
    import copy
    told = copy.copy(pipe); told.dit = copy.copy(pipe.dit)
    told.attributes = {c: {'eyes': {'round': .5, 'star': .4}, 'hat': {'red': .1}} for c in ('thumbs', 'moods')}
    told.tell = lambda labels, attributes=None, seed=0: asked.append(attributes) or labels # whatever the network knows, this is what it is asked for
    asked = []
    widget = SamplingDemo(told, n=1, steps=2, start=False)
    page = open_widget(widget, wait='.dw canvas')
    parts = page.locator('details')
    assert not parts.is_visible() # one of each has no parts in common
    page.get_by_label('class', exact=True).select_option('3')
    assert parts.locator('summary').inner_text() == 'its parts (by chance)'
    parts.locator('summary').press('Enter')
    assert page.get_by_label('eyes').locator('option').all_inner_texts() == ['any', 'round', 'star', 'none']
    page.get_by_label('eyes').select_option('star'); page.get_by_label('hat').select_option('none')
    assert parts.locator('summary').inner_text() == 'its parts (2 chosen)'
    press(page, 'Generate'); page.wait_for_selector('[data-shown^="1:"]', timeout=60_000)
    assert asked[-1] == widget.settings['attributes'] == {'eyes': 'star', 'hat': 'none'}
    shot(page, 'demo-parts')
    page.get_by_label('hat').select_option('')
    page.get_by_label('class', exact=True).select_option('5'); assert page.get_by_label('eyes').input_value() == 'star' # moods have them too
    page.get_by_label('class', exact=True).select_option('7'); assert not parts.is_visible()
    press(page, 'Generate'); page.wait_for_selector('[data-shown^="2:"]', timeout=60_000)
    assert not asked[-1]


def test_pictures_of_the_last_run_do_not_come_into_the_next(open_widget, pipe):
    widget = SamplingDemo(pipe, n=1, steps=2, start=False)
    page = open_widget(widget, wait='.dw canvas')
    page.evaluate("""() => { const plain = window.createImageBitmap; window.createImageBitmap = async (...a) => { await new Promise(f => setTimeout(f, 1500)); return plain(...a); }; }""")
    press(page, 'Generate'); wait(lambda: widget.run == 1 and not widget.running and widget.pixels) # its pictures are being decoded in the page
    page.get_by_label('steps', exact=True).press('End'); page.get_by_label('pictures').press('End')
    press(page, 'Generate'); wait(lambda: widget.run == 2 and widget.progress[0] >= 1)
    press(page, 'Stop'); wait(lambda: not widget.running)
    page.wait_for_timeout(5000)
    assert page.locator('.dw').get_attribute('data-shown') is None
    assert page.get_by_role('button', name='save as png').is_disabled()
