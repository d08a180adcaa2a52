"""What a notebook goes through to become a page of the docs site. Only for building it: needs nbdev, and nothing else imports it.

nbdev calls `Lesson` for every notebook (`procs` in settings.ini), whichever engine renders afterwards.
`python -m dit_edu._site` then writes one reference page per module (`pre-render` in _quarto.yml).
"""
import ast, io, json, os, re, sys, textwrap, tokenize
from functools import cache
from pathlib import Path, PurePosixPath

import yaml
from execnb.nbio import mk_cell, read_nb
from nbdev.config import get_config
from nbdev.doclinks import _nbpath2html
from nbdev.process import Processor

from dit_edu._modidx import d as modidx

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/"nbs"
FENCE = re.compile(r"^\s*(```|~~~)")
CAPTION = re.compile(r"^#\| fig-cap: (.+)$", re.M)
CODE_WORD = re.compile(r"(?<![\[`\w])`([A-Za-z_0-9][\w.]*)(\(\))?`(?![`\]])")


# ---------------------------------------------------------------- what there is to link to

@cache
def notebooks() -> dict[str, PurePosixPath]:
    "Every notebook below nbs/: its name, and the page nbdev makes of it (02_patchify.ipynb becomes patchify.html)."
    paths = sorted(p.relative_to(NBS) for p in NBS.rglob("*.ipynb") if not any(s[0] in "._" for s in p.relative_to(NBS).parts))
    return {p.as_posix(): PurePosixPath(_nbpath2html(p).as_posix()) for p in paths}


@cache
def homes() -> dict[str, str]:
    "Module -> the notebook it is exported from, read from the module's own first lines."
    found = {}
    for mod in modidx["syms"]:
        text = (ROOT/(mod.replace(".", "/") + ".py")).read_text(encoding="utf8")
        if m := re.search(r"File to edit: (?:\.\./)+nbs/(.+?\.ipynb)", text): found[mod] = m.group(1)
    return found


@cache
def names() -> dict[str, tuple[str, str]]:
    "A public name as prose writes it (`VAE.encode`) -> (notebook, anchor). Names that two modules share are left out."
    found, twice = {}, set()
    for mod, syms in modidx["syms"].items():
        for full in syms:
            name = full.removeprefix(mod + ".")
            if any(part.startswith("_") for part in name.split(".")) or mod not in homes(): continue
            if name in found: twice.add(name)
            found[name] = (homes()[mod], name.lower())
    methods = {k.rsplit(".", 1)[1] for k in found if "." in k}
    return {k: v for k, v in found.items() if k not in twice | methods} # `encode` alone may be anybody's


def relative(target: str, page: str) -> str:
    "A link from one page below nbs/ to another."
    return PurePosixPath(os.path.relpath(target, PurePosixPath(page).parent)).as_posix()


def link_words(text: str, page: str) -> str:
    "Backticked public names link to the cell that defines them, backticked notebook names to their pages; once per cell."
    seen, lines, fenced = set(), text.split("\n"), False
    stems = {PurePosixPath(nb).stem: nb for nb in notebooks()}

    def link(m):
        word = m.group(1)
        if word in seen: return m.group(0)
        if word in stems and word[0].isdigit() and stems[word] != page: to, label = stems[word], word.split("_", 1)[1]
        elif word in names() and names()[word][0] != page: to, label = "#".join(names()[word]), m.group(0)
        else: return m.group(0)
        seen.add(word)
        nb, _, anchor = to.partition("#")
        return f"[{label}]({relative(nb, page)}{'#' + anchor if anchor else ''})"

    for i, line in enumerate(lines):
        if FENCE.match(line): fenced = not fenced
        elif not fenced and not line.startswith(("#", "    ", "<")) and "](" not in line.split("`")[0][-1:]: lines[i] = CODE_WORD.sub(link, line)
    return "\n".join(lines)


# ---------------------------------------------------------------- one notebook, one page

def defined(source: str) -> list[str]:
    "Public names that a cell defines at top level; `DiT.save` for a method that @patch adds."
    out = []
    for node in ast.parse(source).body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)): out.append(f"{owner}.{node.name}" if (owner := patched_class(node)) else node.name)
        elif isinstance(node, ast.Assign): out += [t.id for t in node.targets if isinstance(t, ast.Name) and t.id.isupper()]
    return [n for n in out if not any(part.startswith("_") for part in n.split("."))]


