// What all widgets share: small DOM helpers, pictures, charts, keyboard, theme. Plain ES2020, no library.
// A widget's own file defines `function view({ model, el })`; Python joins the two files (see dit_edu/widgets/base.py).

const STYLE = `
.dw { font: 14px/1.45 system-ui, sans-serif; color: inherit; max-width: 1060px; text-align: left;
  --line: color-mix(in srgb, currentColor 28%, transparent); --soft: color-mix(in srgb, currentColor 8%, transparent);
  --dim: color-mix(in srgb, currentColor 78%, transparent); }
.dw * { box-sizing: border-box; }
.dw .dw-row { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; margin: 6px 0; }
.dw .dw-grid { display: grid; gap: 8px 12px; }
.dw .caption { color: var(--dim); margin: 4px 0 8px; max-width: 76ch; }
.dw .state { font-variant-numeric: tabular-nums; min-height: 1.5em; }
.dw figure { margin: 0; min-width: 0; }
.dw figcaption { color: var(--dim); font-size: 13px; min-height: 1.4em; }
.dw figcaption:empty { display: none; }
.dw canvas { display: block; max-width: 100%; image-rendering: pixelated; border: 1px solid var(--line); border-radius: 3px; }
.dw canvas.smooth { image-rendering: auto; border: 0; }
.dw label { display: inline-flex; flex-wrap: wrap; align-items: center; gap: 6px; }
.dw label > output { min-width: 3.5ch; font-variant-numeric: tabular-nums; }
.dw input, .dw select, .dw button { font: inherit; color: inherit; accent-color: #3b7dd8; }
.dw input[type=range] { width: 190px; max-width: 60vw; }
.dw input[type=range].long { flex: 1 1 120px; width: auto; min-width: 0; }
.dw input[type=number] { width: 6.5em; }
.dw input[type=number], .dw select, .dw button { background: var(--soft); border: 1px solid var(--line); border-radius: 4px; padding: 3px 8px; }
.dw select option { color: #111; background: #fff; }
.dw button { cursor: pointer; min-width: 4.5em; }
.dw summary { cursor: pointer; }
.dw button:hover:not(:disabled) { background: color-mix(in srgb, currentColor 16%, transparent); }
.dw button:disabled { opacity: .5; cursor: default; }
.dw button.main { background: #2762b3; border-color: #2762b3; color: #fff; }
.dw button.main:hover:not(:disabled) { background: #1f4f92; }
.dw .controls { display: grid; gap: 7px; }
.dw .controls label { display: grid; grid-template-columns: 104px minmax(90px, 170px) auto; justify-content: start; }
.dw .controls input[type=range] { width: 100%; }
.dw :is(input, select, button, summary, canvas, [tabindex]):focus-visible { outline: 2px solid #3b7dd8; outline-offset: 2px; }
.dw progress { width: 180px; height: 12px; accent-color: #3b7dd8; }
.dw .error { border-left: 4px solid #c4572b; padding: 2px 8px; margin: 6px 0; }
.dw .key { display: inline-flex; align-items: center; gap: 5px; margin-right: 12px; }
`;

// h('button', { class: 'main', onclick: f }, 'Go'): one element
function h(tag, props = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props)) {
    if (v === undefined || v === null || v === false) continue;
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else e.setAttribute(k, v === true ? '' : v);
  }
  e.append(...children.flat().filter(c => c !== null && c !== undefined && c !== false));
  return e;
}

// The frame of every widget: a title, one line of explanation, and what it shows.
function frame(el, title, caption) {
  const root = h('section', { class: 'dw', 'aria-label': title }, h('style', {}, STYLE), h('strong', {}, title), h('div', { class: 'caption' }, caption));
  // JupyterLab listens for arrow keys and folds the cell under a slider, so keys stay here
  root.addEventListener('keydown', e => e.stopPropagation());
  el.append(root);
  return root;
}

// A labelled slider. `.value` reads and moves it; oninput(value) is called as it moves.
function slider({ label, min = 0, max, step = 1, value, show = v => v, oninput, long = false }) {
  const out = h('output'), input = h('input', { type: 'range', min, max, step, class: long && 'long', 'aria-label': label });
  const set = v => { input.value = v; const text = String(show(+input.value)); out.textContent = text; input.setAttribute('aria-valuetext', text); };
  set(value);
  input.addEventListener('input', () => { set(input.value); oninput(+input.value); });
  const e = h('label', long ? { style: 'flex: 1 1 320px; flex-wrap: nowrap' } : {}, h('span', {}, label), input, out);
  return Object.defineProperty(Object.assign(e, { input, set }), 'value', { get: () => +input.value, set });
}

