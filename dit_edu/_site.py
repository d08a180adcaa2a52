"""What a notebook goes through to become a page of the docs site. Only for building it: needs nbdev, and nothing else imports it.

nbdev calls `Lesson` for every notebook (`procs` in settings.ini), whichever engine renders afterwards.
`python -m dit_edu._site` then writes one reference page per module (`pre-render` in _quarto.yml).
"""
import ast, inspect, os, re, sys
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath

from execnb.nbio import mk_cell, read_nb
from fastcore.docments import docments
from nbdev.config import get_config
from nbdev.doclinks import _nbpath2html
from nbdev.process import Processor

from dit_edu._modidx import d as modidx

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/"nbs"
FENCE = re.compile(r"^\s*(```|~~~)")
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
    return {k: v for k, v in found.items() if k not in twice}


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
    "Public names that a cell defines at top level."
    out = []
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)): out.append(node.name)
        elif isinstance(node, ast.Assign): out += [t.id for t in node.targets if isinstance(t, ast.Name) and t.id.isupper()]
    return [n for n in out if not n.startswith("_")]


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
        bits.append(f'[download notebook]({relative("notebooks/" + page, page)}){{download="{PurePosixPath(page).name}"}}')
    bits.append(f"[edit this page]({cfg.git_url}/edit/{cfg.branch}/nbs/{page})")
    return "::: {.page-facts}\n" + " · ".join(bits) + "\n:::"


def reference_page(mod: str) -> str: return f"reference/{mod.removeprefix('dit_edu.').replace('.', '_')}.md"


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
                elif c.cell_type == "markdown": c.source = link_words(c.source, page)
                out.append(c)
        nb.cells = out
        nb.metadata.pop("widgets", None)

    def code(self, c, page, mod):
        flags = c.directives_
        if "default_exp" in flags or "hide" in flags: return []
        for o in c.get("outputs", []): # a page has no kernel: the picture that stands beside the widget is shown
            data = o.get("data", {})
            if "text/html" in data or "image/png" in data: data.pop("application/vnd.jupyter.widget-view+json", None)
        if only_imports(c.source): c.source = '#| code-fold: true\n#| code-summary: "imports"\n' + c.source
        if "gpu" in flags and not c.get("outputs"): return [mk_cell("*For a GPU; not run here:*", "markdown"), c]
        if not {"export", "exports"} & flags.keys() or mod is None: return [c]
        here = defined(c.source)
        if not here: return [c]
        anchors = [s.removeprefix(mod + ".").lower() for s in modidx["syms"][mod] if s.removeprefix(mod + ".").split(".")[0] in here]
        anchors += [n.lower() for n in here if n.lower() not in anchors]
        spans = "".join(f'<a id="{a}" class="name-anchor"></a>' for a in anchors)
        ref = relative(reference_page(mod), page)
        after = " · ".join(f"[`{n}`]({ref}#{n.lower()})" for n in here)
        return [mk_cell(f":::: {{.exported}}\n{spans}\n", "markdown"), c, mk_cell(f"::: {{.exported-note}}\nin the library: {after}\n:::\n::::", "markdown")]


# ---------------------------------------------------------------- the reference

def message(node) -> str | None:
    "The sentence of `raise DitEduError(...)`, with … where values go."
    if isinstance(node, ast.Constant) and isinstance(node.value, str): return node.value
    if isinstance(node, ast.JoinedStr): return "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
    if isinstance(node, ast.BinOp): return (message(node.left) or "…") + (message(node.right) or "…")
    return None


def errors(obj, module, depth=2) -> list[str]:
    "The mistakes a function answers with a sentence; its private helpers' too."
    try: tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(obj)))
    except (OSError, TypeError, SyntaxError, IndentationError): return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and getattr(node.exc.func, "id", "") == "DitEduError" and node.exc.args:
            if text := message(node.exc.args[0]): found.append(text)
        if depth > 1 and isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("_"):
            helper = getattr(module, node.func.id, None)
            if inspect.isfunction(helper): found += errors(helper, module, depth - 1)
    return list(dict.fromkeys(found))


def cell_text(x) -> str: return str(x).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("$", "\\$")


def type_name(x) -> str:
    if x is inspect.Parameter.empty or x is None: return ""
    return getattr(x, "__name__", None) if inspect.isclass(x) and not getattr(x, "__args__", None) else str(x).replace("typing.", "")


def parameters(fn) -> str:
    "The table of a function's parameters, from the comments on its signature (docments)."
    try: docs = docments(fn, full=True, returns=True)
    except Exception: return ""
    rows, back = [], None
    for name, p in docs.items():
        if name in ("self", "cls"): continue
        kind, default = type_name(p.get("anno")), p.get("default", inspect.Parameter.empty)
        if name == "return":
            if kind or p.get("docment"): back = f"| **returns** | {'`' + kind + '`' if kind else ''} | | {cell_text(p.get('docment') or '')} |"
            continue
        shown = "" if default is inspect.Parameter.empty else f"`{default if not callable(default) else getattr(default, '__name__', default)!r}`" if not isinstance(default, str) else f"`'{default}'`"
        kind, shown = (f"`{kind}`" if kind else "").replace("|", "\\|"), shown.replace("|", "\\|")
        rows.append(f"| `{name}` | {kind} | {shown} | {cell_text(p.get('docment') or '')} |")
    if back: rows.append(back)
    return "| | type | default | meaning |\n|:--|:--|:--|:--|\n" + "\n".join(rows) + "\n" if rows else ""