def patched_class(node) -> str | None:
    "The class that fastcore's @patch adds this function to: the annotation of its first parameter."
    if not isinstance(node, FUNCTIONS) or not any("patch" in ast.unparse(d) for d in node.decorator_list) or not node.args.args: return None
    kind = node.args.args[0].annotation
    return ast.unparse(kind).split(".")[-1] if kind else None


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def only_imports(source: str) -> bool:
    try: body = ast.parse(source).body
    except SyntaxError: return False
    return bool(body) and all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in body)


def needs(cells, page: str) -> list[str]:
    "The notebooks whose modules this one's exported cells import, in the order of the book."
    found = set()
    for c in cells:
        if c.cell_type != "code" or "export" not in c.directives_: continue
        for mod in re.findall(r"^\s*from (dit_edu\.[\w.]+) import", c.source, re.M):
            if mod in homes() and homes()[mod] != page: found.add(homes()[mod])
    return sorted(found)


def minutes(cells) -> int:
    "Reading time: 200 words a minute, 4 s for a line of code, 15 s for a picture."
    seconds = 0
    for c in cells:
        if c.cell_type == "markdown": seconds += len(c.source.split())*.3
        elif c.cell_type == "code":
            seconds += 4*len([l for l in c.source.split("\n") if l.strip()])
            seconds += 15*sum("image/png" in str(o.get("data", {}).keys()) for o in c.get("outputs", []))
    return max(1, round(seconds/60))


def facts(cells, page: str) -> str:
    "The line under a page's title: how long, what first, and where to run it."
    cfg, bits = get_config(), [f"{minutes(cells)} min to read"]
    first = [f"[{PurePosixPath(nb).stem.split('_', 1)[-1]}]({relative(nb, page)})" for nb in needs(cells, page)]
    if first: bits.append("builds on " + ", ".join(first))
    if any(c.cell_type == "code" for c in cells):
        bits.append(f'[open in Colab](https://colab.research.google.com/github/{cfg.user}/{cfg.repo}/blob/{cfg.branch}/nbs/{page}){{title="First cell there: %pip install -q git+{cfg.git_url}"}}')
        bits.append(f'<a href="{relative("notebooks/" + page, page)}" download>download notebook</a>') # raw, so that no engine takes it for a page
    bits.append(f"[edit this page]({cfg.git_url}/edit/{cfg.branch}/nbs/{page})")
    return "::: {.page-facts}\n" + " · ".join(bits) + "\n:::"


def reference_page(mod: str) -> str: return f"reference/{mod.removeprefix('dit_edu.').replace('.', '_')}.md"


DOORS = """:::: {.doors}
::: {.door}
[Read](00_core.ipynb)

Nothing to install. Twenty-odd pages, each with one idea, its code, its picture and its proof. New here? Begin with [an image is a sequence](02_patchify.ipynb).
:::
::: {.door}
[Step through](tutorials/avatars_cpu.ipynb)

Every page is a notebook that runs on a laptop. `dit_edu lab` opens them all; each page's first line opens or downloads just that one.
:::
::: {.door}
[Play](widgets/denoising.ipynb)

Drag a slider and see what the network believes at every timestep, [on this site](19_widgets.ipynb) or, with the model at work, by `dit_edu demo`.
:::
::::"""


def open_details(text: str) -> str:
    "Maths and code inside <details> are only set when the tags stand on lines of their own."
    return re.sub(r"(?<=\S)[ \t]*</details>", "\n\n</details>", re.sub(r"</summary>[ \t]*(?=\S)", "</summary>\n\n", text))


def landing(text: str) -> str:
    "README's text with the doors, with the moving picture as a picture (its caption is the line below it), and with pages of its own for links."
    text = re.sub(rf"\({get_config().git_url}/blob/\w+/nbs/([\w/]+\.ipynb)\)", r"(\1)", text)
    text = re.sub(r"^!\[(.*?)\]\((.*?)\)$", r'<img src="\2" alt="\1" class="moving">', text, flags=re.M)
    return text.replace("\n## ", f"\n{DOORS}\n\n## ", 1)


