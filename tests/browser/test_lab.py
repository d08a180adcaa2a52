"""Each widget's notebook in JupyterLab, as a person opens it: run it, move a slider, no error anywhere."""
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from shots import apart, drag, pixels, edges, shot

pytestmark = pytest.mark.xdist_group('browser') # one browser at a time

nbs = Path(__file__).parents[2]/'nbs'/'widgets'
NOTEBOOKS = sorted(p.stem for p in nbs.glob('*.ipynb') if p.stem != 'base')
SETTINGS = {'@jupyterlab/notebook-extension/tracker.jupyterlab-settings': {'windowingMode': 'none'},
            '@jupyterlab/apputils-extension/notification.jupyterlab-settings': {'fetchNews': 'false', 'checkForUpdates': False},
            '@jupyterlab/docmanager-extension/plugin.jupyterlab-settings': {'autosave': False}}


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    "A JupyterLab of its own on 127.0.0.1, with copies of the notebooks: (address, folder)."
    pytest.importorskip('jupyterlab')
    root = tmp_path_factory.mktemp('lab')
    for name, content in SETTINGS.items():
        path = root/'settings'/name
        path.parent.mkdir(parents=True, exist_ok=True); path.write_text(json.dumps(content))
    shutil.copytree(nbs, root/'work')
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]
    own = {f'JUPYTER_{k}_DIR': str(root/k.lower()) for k in ('CONFIG', 'DATA', 'RUNTIME')}
    own |= dict(IPYTHONDIR=str(root/'ipython'), JUPYTERLAB_SETTINGS_DIR=str(root/'settings'), JUPYTERLAB_WORKSPACES_DIR=str(root/'workspaces'))
    log = open(root/'lab.log', 'w')
    p = subprocess.Popen([sys.executable, '-m', 'jupyterlab', '--no-browser', f'--port={port}', '--ip=127.0.0.1', '--allow-root', '--IdentityProvider.token=',
                          '--ServerApp.disable_check_xsrf=True', f'--ServerApp.root_dir={root/"work"}'], env={**os.environ, **own}, stdout=log, stderr=log)
    url = f'http://127.0.0.1:{port}'
    for _ in range(240):
        try: urllib.request.urlopen(f'{url}/api/status', timeout=5); break
        except OSError: time.sleep(.5)
    else: pytest.fail((root/'lab.log').read_text()[-2000:])
    yield url, root/'work'
    p.terminate(); p.wait(20)


def session(url, notebook): # Lab joins it; letting Lab start the kernel itself has hung now and then
    body = dict(path=notebook, type='notebook', name=notebook, kernel=dict(name='python3'))
    request = urllib.request.Request(f'{url}/api/sessions', json.dumps(body).encode(), {'Content-Type': 'application/json'})
    return json.load(urllib.request.urlopen(request))['kernel']['id']


def live_cells(path): # import and the cell that shows the widget live; the rest of the notebook is what test_notebooks runs
    nb = json.loads(path.read_text())
    text = lambda c: ''.join(c['source'])
    live = [text(c).replace('#| eval: false\n', '') for c in nb['cells'] if c['cell_type'] == 'code' and text(c).startswith('#| eval: false')]
    assert live, f'{path.name} has no live cell'
    write_notebook(path, ['from dit_edu.widgets import *\nfrom dit_edu.data import draw_avatar\nfrom dit_edu.pipeline import load_pretrained'] + live[:1])


def write_notebook(path, cells):
    make = lambda s: dict(cell_type='code', execution_count=None, id=f'c{abs(hash(s)) % 10**8}', metadata={}, outputs=[], source=s)
    path.write_text(json.dumps(dict(cells=[make(s) for s in cells], metadata=dict(kernelspec=dict(name='python3', display_name='Python 3')), nbformat=4, nbformat_minor=5)))


def run_all(page, url, name, kernel):
    page.goto(f'{url}/lab/workspaces/{name}/tree/{name}.ipynb') # a workspace of its own: Lab reopens the tabs of the last one
    page.wait_for_selector('.jp-Notebook .jp-Cell')
    for _ in range(240):
        state = json.load(urllib.request.urlopen(f'{url}/api/kernels/{kernel}'))
        if state['execution_state'] == 'idle' and state['connections'] > 0: break
        time.sleep(.25)
    page.locator('.jp-Notebook .jp-Cell').first.click()
    page.get_by_role('menuitem', name='Run', exact=True).click()
    page.get_by_text('Run All Cells', exact=True).click()