def signature(name, fn) -> str:
    "The call as one would write it: names and defaults, no annotations, broken over lines when long."
    try: params = [p for p in inspect.signature(fn).parameters.values() if p.name not in ("self", "cls")]
    except (TypeError, ValueError): return f"{name}(…)"
    parts = [str(p.replace(annotation=inspect.Parameter.empty)) for p in params]
    parts = [re.sub(r"<(?:function|class) '?([\w.]+).*?>", r"\1", p) for p in parts]
    line = f"{name}({', '.join(parts)})"
    return line if len(line) < 90 else f"{name}(\n    " + ",\n    ".join(parts) + ",\n)"


def source_of(obj, mod) -> str:
    try: lines, start = inspect.getsourcelines(obj)
    except (OSError, TypeError): return ""
    cfg = get_config()
    url = f"{cfg.git_url}/blob/{cfg.branch}/{mod.replace('.', '/')}.py#L{start}"
    code = inspect.cleandoc("\n" + "".join(lines)) if lines[0].startswith(" ") else "".join(lines).rstrip()
    return f"<details class=\"source\"><summary>Source</summary>\n\n```python\n{code}\n```\n\n[on GitHub]({url})\n\n</details>\n"


def entry(name, obj, mod, module, level=2) -> str:
    "One public name: what it does, its call, its parameters, its errors, its source."
    cls = inspect.isclass(obj)
    doc = (inspect.getdoc(obj) if obj.__doc__ else "") or ""
    if cls and doc.startswith(f"{obj.__name__}("): doc = "" # what @dataclass writes when there is no docstring
    text = [f"{'#'*level} {name.replace('__', chr(92) + '_' + chr(92) + '_')} {{#{name.lower()}}}", doc.split("\n\n")[0]]
    target = obj
    if cls and obj.__init__ is object.__init__: target = None
    if isinstance(obj, property): text.append("*property*")
    elif target is not None: text.append(f"```python\n{signature(name, obj)}\n```")
    if not isinstance(obj, property): text.append(parameters(obj.__init__ if cls and "__init__" in vars(obj) else obj) if target is not None else "")
    wrong = errors(obj if not cls else getattr(obj, "__init__"), module)
    if wrong: text.append("**Errors** (`DitEduError`)\n\n" + "\n".join(f"- {cell_text(w)}" for w in wrong))
    if not isinstance(obj, property) or obj.fget: text.append(source_of(obj.fget if isinstance(obj, property) else obj, mod))
    if cls:
        for key, member in vars(obj).items():
            member = getattr(member, "__func__", member)
            if key.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)): continue
            if getattr(member, "__module__", mod) != mod and not isinstance(member, property): continue
            text.append(entry(f"{name}.{key}", member, mod, module, level + 1))
    return "\n\n".join(t for t in text if t)


def constant(name, value) -> str:
    import pprint
    shown = pprint.pformat(value, width=90, sort_dicts=False)
    shown = re.sub(r"<(?:class|function) '?([\w.]+?)'?(?: at 0x\w+)?>", r"\1", shown)
    shown = shown if len(shown) < 900 else shown[:900] + " …"
    return f"## {name} {{#{name.lower()}}}\n\n```python\n{name} = {shown}\n```"


def reference(out: Path) -> int:
    "Write one page per module into out/, and an index of all names. Returns how many names."
    out.mkdir(parents=True, exist_ok=True)
    index, count = [], 0
    for mod in sorted(modidx["syms"], key=lambda m: homes().get(m, "~")):
        if mod not in homes(): continue
        module = import_module(mod)
        public = [n for n in getattr(module, "__all__", []) if not n.startswith("_")]
        if not public: continue
        home = homes()[mod]
        page = reference_page(mod)
        cells = read_nb(NBS/home).cells
        title = re.search(r"^# (.+)", cells[0].source, re.M).group(1)
        parts = [f'---\ntitle: "{mod}"\ndescription: "{(module.__doc__ or title).splitlines()[0].strip()}"\ntoc-depth: 3\n---\n',
            f"Explained, cell by cell, in [{title}]({relative(home, page)}). This page is made from the code: signatures, comments on parameters, error messages.\n"]
        for n in public:
            obj, count = getattr(module, n), count + 1
            is_code = inspect.isclass(obj) or inspect.isfunction(obj)
            parts.append(entry(n, obj, mod, module) if is_code else constant(n, obj))
        (out/PurePosixPath(page).name).write_text("\n\n".join(parts) + "\n", encoding="utf8")
        rows = " · ".join(f"[`{n}`]({PurePosixPath(page).name}#{n.lower()})" for n in public)
        index.append(f"### [{mod}]({PurePosixPath(page).name})\n\n{(module.__doc__ or '').splitlines()[0].strip() if module.__doc__ else ''}\n\n{rows}\n")
    (out/"index.md").write_text('---\ntitle: "Reference"\ndescription: "Every public name, with shapes, units, errors and source"\ntoc: false\n---\n\n'
        "Units everywhere: images `(b, 3, h, w)` in [-1, 1] inside, in [0, 1] for showing; `t` a whole number, 0 the cleanest; latents of variance 1. "
        "Symbols are on the [notation](../notation.ipynb) page.\n\n" + "\n".join(index), encoding="utf8")
    return count


if __name__ == "__main__": # run in the folder of processed notebooks
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(f"{reference(Path.cwd()/'reference')} names in the reference", file=sys.stderr)