def spoken(m) -> str:
    "A cell's caption, or its list of captions, followed by the same as alternative text."
    said = yaml.safe_load(m.group(1))
    return f"{m.group(0)}\n#| fig-alt: {json.dumps(said if isinstance(said, str) else ' '.join(said), ensure_ascii=False)}"


def one_stream(outputs):
    "What a cell prints in several gulps is one text."
    out = []
    for o in outputs:
        if out and o["output_type"] == out[-1]["output_type"] == "stream" and o["name"] == out[-1]["name"]:
            out[-1]["text"] = "".join(out[-1]["text"]) + "".join(o["text"])
        else: out.append(o)
    return out


class Lesson(Processor):
    "Shows exported code where it is explained, gives every public name an anchor, links names, and says how long the page takes."
    def begin(self):
        nb = self.nb
        page = Path(nb.path_).resolve().relative_to(NBS).as_posix()
        mod = next((m for m, home in homes().items() if home == page), None)
        cells, out, head = nb.cells, [], True
        for c in cells:
            if not hasattr(c, "directives_"): c.directives_ = {}
        for c in cells:
            if c.cell_type == "code": out += self.code(c, page, mod)
            else: # the front matter is a raw cell; the facts follow the first of the others
                if c.cell_type == "markdown" and c.source.startswith("<!-- WARNING"): c.source += "\n\n" + facts(cells, page)
                elif c.cell_type == "markdown": c.source = link_words(open_details(landing(c.source) if page == "index.ipynb" else c.source), page)
                out.append(c)
        nb.cells = out
        nb.metadata.pop("widgets", None)

    def code(self, c, page, mod):
        flags = c.directives_
        if "default_exp" in flags or "hide" in flags: return []
        for o in c.get("outputs", []): # a page has no kernel: the picture that stands beside the widget is shown
            data = o.get("data", {})
            if "text/html" in data or "image/png" in data: data.pop("application/vnd.jupyter.widget-view+json", None)
        if "outputs" in c: c.outputs = one_stream(c.outputs)
        c.source = CAPTION.sub(spoken, c.source) # who cannot see the figure hears its caption
        if only_imports(c.source): c.source = '#| code-fold: true\n#| code-summary: "imports"\n' + c.source
        if "gpu" in flags and not c.get("outputs"): return [mk_cell("*For a GPU; not run here:*", "markdown"), c]
        if not {"export", "exports"} & flags.keys() or mod is None: return [c]
        here = defined(c.source)
        if not here: return [c]
        inside = [s.removeprefix(mod + ".") for s in modidx["syms"][mod]]
        anchors = [s.lower() for s in inside if s in here or s.split(".")[0] in here]
        anchors += [n.lower() for n in here if n.lower() not in anchors]
        spans = "".join(f'<a id="{a}" class="name-anchor"></a>' for a in anchors)
        ref = relative(reference_page(mod), page)
        after = " · ".join(f"[`{n}`]({ref}#{n.lower()})" for n in here)
        return [mk_cell(f":::: {{.exported}}\n{spans}\n", "markdown"), c, mk_cell(f"::: {{.exported-note}}\nin the library: {after}\n:::\n::::", "markdown")]


# ---------------------------------------------------------------- the reference
# Read from the source itself, without importing it: importing torch takes longer than all the rest of the site.

class Module:
    "One module's source, parsed: its public names in order, with the comments that nbdev calls docments."
    def __init__(self, mod: str):
        self.mod, self.path = mod, ROOT/(mod.replace(".", "/") + ".py")
        self.text = self.path.read_text(encoding="utf8")
        self.tree = ast.parse(self.text)
        self.comments = {t.start[0]: t.string.lstrip("# ").strip() for t in tokenize.generate_tokens(io.StringIO(self.text).readline) if t.type == tokenize.COMMENT}
        self.doc = (ast.get_docstring(self.tree) or "").split("\n")[0]
        self.public, self.defs, self.constants, self.patched = [], {}, {}, {}
        for node in self.tree.body:
            if isinstance(node, FUNCTIONS) and (owner := patched_class(node)): self.patched.setdefault(owner, []).append(node)
            elif isinstance(node, (*FUNCTIONS, ast.ClassDef)): self.defs[node.name] = node
            elif isinstance(node, ast.Assign):
                for t in node.targets:
                    if isinstance(t, ast.Name) and t.id == "__all__": self.public = ast.literal_eval(node.value)
                    elif isinstance(t, ast.Name): self.constants[t.id] = node

    def members(self, cls) -> list:
        own = [n for n in cls.body if isinstance(n, FUNCTIONS)] + self.patched.get(cls.name, [])
        return [n for n in own if not n.name.startswith("_")]

    def init(self, cls):
        return next((n for n in [*cls.body, *self.patched.get(cls.name, [])] if isinstance(n, FUNCTIONS) and n.name == "__init__"), None)

    def lines(self, node) -> tuple[int, int]:
        return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]), node.end_lineno

    def source(self, node) -> str:
        start, end = self.lines(node)
        return textwrap.dedent("\n".join(self.text.split("\n")[start - 1:end]))


