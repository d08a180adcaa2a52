"What the browser tests do as a person does it, and what they see."
import os
from pathlib import Path

PIXELS = """i => { const c = document.querySelectorAll('.dw canvas:not(.smooth)')[i]; return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data) }"""


def shot(page, name):
    "A screenshot, kept where CI asks for it."
    if folder := os.environ.get('DIT_EDU_SHOTS'):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder)/f'{name}.png'), full_page=True)


def drag(page, slider, to):
    "Take the thumb with the mouse and drag it; `to` goes from 0, the left end, to 1."
    slider.scroll_into_view_if_needed()
    box, low, high, now = slider.bounding_box(), *(float(slider.get_attribute(k) or d) for k, d in (('min', 0), ('max', 100))), float(slider.input_value())
    x, y = (lambda part: box['x'] + 8 + (box['width'] - 16) * part), box['y'] + box['height'] / 2
    begin = (now - low) / (high - low)
    page.mouse.move(x(begin), y); page.mouse.down()
    for k in range(1, 6): page.mouse.move(x(begin + (to - begin) * k / 5), y)
    page.mouse.up()


def pixels(page, which): return page.evaluate(PIXELS, which) # of the picture with this number
def apart(a, b): return sum(abs(x - y) for x, y in zip(a, b)) / len(a)
def edges(page, which): # how strong the strongest hundredth of the edges is: a blur has weak ones
    p = pixels(page, which)
    return sorted(abs(a - b) for a, b in zip(p[4:], p))[-len(p) // 100]
