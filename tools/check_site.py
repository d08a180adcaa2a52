"""Check the site in _docs/ as a reader meets it:  python tools/check_site.py [--no-browser] [--shots FOLDER]

First the files: links and anchors, images, errors on display, directives and maths that nobody rendered, widgets shown as
plain text, and every public name on its reference page. Then a headless Chromium, which may talk to this machine only, opens
every page: no console error, no request elsewhere, no overflow at 1400 and at 390 px, all maths set. Lists what is wrong; exit code 1.
"""
import argparse, functools, http.server, json, os, re, shutil, signal, subprocess, sys, threading, time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = (1400, 390)
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
NOT_PROSE = {"code", "pre", "script", "style", "textarea", "svg", "math"}
IN_PROSE = { # what must not be left in text that people read
    "unrendered directive": re.compile(r"^\s*(#\|.*|:::+.*)$|\{\{<.*?>\}\}", re.M),
    "raw maths": re.compile(r"(?<![\\\w$])\$(?=[^\s$])[^$\n]{0,200}?[^\s$\\]\$(?!\w)|\$\$"),
    "unrendered link": re.compile(r"\]\((?:https?:|[\w./-]+\.(?:ipynb|html|md))"),
}
IN_CODE = {
    "unrendered directive": re.compile(r"^#\|.*$", re.M),
    "error on display": re.compile(r"^Traceback \(most recent call last\)", re.M),
}
IN_OUTPUT = {
    "widget shown as text": re.compile(r"^(?:interactive|[HV]Box|Tab|Accordion|Output|GridBox|\w*Slider|Dropdown|Button|Image)\((?:children=|value=|description=|options=|layout=|\))", re.M),
    "bare object": re.compile(r"^<.*\bobject at 0x[0-9a-f]+>$", re.M),
}


class Page(HTMLParser):
    "Ids, links, images, and text, told apart by where it stands."
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.stack, self.ids, self.links, self.images, self.files, self.mute = [], set(), [], [], [], 0
        self.prose, self.code, self.output, self.classes = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = {k: v or "" for k, v in attrs}
        self.classes.update(a.get("class", "").split())
        if "id" in a: self.ids.add(a["id"])
        if tag == "a" and "name" in a: self.ids.add(a["name"])
        if tag == "a" and "href" in a: self.links.append(a["href"])
        if tag in ("img", "video", "audio", "source", "iframe") and "src" in a: self.images.append(a["src"])
        elif tag == "img": self.images.append("")
        if tag == "img" and not a.get("alt") and any("cell-output" in c for _, c in self.stack): self.mute += 1
        if tag == "script" and "src" in a: self.files.append(a["src"])
        if tag == "link" and a.get("rel") in ("stylesheet", "icon", "preload", "modulepreload"): self.files.append(a.get("href", ""))
        if tag not in VOID: self.stack.append((tag, a.get("class", "")))

    def handle_endtag(self, tag):
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i][0] == tag: del self.stack[i:]; break

    def handle_data(self, data):
        tags, classes = {t for t, _ in self.stack}, " ".join(c for _, c in self.stack)
        if tags & {"script", "style"} or "math" in classes.split(): return
        if "pre" in tags:
            self.code.append(data)
            if "cell-output" in classes: self.output.append(data)
        elif not tags & NOT_PROSE: self.prose.append(data)


def read(site: Path) -> dict[str, Page]:
    return {p.relative_to(site).as_posix(): Page(p.read_text(encoding="utf8")) for p in sorted(site.rglob("*.html"))}


def target(site: Path, page: str, href: str) -> tuple[str, str] | None:
    "Where a link leads within the site: (file, anchor); None when it leaves the site."
    u = urlsplit(href)
    if u.scheme or u.netloc: return None
    path = (site/page).parent/unquote(u.path) if u.path else site/page
    if u.path.endswith("/") or path.is_dir(): path = path/"index.html"
    return os.path.relpath(path, site).replace(os.sep, "/"), unquote(u.fragment)