def arguments(fn) -> list:
    "(name as written, type, default) of each parameter but self."
    a, out = fn.args, []
    plain = [*a.posonlyargs, *a.args]
    defaults = [None]*(len(plain) - len(a.defaults)) + a.defaults
    first = {"self", "cls"} | ({plain[0].arg} if plain and any("patch" in ast.unparse(d) for d in fn.decorator_list) else set())
    out += [(p, p.arg, d) for i, (p, d) in enumerate(zip(plain, defaults)) if not (i == 0 and p.arg in first)]
    if a.vararg: out.append((a.vararg, "*" + a.vararg.arg, None))
    elif a.kwonlyargs: out.append((None, "*", None))
    out += [(p, p.arg, d) for p, d in zip(a.kwonlyargs, a.kw_defaults)]
    if a.kwarg: out.append((a.kwarg, "**" + a.kwarg.arg, None))
    return out


def fields(cls) -> list:
    "The same for a class whose body lists its fields: a dataclass, or a section of the config."
    return [(n, n.target.id, n.value) for n in cls.body if isinstance(n, ast.AnnAssign) and not n.target.id.startswith("_")]


def signature(name, params) -> str:
    "The call as one would write it: names and defaults, no annotations, broken over lines when long."
    parts = [n + (f"={ast.unparse(d)}" if d is not None else "") for _, n, d in params]
    line = f"{name}({', '.join(parts)})"
    return line if len(line) < 76 else f"{name}(\n    " + ",\n    ".join(parts) + ")"


def cell_text(x: str) -> str: return re.sub(r"(?<![\w-])--[\w-]+", r"`\g<0>`", re.sub(r"([|<*_$\[\]])", r"\\\1", x)) # an option keeps its dashes
def cell_code(x: str) -> str: return "`" + x.replace("|", "\\|") + "`" if x else ""


def what_returns(m: Module, node) -> str:
    "The comment on the line that closes a signature."
    lines = m.text.splitlines()
    return next((m.comments[k] for k in range(node.lineno, node.body[0].lineno) if lines[k - 1].lstrip().startswith(")") and k in m.comments), m.comments.get(node.returns.end_lineno, "") if node.returns else "")


def parameters(m: Module, params, node=None) -> str:
    "The table of parameters, from the comment on each one's line; of a function, what it returns too."
    rows = [(cell_code(n), cell_text(m.comments.get(p.end_lineno, "")), cell_code(ast.unparse(p.annotation) if p.annotation else ""), cell_code(ast.unparse(d)) if d is not None else "")
            for p, n, d in params if p is not None]
    if node is not None:
        kind, what = ast.unparse(node.returns) if node.returns else "", what_returns(m, node)
        if kind not in ("", "None") or what: rows.append(("**returns**", cell_text(what), cell_code(kind), ""))
    if not rows: return ""
    return "| | meaning | type | default |\n|:--|:--|:--|:--|\n" + "\n".join("| " + " | ".join(r) + " |" for r in rows)


def message(node) -> str | None:
    "The sentence of `raise DitEduError(...)`, with … where values go."
    if isinstance(node, ast.Constant) and isinstance(node.value, str): return node.value
    if isinstance(node, ast.JoinedStr): return "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
    if isinstance(node, ast.BinOp): return (message(node.left) or "…") + (message(node.right) or "…")
    return None