function number({ label, min, max, step = 1, value, oninput }) {
  const input = h('input', { type: 'number', min, max, step, value, 'aria-label': label });
  input.addEventListener('change', () => {                   // silly input becomes the nearest sensible one
    const v = Number(input.value), ok = Number.isFinite(v) && input.value !== '' ? v : Number(value);
    input.value = Math.min(max, Math.max(min, step >= 1 ? Math.round(ok) : ok));
    oninput(+input.value);
  });
  return Object.assign(h('label', {}, h('span', {}, label), input), { input });
}

// options: strings, or [value, text] pairs
function choice({ label, options, value, oninput }) {
  const select = h('select', { 'aria-label': label }, options.map(o => {
    const [v, text] = Array.isArray(o) ? o : [o, o];
    return h('option', { value: v, selected: String(v) === String(value) }, String(text));
  }));
  select.addEventListener('change', () => oninput(select.value));
  return Object.assign(h('label', {}, h('span', {}, label), select), { select });
}

function checkbox({ label, value, oninput }) {
  const input = h('input', { type: 'checkbox', checked: value });
  input.addEventListener('change', () => oninput(input.checked));
  return Object.assign(h('label', {}, input, h('span', {}, label)), { input });
}

const button = (text, onclick, props = {}) => h('button', { type: 'button', onclick, ...props }, text);

// A picture with a caption. `.canvas`, `.ctx`, `.text(string)`; w and h are its own pixels, `wide` its width on the page.
function picture(w, hgt, wide, caption = '', alt = caption) {
  const canvas = h('canvas', { width: w, height: hgt, role: 'img', 'aria-label': alt, style: `width:${wide}px; aspect-ratio:${w}/${hgt}` });
  const cap = h('figcaption', {}, caption);
  return Object.assign(h('figure', {}, canvas, cap), { canvas, ctx: canvas.getContext('2d'), text: s => { if (cap.textContent !== s) cap.textContent = s; } });
}

const bytesOf = v => v instanceof DataView ? new Uint8Array(v.buffer, v.byteOffset, v.byteLength) : v instanceof ArrayBuffer ? new Uint8Array(v) : v;

// Encoded picture (WebP or PNG bytes) -> ImageBitmap
const bitmap = bytes => createImageBitmap(new Blob([bytesOf(bytes)]));

// Draw cell k of a sheet in which cells of w x h pixels stand in rows of `cols`.
function drawCell(pic, sheet, k, w, hgt, cols) {
  pic.ctx.imageSmoothingEnabled = false;
  pic.ctx.drawImage(sheet, (k % cols) * w, Math.floor(k / cols) * hgt, w, hgt, 0, 0, pic.canvas.width, pic.canvas.height);
}

// Numbers in [-1, 1] -> colour: blue below zero, white at zero, orange above; light and dark ends differ too.
function diverging(v) {
  const a = Math.min(1, Math.abs(v));
  const end = v < 0 ? [23, 78, 166] : [190, 82, 10];
  return end.map(c => Math.round(250 + (c - 250) * a));
}
// Numbers in [0, 1] -> colour, dark to light (monotone in brightness).
const STOPS = [[18, 12, 52], [86, 28, 110], [164, 52, 104], [228, 100, 72], [250, 178, 80], [252, 250, 210]];
function sequential(v) {
  const x = Math.min(1, Math.max(0, v)) * (STOPS.length - 1), i = Math.min(STOPS.length - 2, Math.floor(x)), f = x - i;
  return STOPS[i].map((c, j) => Math.round(c + (STOPS[i + 1][j] - c) * f));
}

// Fill a picture with one colour per number; the canvas has as many pixels as there are numbers.
function heat(pic, values, colour) {
  const { width, height } = pic.canvas, img = pic.ctx.createImageData(width, height);
  for (let i = 0; i < values.length; i++) { const [r, g, b] = colour(values[i]); img.data.set([r, g, b, 255], 4 * i); }
  pic.ctx.putImageData(img, 0, 0);
}

