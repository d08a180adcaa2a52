"""Build the docs site into _docs/ without Quarto:  python tools/build_site.py

Notebooks go through nbdev (proc_nbs, with dit_edu/_site.py), pages through smalldocs, a Quarto-like engine in
pure Python. Both read the same _quarto.yml, so `nbdev_docs` and `nbdev_preview` give the same site where Quarto is installed.

`--finish` is called by either engine when the pages are written (post-render in _quarto.yml): it brings KaTeX into
the site, so that reading needs no other machine, and puts the notebooks there for download.
"""
import argparse, contextlib, os, re, shutil, subprocess, sys, tarfile, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROC, DOCS = ROOT/"_proc", ROOT/"_docs"
VENDOR = {"katex": "0.16.22", "mermaid": "11.12.0"} # npm packages that pages may ask for
DEBIAN = {"katex": Path("/usr/share/javascript/katex")} # apt-get install libjs-katex
CDN = re.compile(r"https://cdn\.jsdelivr\.net/npm/(katex|mermaid)@[\d.]+/dist/")
FONTS = re.compile(r"@import\s*(?:url\()?[\"']?https://fonts[^;]*;")
UNREAD = re.compile(r"html-math-method|output-file is not read") # options for Quarto and nbdev that smalldocs says it doesn't read


def vendor(name: str) -> Path:
    "The dist folder of an npm package: from the cache, from npm, or from a Debian package."
    cache = Path(os.environ.get("DIT_EDU_CACHE") or Path.home()/".cache"/"dit_edu")/"npm"/f"{name}-{VENDOR[name]}"
    if (cache/"dist").is_dir(): return cache/"dist"
    if shutil.which("npm"):
        with tempfile.TemporaryDirectory() as tmp:
            done = subprocess.run(["npm", "pack", "--silent", f"{name}@{VENDOR[name]}"], cwd=tmp, capture_output=True, text=True)
            for tgz in Path(tmp).glob("*.tgz"):
                with tarfile.open(tgz) as t: t.extractall(tmp, [m for m in t.getmembers() if m.name.startswith("package/dist/") and m.isfile()], filter="data")
                half = cache/f"half-{os.getpid()}" # a copy that was cut off is not taken for a whole one
                shutil.copytree(Path(tmp)/"package"/"dist", half)
                with contextlib.suppress(OSError): half.rename(cache/"dist") # another process may have been first
                shutil.rmtree(half, ignore_errors=True)
                return cache/"dist"
            why = f"`npm pack {name}` failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
    else: why = "npm is not installed"
    if name in DEBIAN and DEBIAN[name].is_dir(): return DEBIAN[name]
    sys.exit(f"The pages need {name}, and {why}: install npm (or, for KaTeX, apt-get install libjs-katex) and run this again.")


def finish(out: Path):
    "Make the pages self-contained, and add the notebooks for download."
    used = set()
    for page in out.rglob("*.html"):
        text = page.read_text(encoding="utf8")
        up = "../"*len(page.relative_to(out).parent.parts)
        def local(m):
            used.add(m.group(1))
            return f"{up}site_libs/{m.group(1)}/"
        new = CDN.sub(local, text)
        if new != text: page.write_text(new, encoding="utf8")
    for name in used:
        src, to = vendor(name), out/"site_libs"/name
        if name == "mermaid": shutil.copytree(src, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.map"))
        else: # the four things that pages ask for; Debian has the last script under its long name only
            scripts = ["katex.min.js", "katex.min.css", "contrib/auto-render.min.js"]
            for f in [*scripts, *(f"fonts/{p.name}" for p in (src/"fonts").glob("*.woff2"))]:
                (to/f).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(src/f if (src/f).exists() else src/f.replace(".min", ""), to/f)
    for css in out.rglob("*.css"):
        text = css.read_text(encoding="utf8")
        if FONTS.search(text): css.write_text(FONTS.sub("", text), encoding="utf8")
    for nb in (ROOT/"nbs").rglob("*.ipynb"):
        where = nb.relative_to(ROOT/"nbs")
        if any(part[0] in "._" for part in where.parts): continue
        (out/"notebooks"/where).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(nb, out/"notebooks"/where)


def build(quiet=True) -> Path:
    "Notebooks to pages. Any warning of the engine, such as a broken link, is an error, but the pages are there to look at."
    from nbdev.serve import proc_nbs
    from smalldocs.config import load
    from smalldocs.site import Site
    start = time.perf_counter()
    proc_nbs(force=True, n_workers=0)
    processed = time.perf_counter()

    class NbdevSite(Site):
        "smalldocs, with nbdev's names of pages: 02_patchify.ipynb becomes patchify.html."
        def read(self, src):
            page = super().read(src)
            if name := page.front.get("output-file"): page.out = page.out.with_name(name)
            return page

    site = NbdevSite(load(PROC), quiet=quiet)
    count = site.build()
    shutil.rmtree(DOCS, ignore_errors=True)
    shutil.move(site.out, DOCS)
    if problems := [w for w in site.warnings if not UNREAD.search(w)]:
        where = {}
        for w in problems: where.setdefault(w.split(": ", 1)[-1], []).append(w.split(": ", 1)[0])
        sys.exit("\n".join(f"{what} ({pages[0]}{f' and {len(pages) - 1} more' if pages[1:] else ''})" for what, pages in where.items()))
    end = time.perf_counter()
    print(f"{count} pages in {DOCS.relative_to(ROOT)}/: {processed - start:.1f} s for the notebooks, {end - processed:.1f} s for the pages")
    return DOCS


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finish", action="store_true", help="only finish pages that an engine has just written")
    parser.add_argument("--serve", action="store_true", help="then show them on http://127.0.0.1:8000")
    args = parser.parse_args()
    if args.finish: # the engine says where its pages are, relative to the project's folder
        finish(Path(os.environ.get("QUARTO_PROJECT_OUTPUT_DIR", "_docs")).resolve())
    else:
        os.chdir(ROOT)
        build()
        if args.serve: subprocess.run([sys.executable, "-m", "http.server", "8000", "--bind", "127.0.0.1", "--directory", str(DOCS)])
