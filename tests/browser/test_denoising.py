"""DenoisingExplorer in a browser: the slider moves the pictures, quickly, by mouse and by keyboard."""
import pytest

from dit_edu.widgets.denoising import DenoisingExplorer, record
from shots import apart, drag, pixels

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time


@pytest.fixture(scope='module')
def run(pipe): return record(pipe, y=[4] if pipe.dit.num_classes else None, steps=30, seed=2)


def move(page, i):
    drag(page, page.locator('input[type=range]').first, (29 - i) / 29)
    page.wait_for_selector(f'[data-shown="{i}"]')


def test_dragging_shows_the_prediction_becoming_the_sample(open_widget, run):
    widget = DenoisingExplorer(run)
    page = open_widget(widget)
    sample = pixels(page, 2) # 0 is x_t, 1 the x0 prediction
    move(page, 29); test_end = apart(pixels(page, 1), sample)
    move(page, 20); middle = apart(pixels(page, 1), sample)
    move(page, 0); start, noisy = apart(pixels(page, 1), sample), apart(pixels(page, 0), sample)
    assert test_end == 0 and test_end < middle < start
    assert noisy > start / 2 # x_t at the beginning is nothing like it either
    assert widget.index == 0 # Python knows
    assert 't = 999 of 999' in page.locator('.state').inner_text()


@pytest.mark.parametrize('width,scheme', [(1400, 'light'), (800, 'dark'), (390, 'light')])
def test_keyboard_and_looks(open_widget, run, width, scheme):
    page = open_widget(DenoisingExplorer(run), width, scheme)
    slider = page.locator('input[type=range]').first
    slider.focus(); page.keyboard.press('End'); page.wait_for_selector('[data-shown="0"]')
    page.keyboard.press('ArrowLeft'); page.wait_for_selector('[data-shown="1"]')
    page.keyboard.press('Home'); page.wait_for_selector('[data-shown="29"]')
    slider.press('End')
    page.get_by_role('button', name='Play or pause').press('Enter') # plays to the end by itself
    page.wait_for_selector('[data-shown="29"]', timeout=20_000)


def test_two_runs_share_the_slider(open_widget, pipe):
    runs = [record(pipe, y=2, steps=10, seed=1, guidance_scale=s, name=f'guidance {s}') for s in (1., 3.)]
    page = open_widget(DenoisingExplorer(*runs))
    before = [pixels(page, k) for k in range(page.locator('canvas:not(.smooth)').count())]
    page.locator('input[type=range]').first.press('Home'); page.wait_for_selector('[data-shown="9"]')
    after = [pixels(page, k) for k in range(page.locator('canvas:not(.smooth)').count())]
    per_run = len(before) // 2
    for r in (0, per_run): assert apart(before[r + 1], after[r + 1]) > 0 and after[r + 1] == after[r + 2] # x0 has become each run's own sample


def test_from_key_to_pixels(open_widget, run):
    "Scrubbing is local: no answer from Python is waited for."
    widget = DenoisingExplorer(run); page = open_widget(widget); began = widget.index
    page.route('**/set', lambda route: None) # Python never hears of it
    answers = page.evaluate("""() => {
      const root = document.querySelector('[data-shown]'), input = document.querySelector('input[type=range]'), canvas = document.querySelectorAll('canvas')[1], all = [];
      for (let k = 0; k < 25; k++) { input.value = 29 - k; input.dispatchEvent(new Event('input', { bubbles: true })); all.push([+root.dataset.shown, canvas.toDataURL()]); }
      return all }""")
    assert [k for k, _ in answers] == list(range(25)) and len({data for _, data in answers}) > 20 and widget.index == began
    page.unroute('**/set')


def test_the_newest_value_is_the_last_to_arrive(open_widget, run):
    widget = DenoisingExplorer(run); page = open_widget(widget)
    slow = []
    def once(route): # the first message is held up on its way
        if not slow: slow.append(1); page.wait_for_timeout(400)
        route.continue_()
    page.route('**/set', once)
    page.evaluate("""() => { const input = document.querySelector('input[type=range]'); for (const v of [20, 25]) { input.value = v; input.dispatchEvent(new Event('input')); } }""")
    for _ in range(50):
        if widget.index == 4 and slow: break
        page.wait_for_timeout(50)
    page.wait_for_timeout(600)
    assert slow and widget.index == 4


def test_closing_frees(open_widget, run):
    widget = DenoisingExplorer(run)
    page = open_widget(widget)
    assert widget.views == 1
    page.goto('about:blank')
    for _ in range(100):
        if widget.views == 0: break
        page.wait_for_timeout(100)
    assert widget.views == 0