def errors(m: Module, node, depth=2) -> list[str]:
    "The mistakes a function answers with a sentence; its private helpers' too."
    found = []
    for n in ast.walk(node):
        if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call) and getattr(n.exc.func, "id", "") == "DitEduError" and n.exc.args:
            if text := message(n.exc.args[0]): found.append(text)
        if depth > 1 and isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id.startswith("_") and n.func.id in m.defs:
            found += errors(m, m.defs[n.func.id], depth - 1)
    return list(dict.fromkeys(found))


def github(m: Module, node) -> str:
    cfg = get_config()
    return f"{cfg.git_url}/blob/{cfg.branch}/{m.path.relative_to(ROOT).as_posix()}#L{m.lines(node)[0]}"


def entry(m: Module, name: str, node, level=2) -> str:
    "One public name: what it does, its call, its parameters, its errors, its source."
    cls = isinstance(node, ast.ClassDef)
    fn = m.init(node) if cls else node
    params = arguments(fn) if fn else fields(node)
    is_property = not cls and any(ast.unparse(d) in ("property", "patch(as_prop=True)") for d in node.decorator_list)
    text = [f"{'#'*level} {name} {{#{name.lower()}}}", (ast.get_docstring(node) or "").split("\n\n")[0]]
    if is_property: text.append("A property." if node.returns is None else f"A property: {cell_code(ast.unparse(node.returns))} {cell_text(m.comments.get(node.returns.end_lineno, ''))}")
    else:
        if params or not cls: text.append(f"```python\n{signature(name, params)}\n```")
        text.append(parameters(m, params, None if cls else node))
    if wrong := errors(m, fn or node): text.append("**Errors** (`DitEduError`)\n\n" + "\n".join(f"- {cell_text(w)}" for w in wrong))
    text.append(f'<details class="source"><summary>Source</summary>\n\n```python\n{m.source(node)}\n```\n\n[on GitHub]({github(m, node)})\n\n</details>')
    if cls: text += [entry(m, f"{name}.{member.name}", member, level + 1) for member in m.members(node)]
    return "\n\n".join(t for t in text if t)


def reference(out: Path) -> int:
    "Write one page per module into out/, and an index of all names. Returns how many names."
    out.mkdir(parents=True, exist_ok=True)
    index, count = [], 0
    order = sorted(homes(), key=lambda mod: (mod.count("."), homes()[mod]))
    for mod in order:
        m, page = Module(mod), PurePosixPath(reference_page(mod)).name
        public = [n for n in m.public if not n.startswith("_")]
        if not public: continue
        count += len(public)
        title = re.search(r"^# (.+)", read_nb(NBS/homes()[mod]).cells[0].source, re.M).group(1)
        doc = (m.doc or title).replace('"', "'")
        parts = [f'---\ntitle: "{mod}"\ndescription: "{doc}"\n---',
            f"Explained, cell by cell, in [{title}](../{homes()[mod]}). This page is made from the code: signatures, the comments on their parameters, error messages."]
        for n in public:
            if n in m.defs: parts.append(entry(m, n, m.defs[n]))
            elif n in m.constants:
                code = m.source(m.constants[n])
                if len(code) > 1200: code = code[:1200].rsplit("\n", 1)[0] + "\n    …"
                parts.append(f"## {n} {{#{n.lower()}}}\n\n```python\n{code}\n```\n\n[on GitHub]({github(m, m.constants[n])})")
        (out/page).write_text("\n\n".join(parts) + "\n", encoding="utf8")
        index.append(f"## [{mod}]({page}) {{#{page.removesuffix('.md')}}}\n\n{m.doc}\n\n" + " · ".join(f"[`{n}`]({page}#{n.lower()})" for n in public))
    (out/"index.md").write_text('---\ntitle: "All names"\ndescription: "The reference: every public name, with shapes, units, errors and source"\n---\n\n'
        "Units everywhere: images `(b, 3, h, w)` in [-1, 1] inside, in [0, 1] for showing; `t` a whole number, 0 the cleanest; latents of variance 1. "
        "The symbols are on the [notation](../notation.ipynb) page.\n\n" + "\n\n".join(index) + "\n", encoding="utf8")
    return count


if __name__ == "__main__": # run in the folder of processed notebooks
    print(f"{reference(Path.cwd()/'reference')} names in the reference", file=sys.stderr)