// A line chart. series: [{ name, x, y, colour, dash, marks }]. Returns { element, draw(series, { at, note }) }.
const COLOURS = ['#3b7dd8', '#c4572b', '#2f8f5b', '#8a5cc9', '#a8811a', '#5b7083'];
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [1, 2], [14, 4]];
const MARKS = ['circle', 'square', 'triangle', 'diamond', 'cross', 'circle'];
function chart({ width = 360, height = 190, xlabel, ylabel, logx = false, logy = false, alt, ylim, xlim }) {
  const scale = 2, canvas = h('canvas', { class: 'smooth', width: width * scale, height: height * scale, role: 'img', 'aria-label': alt || `${ylabel} against ${xlabel}`, style: `width:${width}px; max-width:100%` });
  const legend = h('div', { style: 'font-size:13px' });
  const element = h('figure', {}, canvas, legend), ctx = canvas.getContext('2d');
  const L = 64, R = 10, T = 10, B = 36;
  let names = '';
  function draw(series, { at = null, note = '' } = {}) {
    const ink = getComputedStyle(element).color || '#888';
    const fx = logx ? Math.log10 : v => v, fy = logy ? Math.log10 : v => v;
    const ok = (x, y) => Number.isFinite(fx(x)) && Number.isFinite(fy(y));
    const pts = series.flatMap(s => Array.from(s.x, (x, i) => [x, s.y[i]]).filter(p => ok(...p)).map(([x, y]) => [fx(x), fy(y)]));
    let [x0, x1] = xlim ? xlim.map(fx) : [Math.min(...pts.map(p => p[0])), Math.max(...pts.map(p => p[0]))];
    let [y0, y1] = ylim ? ylim.map(fy) : [Math.min(...pts.map(p => p[1])), Math.max(...pts.map(p => p[1]))];
    if (!(x1 > x0)) x1 = x0 + 1; if (!(y1 > y0)) { y0 -= .5; y1 = y0 + 1; }
    const px = x => L + (fx(x) - x0) / (x1 - x0) * (width - L - R), py = y => height - B - (fy(y) - y0) / (y1 - y0) * (height - T - B);
    ctx.setTransform(scale, 0, 0, scale, 0, 0); ctx.clearRect(0, 0, width, height);
    ctx.font = '12px system-ui, sans-serif'; ctx.fillStyle = ctx.strokeStyle = ink; ctx.lineWidth = 1; ctx.setLineDash([]);
    ctx.globalAlpha = .35; ctx.strokeRect(L, T, width - L - R, height - T - B); ctx.globalAlpha = 1;
    const nice = (v, log) => { const u = log ? 10 ** v : v, a = Math.abs(u); return a === 0 ? '0' : a >= 1e4 || a < 1e-3 ? u.toExponential(0) : String(+u.toPrecision(log ? 2 : 3)); };
    for (let k = 0; k <= 4; k++) {
      const y = y0 + (y1 - y0) * k / 4, x = x0 + (x1 - x0) * k / 4;
      ctx.textAlign = 'right'; ctx.fillText(nice(y, logy), L - 5, height - B - k / 4 * (height - T - B) + 4);
      ctx.textAlign = k === 0 ? 'left' : k === 4 ? 'right' : 'center'; ctx.fillText(nice(x, logx), L + k / 4 * (width - L - R), height - B + 14);
    }
    ctx.textAlign = 'center'; ctx.fillText(xlabel, L + (width - L - R) / 2, height - 4);
    ctx.save(); ctx.translate(11, T + (height - T - B) / 2); ctx.rotate(-Math.PI / 2); ctx.fillText(ylabel, 0, 0); ctx.restore();
    series.forEach((s, n) => {
      ctx.strokeStyle = ctx.fillStyle = s.colour || COLOURS[n % 6]; ctx.lineWidth = 2; ctx.setLineDash(s.dash || DASHES[n % 6]);
      ctx.beginPath(); let pen = false;
      for (let i = 0; i < s.x.length; i++) {
        if (!ok(s.x[i], s.y[i])) { pen = false; continue; }
        const a = px(s.x[i]), b = Math.max(T - 2, Math.min(height - B + 2, py(s.y[i])));
        pen ? ctx.lineTo(a, b) : ctx.moveTo(a, b); pen = true;
      }
      ctx.stroke(); ctx.setLineDash([]);
      if (s.marks) for (let i = 0; i < s.x.length; i++) if (ok(s.x[i], s.y[i])) mark(ctx, MARKS[n % 6], px(s.x[i]), py(s.y[i]));
    });
    if (at !== null && ok(at, 1)) {
      ctx.strokeStyle = ink; ctx.lineWidth = 1.5; ctx.setLineDash([3, 3]);
      ctx.beginPath(); ctx.moveTo(px(at), T); ctx.lineTo(px(at), height - B); ctx.stroke(); ctx.setLineDash([]);
      series.forEach((s, n) => { let i = 0; for (let k = 0; k < s.x.length; k++) if (Math.abs(s.x[k] - at) < Math.abs(s.x[i] - at)) i = k;
        if (ok(s.x[i], s.y[i])) { ctx.fillStyle = s.colour || COLOURS[n % 6]; mark(ctx, MARKS[n % 6], px(s.x[i]), Math.max(T, Math.min(height - B, py(s.y[i]))), 5); } });
    }
    if (note) { ctx.fillStyle = ink; ctx.textAlign = 'right'; ctx.fillText(note, width - R - 4, T + 14); }
    const now = series.map(s => s.name).join('|');
    if (now !== names) { names = now; legend.replaceChildren(...(series.length > 1 ? series.map((s, n) => keyOf(s.name, n, s)) : [])); }
  }
  return { element, draw, canvas };
}
function mark(ctx, kind, x, y, r = 3.5) {
  ctx.beginPath();
  if (kind === 'square') ctx.rect(x - r, y - r, 2 * r, 2 * r);
  else if (kind === 'triangle') { ctx.moveTo(x, y - r); ctx.lineTo(x + r, y + r); ctx.lineTo(x - r, y + r); ctx.closePath(); }
  else if (kind === 'diamond') { ctx.moveTo(x, y - r); ctx.lineTo(x + r, y); ctx.lineTo(x, y + r); ctx.lineTo(x - r, y); ctx.closePath(); }
  else if (kind === 'cross') { ctx.rect(x - r, y - 1, 2 * r, 2); ctx.rect(x - 1, y - r, 2, 2 * r); }
  else ctx.arc(x, y, r, 0, 7);
  ctx.fill();
}
function keyOf(name, n, s = {}) { // one entry of a legend: line, dash and mark as drawn
  const c = h('canvas', { class: 'smooth', width: 56, height: 20, style: 'width:28px; height:10px', 'aria-hidden': 'true' }), ctx = c.getContext('2d');
  ctx.scale(2, 2); ctx.strokeStyle = ctx.fillStyle = s.colour || COLOURS[n % 6]; ctx.lineWidth = 2; ctx.setLineDash(s.dash || DASHES[n % 6]);
  ctx.beginPath(); ctx.moveTo(0, 5); ctx.lineTo(28, 5); ctx.stroke(); ctx.setLineDash([]); if (s.marks) mark(ctx, MARKS[n % 6], 14, 5);
  return h('span', { class: 'key' }, c, name);
}

// Play through `count` positions at `fps`; stops at the end and when the widget is gone.
function player({ count, get, set, fps = 12 }) {
  let timer = null;
  const b = button('▶ Play', () => timer ? stop() : start(), { 'aria-label': 'Play or pause' });
  function stop() { clearInterval(timer); timer = null; b.textContent = '▶ Play'; }
  function start() {
    if (get() >= count() - 1) set(0);
    b.textContent = '❚❚ Pause';
    timer = setInterval(() => { if (!b.isConnected) return stop(); const i = get() + 1; if (i >= count()) return stop(); set(i); }, 1000 / fps);
  }
  return Object.assign(b, { stop });
}

// Save bytes as a file on the person's own disk.
function download(bytes, name, type) {
  const url = URL.createObjectURL(new Blob([bytesOf(bytes)], { type }));
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// Listen to a model's traits until the widget is closed; returns the function that ends it.
function listen(model, handlers) {
  const pairs = Object.entries(handlers).map(([k, f]) => [k.startsWith('msg') ? 'msg:custom' : `change:${k}`, f]);
  pairs.forEach(([k, f]) => model.on(k, f));
  return () => pairs.forEach(([k, f]) => model.off(k, f));
}
const live = model => model.get('live') !== false; // is there a Python behind this page?
