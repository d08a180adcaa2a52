"The docs site: what a notebook becomes, what the reference says, and that the check finds what it is there to find."
import importlib.util
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
pytest.importorskip("nbdev")
from dit_edu import _site


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("check_site", ROOT/"tools"/"check_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_in_backticks_become_links():
    link = lambda s: _site.link_words(s, "06_dit.ipynb")
    assert link("see `patchify` and `patchify` again") == "see [`patchify`](02_patchify.ipynb#patchify) and `patchify` again"
    assert link("as in `VAE.encode`") == "as in [`VAE.encode`](11_vae.ipynb#vae.encode)"
    assert link("you need `12_vae_gan`") == "you need [vae_gan](12_vae_gan.ipynb)"
    for same in ("```python\n`patchify`\n```", "## `patchify`", "[`patchify`](x.md)", "`no_such_name`", "`DiT` lives here"): assert link(same) == same
    assert _site.link_words("`patchify`", "widgets/race.ipynb") == "[`patchify`](../02_patchify.ipynb#patchify)"


def test_a_notebook_becomes_a_page():
    from execnb.nbio import read_nb
    from nbdev.processors import FilterDefaults
    nb = read_nb(ROOT/"nbs"/"02_patchify.ipynb")
    FilterDefaults()(nb)
    text = "\n".join(c.source for c in nb.cells)
    assert "output-file: patchify.html" in nb.cells[0].source
    assert "min to read" in text and "colab.research.google.com" in text and "download>" in text
    assert '<a id="patchify" class="name-anchor">' in text and "def patchify(" in text # shown, and to be linked to
    assert "reference/patchify.md#patchify" in text
    assert "default_exp" not in text and "#| export" not in text and "#| hide" not in text


def test_the_reference_says_shapes_errors_and_source(tmp_path):
    count = _site.reference(tmp_path)
    assert count == sum(not n.startswith("_") for m in _site.homes() for n in _site.Module(m).public)
    text = (tmp_path/"patchify.md").read_text()
    assert "images or latents, (b, c, h, w)" in text and "does not divide an image of" in text and "rearrange(x, " in text
    assert "| `num_classes` | 0 for an unconditional model | `int` | `1000` |" in (tmp_path/"dit.md").read_text() # __init__ of a class
    assert "## DiT.from_preset" in (tmp_path/"dit.md").read_text() # added by @patch


GOOD = '<html><body><div class="nav-page nav-page-next"></div><h2 id="here">x</h2><img src="p.png"><a href="b.html#here">b</a> costs $5 or $6 <pre>$x$ a</pre> <span class="math inline">\\(x\\)</span>{}</body></html>'
FAULTS = {
    '<a href="c.html">c</a>': "broken link", '<a href="b.html#gone">b</a>': "leads to no such place", '<a href="#gone">b</a>': "leads to no such place",
    '<img src="q.png">': "missing picture", '<img src="https://a.b/c.png">': "picture from another machine", '<img>': "missing picture",
    '<script src="https://cdn.x/y.js"></script>': "file from another machine", '<link rel="stylesheet" href="no.css">': "missing file",
    '<div class="cell-output-error"></div>': "error on display", "<pre>Traceback (most recent call last)\n</pre>": "error on display",
    "<pre>#| export\nx = 1</pre>": "unrendered directive", "<p>\n::: {.note}\n</p>": "unrendered directive", "<p>{{< include x >}}</p>": "unrendered directive",
    "<p>where $n = 3$ is</p>": "raw maths", "<p>$$x$$</p>": "raw maths",
    '<div class="cell-output"><pre>VBox(children=(IntSlider(value=0),))</pre></div>': "widget shown as text",
    '<div class="cell-output"><pre>&lt;dit_edu.dit.DiT object at 0x7f00&gt;</pre></div>': "bare object",
}


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_the_check_finds(check, tmp_path, fault):
    (tmp_path/"p.png").write_bytes(b"x"); (tmp_path/"search.json").write_text("[]")
    (tmp_path/"a.html").write_text(GOOD.format(fault)); (tmp_path/"b.html").write_text(GOOD.format(""))
    wrong, count = check.check_files(tmp_path, check.read(tmp_path))
    assert count["pages"] == 2
    if fault: assert wrong and all(FAULTS[fault] in w for w in wrong), wrong
    else: assert not wrong


def test_a_page_outside_the_sidebar_is_found(check, tmp_path):
    (tmp_path/"search.json").write_text("[]"); (tmp_path/"a.html").write_text("<html><body>x</body></html>")
    assert "no previous or next page" in check.check_files(tmp_path, check.read(tmp_path))[0][0]
