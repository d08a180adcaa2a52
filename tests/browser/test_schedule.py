"""ScheduleExplorer in a browser: its numbers are Python's, knobs and t move the picture, comparison and silly input."""
import pytest
import torch

from dit_edu.schedules import SCHEDULES, make_schedule
from dit_edu.widgets.schedule import ScheduleExplorer, schedule_curves, schedule_settings

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time

ROOT = "document.querySelector('.dw')"
def shown(page): return page.locator('.dw').get_attribute('data-shown')
def big(page, k=0): return page.locator('[aria-label="the picture at timestep t"]').nth(k).evaluate('c => c.toDataURL()')
def wait(page, before): page.wait_for_function(f"b => {ROOT}.dataset.shown !== b", arg=before)


@pytest.mark.parametrize('T,start,end', [(1000, 1e-4, .02), (37, 2e-3, .3), (2, 1e-4, .02)])
def test_numbers_are_pythons(open_widget, T, start, end):
    page = open_widget(ScheduleExplorer(T=T, beta_start=start, beta_end=end))
    for name in SCHEDULES:
        page.get_by_role('combobox', name='schedule').select_option(name)
        page.wait_for_function(f"n => {ROOT}.dataset.shown.startsWith(n + ':')", arg=name)
        got, s = page.evaluate(f"{ROOT}.numbers"), make_schedule(name, T, start, end)
        for what, theirs in {**schedule_curves(s), 'alpha': s.alpha}.items():
            ours = got[what]
            if theirs is None: assert ours is None; continue
            ours = torch.tensor(ours, dtype=torch.float64)
            # the last cosine abar is 2e-9, a difference of nearly equal numbers: compare to 1e-9, log SNR relative
            assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-9), (name, what, (ours - theirs).abs().max())


@pytest.mark.parametrize('width,scheme', [(1400, 'light'), (800, 'dark'), (390, 'light')])
def test_t_and_comparison(open_widget, width, scheme):
    page = open_widget(ScheduleExplorer(compare=('cosine',)), width, scheme)
    slider = page.get_by_role('slider', name='timestep t')
    mine, other, before = big(page), big(page, 1), shown(page)
    slider.press('ArrowRight'); wait(page, before)
    assert big(page) != mine and big(page, 1) != other # both move together
    page.get_by_role('combobox', name='schedule').select_option('cosine')
    page.wait_for_selector('[data-shown^="cosine:"]')
    assert big(page) == big(page, 1) # the same schedule, the same noise, the same picture
    assert page.get_by_role('slider', name='first β').is_disabled()
    page.get_by_role('button', name='Clear').click(); page.wait_for_selector('[data-shown$=":0"]')
    assert page.locator('[aria-label="the picture at timestep t"]').count() == 1
    for name in ('flow', 'sigmoid', 'linear', 'scaled_linear'):
        page.get_by_role('combobox', name='schedule').select_option(name)
        page.get_by_role('button', name='Keep for comparison').click()
    page.wait_for_selector('[data-shown$=":3"]') # no more than three


def test_a_drag_is_answered_at_once(open_widget):
    "Within the event itself: nothing is waited for."
    page = open_widget(ScheduleExplorer(compare=('cosine', 'flow')))
    answers = page.evaluate("""() => { const i = document.querySelector('input[aria-label="timestep t"]'), c = document.querySelector('[aria-label="the picture at timestep t"]'), all = [];
        for (let k = 0; k < 15; k++) { i.value = 100 + 50 * k; i.dispatchEvent(new Event('input')); all.push(c.toDataURL()); }
        return all }""")
    assert len(set(answers)) == 15


def test_python_and_page_share_the_settings(open_widget):
    widget = ScheduleExplorer()
    page = open_widget(widget)
    page.get_by_role('slider', name='timesteps T').press('Home'); page.wait_for_selector('[data-shown="linear:0:1"], [data-shown="linear:1:1"]')
    page.wait_for_function(f"() => {ROOT}.numbers.alpha.length === 2")
    page.get_by_role('slider', name='last β').press('Home') # below the first one it may not go
    page.get_by_role('slider', name='first β').press('End')
    page.wait_for_function(f"() => {ROOT}.numbers.beta.every(b => b > 0 && b < 1)")
    widget.settings = schedule_settings('sigmoid', 100)
    page.wait_for_function(f"() => {ROOT}.numbers.alpha.length === 100 && {ROOT}.dataset.shown.startsWith('sigmoid')")
    assert page.get_by_role('combobox', name='schedule').input_value() == 'sigmoid'
