"""A real Chromium for the widgets: alone in a page served by `dit_edu.widgets.serve`, and in JupyterLab.

Skipped where no Chromium is installed (apt-get install chromium, pip install playwright); .ci/run installs both.
Screenshots go to $DIT_EDU_SHOTS, if that is set.
"""
import os
import shutil

import pytest
import torch

from shots import shot

CHROMIUM = os.environ.get('CHROMIUM') or shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']


@pytest.fixture(scope='session')
def chromium():
    if os.environ.get('DIT_EDU_BROWSER') == 'required':
        assert CHROMIUM, 'no chromium on this machine'
        import playwright.sync_api as play
    else:
        if CHROMIUM is None: pytest.skip('no chromium on this machine')
        play = pytest.importorskip('playwright.sync_api')
    with play.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope='session')
def pipe():
    "The model that ships."
    from dit_edu.pipeline import load_pretrained
    torch.set_num_threads(2)
    return load_pretrained(device='cpu')


@pytest.fixture
def open_widget(chromium, request):
    "open_widget(widget, width=1400, scheme='light') -> a page that shows it; fails at the end on any console error or outside request."
    from dit_edu.widgets.base import serve
    opened, trouble = [], []

    def open_(widget, width=1400, scheme='light', height=900, wait='[data-shown]'):
        server = serve(widget, block=False, show=False)
        here = f'http://127.0.0.1:{server.server_port}/'
        page = chromium.new_page(viewport=dict(width=width, height=height), color_scheme=scheme)
        page.set_default_timeout(20_000)
        page.on('console', lambda m: m.type == 'error' and trouble.append(f'console: {m.text}'))
        page.on('pageerror', lambda e: trouble.append(f'page: {e}'))
        page.on('request', lambda r: r.url.startswith((here, 'blob:', 'data:')) or trouble.append(f'request to {r.url}'))
        widget.listeners.append(lambda content, buffers: 'error' in content and not getattr(page, 'errors_wanted', False) and trouble.append(f"kernel: {content['error']}"))
        page.goto(here)
        page.wait_for_selector(wait, timeout=60_000)
        opened.append((page, server, widget))
        return page

    yield open_
    for page, server, widget in opened:
        shot(page, f'{request.node.name}-{page.viewport_size["width"]}')
        assert page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth'), 'the page is wider than the window'
        page.close(); server.ended = True; server.shutdown(); widget.close()
    assert not trouble, trouble
