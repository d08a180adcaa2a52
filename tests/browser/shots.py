"Screenshots, kept where CI asks for them."
import os
from pathlib import Path


def shot(page, name):
    if folder := os.environ.get('DIT_EDU_SHOTS'):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder)/f'{name}.png'), full_page=True)