def kernel_ends(url, kernel): urllib.request.urlopen(urllib.request.Request(f'{url}/api/kernels/{kernel}', method='DELETE'))


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_in_jupyterlab(chromium, lab, name):
    url, work = lab
    live_cells(work/f'{name}.ipynb')
    kernel = session(url, f'{name}.ipynb')
    trouble = []
    page = chromium.new_page(viewport=dict(width=1400, height=1600))
    page.set_default_timeout(60_000)
    page.on('pageerror', lambda e: trouble.append(f'page: {e}'))
    page.on('console', lambda m: m.type == 'error' and 'Failed to load resource' not in m.text and trouble.append(f'console: {m.text}'))
    run_all(page, url, name, kernel)
    error = '.jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"], .jp-RenderedText[data-mime-type="application/vnd.jupyter.error"]'
    try: page.wait_for_selector(f'.dw, {error}', timeout=90_000)
    finally: shot(page, f'lab-{name}')
    assert page.locator(error).count() == 0, page.locator(error).first.inner_text()
    if (generate := page.locator('.dw').get_by_role('button', name='Generate')).count(): generate.click()
    page.wait_for_selector('.dw[data-shown], .dw [data-shown]', timeout=120_000) # computed and drawn
    if (sliders := page.locator('.dw input[type=range]:not(:disabled)')).count(): # drag one as a person does, and see something change
        page.wait_for_timeout(500)
        slider, before = sliders.first, page.locator('.dw').first.screenshot()
        value, low, high = (float(v) for v in (slider.input_value(), slider.get_attribute('min'), slider.get_attribute('max')))
        drag(page, slider, 1 if value < (low + high) / 2 else 0)
        page.wait_for_timeout(500)
        assert float(slider.input_value()) != value, 'dragging did not move the slider'
        assert page.locator('.dw').first.is_visible() and page.locator('.dw').first.screenshot() != before
    if name == 'denoising': # the x0 prediction: a blur at large t, the final image at small t
        drag(page, slider, 1); page.wait_for_timeout(300); early, soft = apart(pixels(page, 1), pixels(page, 2)), edges(page, 1)
        drag(page, slider, 0); page.wait_for_timeout(300); late, sharp = apart(pixels(page, 1), pixels(page, 2)), edges(page, 1)
        assert late < 1 and early > 10 * (late + .1) and soft < .85 * sharp, (early, late, soft, sharp)
    shot(page, f'lab-{name}')
    page.close(); kernel_ends(url, kernel)
    assert not trouble, trouble


def test_reloading_and_closing_a_page_is_noticed(chromium, lab):
    "Else the count of open views only grows, and the work of a widget that nobody sees never ends."
    url, work = lab
    write_notebook(work/'again.ipynb', ['''import threading, time
from pathlib import Path
from dit_edu.widgets import *
made = ScheduleExplorer()
def watch():
    while True: Path('views.txt').write_text(str(made.views)); time.sleep(.1)
threading.Thread(target=watch, daemon=True).start()''', 'made'])
    def views(n):
        for _ in range(150):
            if (now := (work/'views.txt').read_text() if (work/'views.txt').exists() else '') == str(n): return
            time.sleep(.1)
        pytest.fail(f'{now} views, should be {n}')
    kernel, page = session(url, 'again.ipynb'), chromium.new_page(viewport=dict(width=1400, height=1600))
    page.set_default_timeout(60_000); page.on('dialog', lambda d: d.accept())
    run_all(page, url, 'again', kernel)
    page.wait_for_selector('.dw'); views(1)
    page.keyboard.press('Control+s'); page.wait_for_timeout(2000)
    page.reload(); page.wait_for_selector('.dw')
    page.wait_for_timeout(3000); views(1) # restored, and counted once
    page.close(); views(0)
    kernel_ends(url, kernel)