def check_files(site: Path, pages: dict[str, Page]) -> tuple[list[str], dict]:
    wrong, count = [], dict(pages=len(pages), links=0, anchors=0, outside=0, images=0)
    for name, p in pages.items():
        for href in p.links:
            to = target(site, name, href)
            if to is None: count["outside"] += not href.startswith(("mailto:", "javascript:", "data:")); continue
            file, anchor = to
            count["links"] += 1
            if not (site/file).is_file(): wrong.append(f"{name}: broken link {href}")
            elif anchor and file in pages:
                count["anchors"] += 1
                if anchor not in pages[file].ids and anchor != "top": wrong.append(f"{name}: {href} leads to no such place on {file}")
        for src in p.images:
            count["images"] += 1
            if src.startswith("data:"):
                if len(src) < 40: wrong.append(f"{name}: an empty picture")
            elif (to := target(site, name, src)) is None: wrong.append(f"{name}: picture from another machine: {src[:100]}")
            elif not src or not (site/to[0]).is_file(): wrong.append(f"{name}: missing picture {src[:100]}")
        if p.mute: wrong.append(f"{name}: {p.mute} figures say nothing to who cannot see them: give their cells a `#| fig-cap: '...'`, their <img> an alt")
        for src in p.files:
            if (to := target(site, name, src)) is None: wrong.append(f"{name}: file from another machine: {src[:100]}")
            elif not (site/to[0]).is_file(): wrong.append(f"{name}: missing file {src[:100]}")
        if "cell-output-error" in p.classes: wrong.append(f"{name}: error on display")
        for where, rules in (("prose", IN_PROSE), ("code", IN_CODE), ("output", IN_OUTPUT)):
            text = "\n".join(getattr(p, where)) if where != "prose" else "".join(p.prose)
            for what, rule in rules.items():
                wrong += [f"{name}: {what}: {m.group(0).strip()[:80]!r}" for m in list(rule.finditer(text))[:5]]
        if name not in ("404.html", "index.html") and not {"nav-page-previous", "nav-page-next"} & p.classes: wrong.append(f"{name}: no previous or next page (is it in the sidebar of _quarto.yml?)")
    if not (site/"search.json").is_file(): wrong.append("search.json is missing")
    return wrong, count


def check_notebooks() -> list[str]:
    wrong = []
    for nb in sorted((ROOT/"nbs").rglob("*.ipynb")):
        if any(part[0] in "._" for part in nb.relative_to(ROOT/"nbs").parts): continue
        for i, cell in enumerate(json.loads(nb.read_text(encoding="utf8"))["cells"]):
            if any(o["output_type"] == "error" for o in cell.get("outputs", [])): wrong.append(f"{nb.relative_to(ROOT)}: cell {i} ends in an error")
    return wrong


def check_reference(pages: dict[str, Page]) -> tuple[list[str], int]:
    "Every name in a module's __all__ has its place on the module's reference page."
    sys.path.insert(0, str(ROOT))
    from dit_edu._site import Module, homes, reference_page
    wrong, count = [], 0
    for mod in homes():
        page = reference_page(mod).replace(".md", ".html")
        for n in Module(mod).public:
            if n.startswith("_"): continue
            count += 1
            if page not in pages or n.lower() not in pages[page].ids: wrong.append(f"{page}: {mod}.{n} is missing")
    return wrong, count


MEASURE = """() => {
  const root = document.documentElement, wide = [];
  if (root.scrollWidth > root.clientWidth)
    for (const e of document.querySelectorAll('body *')) {
      const r = e.getBoundingClientRect();
      if (r.width && r.right > root.clientWidth + 1 && wide.length < 3 && !e.closest('#quarto-sidebar'))
        wide.push(e.tagName.toLowerCase() + (e.className && e.className.split ? '.' + e.className.split(' ').join('.') : '') + ' to ' + Math.round(r.right) + ' px: ' + e.textContent.trim().slice(0, 40));
    }
  return {over: root.scrollWidth - root.clientWidth, wide,
          maths: [...document.querySelectorAll('span.math')].length, unset: [...document.querySelectorAll('span.math')].filter(m => !m.querySelector('.katex')).map(m => m.textContent.slice(0, 60)),
          bad: [...document.querySelectorAll('.katex-error')].map(m => m.title.slice(0, 120)),
          broken: [...document.images].filter(i => i.complete && !i.naturalWidth && i.getAttribute('src')).map(i => i.src.slice(0, 80))};
}"""


def browse(site: Path, names: list[str], chromium: str, shots: Path | None):
    "Open each page at both widths; yields what was found on each. Runs in a process of its own, see check_browser."
    from playwright.sync_api import Error, sync_playwright
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *a): pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}/"
    wrong, asked = [], []

    def gate(route):
        asked.append(route.request.url)
        if route.request.url.startswith(here): route.continue_()
        else: wrong.append(f"asked another machine for {route.request.url[:100]}"); route.abort()

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        context = browser.new_context(viewport=dict(width=WIDTHS[0], height=900), color_scheme="light")
        context.set_default_timeout(60_000)
        context.route(re.compile("^https?:"), gate)
        page = context.new_page()
        page.on("console", lambda m: m.type == "error" and wrong.append(f"console: {m.text[:200]}"))
        page.on("pageerror", lambda e: wrong.append(f"script: {str(e)[:200]}"))
        page.on("response", lambda r: r.status >= 400 and wrong.append(f"{r.status} for {r.url.removeprefix(here)[:100]}"))
        for name in names:
            wrong.clear(); asked.clear(); m = {}
            try:
                if name == USE: wrong += use(page, here)
                else:
                    page.set_viewport_size(dict(width=WIDTHS[0], height=900))
                    page.goto(here + name, wait_until="load")
                    for width in WIDTHS:
                        page.set_viewport_size(dict(width=width, height=900))
                        if shots: page.wait_for_timeout(400) # the sidebar slides away
                        m = page.evaluate(MEASURE)
                        if m["over"] > 0: wrong.append(f"{m['over']} px too wide at {width} px: {'; '.join(m['wide'])}")
                        if shots: page.screenshot(path=str(shots/f"{name.replace('/', '-').removesuffix('.html')}-{width}.png"))
                    if m["unset"]: wrong.append(f"{len(m['unset'])} formulas not set: {m['unset'][0]}")
                    wrong += [f"formula: {b}" for b in m["bad"][:3]] + [f"picture not shown: {b}" for b in m["broken"]]
            except Error as e: wrong.append(str(e).splitlines()[0])
            yield dict(page=name, wrong=[f"{name}: {w}" for w in wrong], maths=m.get("maths", 0), requests=len(asked))
        browser.close()


USE = "search and dark mode"


def check_browser(site: Path, names: list[str], chromium: str, shots: Path | None, patience: int = 150) -> tuple[list[str], dict]:
    "Have the pages opened by another process. One that says nothing for too long is ended, and its page tried once more."
    left, tries, wrong, count = [*names, USE], {}, [], dict(opened=0, maths=0, requests=0)
    while left:
        order = json.dumps(dict(site=str(site), names=left, chromium=chromium, shots=shots and str(shots)))
        worker = subprocess.Popen([sys.executable, __file__, "--worker", order], stdout=subprocess.PIPE, text=True, start_new_session=True)
        def end(pid=worker.pid):
            try: os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError: pass
        def watch(): t = threading.Timer(patience, end); t.daemon = True; t.start(); return t
        dog = watch()
        for line in worker.stdout:
            dog.cancel(); dog = watch()
            seen = json.loads(line)
            left.remove(seen["page"])
            wrong += seen["wrong"]; count["maths"] += seen["maths"]; count["requests"] += seen["requests"]; count["opened"] += seen["page"] != USE
        dog.cancel(); worker.wait()
        if left:
            tries[left[0]] = tries.get(left[0], 0) + 1
            if tries[left[0]] > 1: wrong.append(f"{left[0]}: the browser broke down twice"); left.pop(0)
    return wrong, count


def use(page, here) -> list[str]:
    "What a reader does with any page: look something up, turn the lights off."
    wrong = []
    page.set_viewport_size(dict(width=WIDTHS[0], height=900))
    page.goto(here + "index.html", wait_until="load")
    dark = lambda: page.evaluate("document.documentElement.classList.contains('quarto-dark')")
    before = dark()
    page.locator(".quarto-color-scheme-toggle:visible").first.click(); page.wait_for_timeout(300)
    if dark() == before: wrong.append("the dark mode toggle does nothing")
    page.keyboard.press("/"); page.wait_for_timeout(300)
    page.keyboard.type("classifier-free guidance"); page.wait_for_timeout(1500)
    if not page.locator("a[href*='guidance.html']:visible").count(): wrong.append("search does not find the guidance page")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, default=ROOT/"_docs")
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--pages", nargs="*", help="open only these in the browser, e.g. dit.html")
    parser.add_argument("--shots", type=Path, help="put a picture of every page there, at both widths")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        o = json.loads(args.worker)
        for seen in browse(Path(o["site"]), o["names"], o["chromium"], o["shots"] and Path(o["shots"])): print(json.dumps(seen), flush=True)
        sys.exit()
    start = time.perf_counter()
    if not (args.site/"index.html").is_file(): sys.exit(f"There is no site in {args.site}; build it first: python tools/build_site.py")
    pages = read(args.site)
    wrong, count = check_files(args.site, pages)
    missing, count["names"] = check_reference(pages)
    wrong += missing + check_notebooks()
    files_done = time.perf_counter()
    said = f"{count['pages']} pages, {count['links']} links ({count['anchors']} to a place on a page; {count['outside']} more lead elsewhere and are not tried), {count['images']} pictures, {count['names']} names in the reference"
    if not args.no_browser:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if not chromium: sys.exit("There is no Chromium to open the pages with: apt-get install chromium, set CHROMIUM=/path/to/it, or use --no-browser.")
        if args.shots: args.shots.mkdir(parents=True, exist_ok=True)
        more, seen = check_browser(args.site, args.pages or list(pages), chromium, args.shots)
        wrong += more
        said += f"; {seen['opened']} pages opened at {' and '.join(map(str, WIDTHS))} px, {seen['maths']} formulas set, {seen['requests']} requests, all to this machine" if not any('another machine' in w for w in wrong) else ""
    for w in dict.fromkeys(wrong): print(w)
    print(f"site: {said}; {len(set(wrong))} problems; files {files_done - start:.0f} s, browser {time.perf_counter() - files_done:.0f} s")
    sys.exit(bool(wrong))
