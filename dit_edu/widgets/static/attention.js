// AttentionExplorer: where each patch looks.
async function inflate(bytes) { return new Uint8Array(await new Response(new Blob([bytesOf(bytes)]).stream().pipeThrough(new DecompressionStream('deflate'))).arrayBuffer()); }

function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'In every block each patch (the query) looks at all patches and takes from each a share; the shares sum to 100 %. Point at a patch on the left, or move with the arrow keys: bright places on the right are those it takes from. A click keeps the query while you go elsewhere.');
  const facts = JSON.parse(model.get('facts')), { t, depth, heads, grid: [gh, gw], size: [H, W], extra } = facts, n = gh * gw, isLive = live(model);
  const times = isLive ? t.map((_, i) => i) : facts.times, list = isLive ? Array.from({ length: depth }, (_, i) => i) : facts.blocks; // what can be chosen here
  const cache = new Map(), key = (i, b) => `${i}:${b}`;                    // weights as bytes, (heads, n, n)
  const middle = a => a[Math.floor(a.length / 2)];
  let ti = middle(facts.times), b = middle(facts.blocks), hd = -1, kept = Math.floor(gh / 2) * gw + Math.floor(gw / 2), seen = null, read = null, sheet = null, timer, asked = '', ended = false;

  const wide = 300, side = `flex:1 1 130px; min-width:0; max-width:${wide}px`, scale = Math.max(1, Math.round(600 / W)), big = (cap, alt) => { const p = picture(W * scale, H * scale, wide, cap, alt); p.canvas.tabIndex = 0; p.canvas.setAttribute('role', 'application'); p.canvas.style.cursor = 'crosshair'; p.canvas.style.width = '100%'; return p; };
  const left = big('x0 prediction; the square is the query', 'query picture: arrow keys move the query'), right = big('', 'attention over the picture: arrow keys read a patch');
  const back = [...times].reverse();                                       // left is small t, as on all sliders of this site; steps run from noise to picture
  const ts = slider({ label: 'timestep', max: back.length - 1, value: back.indexOf(ti), long: true, show: v => t[back[v]], oninput: v => { ti = back[v]; draw(); } });
  const bs = slider({ label: 'block', max: list.length - 1, value: list.indexOf(b), show: v => list[v], oninput: v => { b = list[v]; draw(); } });
  const hs = heads > 1 ? choice({ label: 'head', options: [[-1, `mean of all ${heads}`], ...Array.from({ length: heads }, (_, i) => [i, `head ${i}`])], value: hd, oninput: v => pickHead(+v) }) : h('span', {}, 'mean of all heads');
  const op = slider({ label: 'overlay', max: 1, step: .05, value: .7, show: v => `${Math.round(v * 100)} %`, oninput: draw });
  const state = h('div', { class: 'state', role: 'status', style: 'min-height:4.4em; max-width:76ch' }), problem = h('div', { class: 'error', role: 'alert', hidden: true });
  const bar = h('canvas', { class: 'smooth', width: 120, height: 1, 'aria-hidden': 'true', style: 'flex:0 1 120px; min-width:20px; height:12px; border:1px solid var(--line)' }), high = h('output', { style: 'min-width:6ch; font-variant-numeric:tabular-nums' });
  heat({ canvas: bar, ctx: bar.getContext('2d') }, Array.from({ length: 120 }, (_, i) => i / 119), sequential);
  const strip = heads > 1 ? Array.from({ length: heads }, (_, k) => {
    const canvas = h('canvas', { width: gw, height: gh, 'aria-hidden': 'true', style: 'width:100%; aspect-ratio:' + gw / gh });
    const e = button('', () => pickHead(hd === k ? -1 : k), { style: 'padding:4px; min-width:0; width:72px; text-align:left' });
    e.append(canvas, h('span', { style: 'font-size:13px' }, `head ${k}`));
    return Object.assign(e, { canvas, ctx: canvas.getContext('2d') });
  }) : [];
  root.append(...[h('div', { class: 'dw-row' }, bs, hs, op), h('div', { class: 'dw-row' }, ts), problem,
    h('div', { class: 'dw-row', style: 'align-items:flex-start' }, h('div', { style: side }, left), h('div', { style: side }, right, h('span', { class: 'key', style: 'display:flex; margin:0; white-space:nowrap' }, '0 %', bar, high)),
      h('div', { style: 'flex:1 1 320px; min-width:0' }, state, heads > 1 && h('figcaption', { style: 'margin-top:8px' }, 'every head for this query, each with its own scale; press one to see it large, again for the mean'), heads > 1 && h('div', { class: 'dw-row', style: 'gap:6px' }, strip))),
    !isLive && h('div', { class: 'caption' }, `This page keeps ${times.length} timesteps and ${list.length} of ${depth} blocks; in a notebook every one is computed when you ask for it.`)].filter(Boolean));

  const weight = (m, k, q, to) => (m[(k * n + q) * n + to] / 255) ** 2;    // a byte is 255 times the root
  const row = (m, q, k) => Float64Array.from({ length: n }, (_, to) => { if (k >= 0) return weight(m, k, q, to); let s = 0; for (let j = 0; j < heads; j++) s += weight(m, j, q, to); return s / heads; });
  const rc = k => `row ${Math.floor(k / gw)}, column ${k % gw}`, percent = v => `${(100 * v).toFixed(1)} %`;
  function pickHead(k) { hd = k; hs.select.value = k; draw(); }
  function ask() { // the newest wish, when the hand rests
    if (!isLive || asked === key(ti, b)) return;
    clearTimeout(timer); timer = setTimeout(() => { asked = key(ti, b); problem.hidden = true; model.send({ command: 'maps', i: ti, block: b }); }, 40);
  }
  function box(pic, k, dash) {
    const c = pic.ctx, x = k % gw * W * scale / gw, y = Math.floor(k / gw) * H * scale / gh, w = W * scale / gw, hgt = H * scale / gh;
    c.lineWidth = 6; c.strokeStyle = '#fff'; c.setLineDash([]); c.strokeRect(x, y, w, hgt); c.lineWidth = 3; c.strokeStyle = dash ? '#111' : '#c4400b'; c.setLineDash(dash ? [6, 5] : []); c.strokeRect(x, y, w, hgt); c.setLineDash([]);
  }
  function draw() {
    if (!sheet || ended) return;
    const m = cache.get(key(ti, b)), at = seen ?? kept;
    drawCell(left, sheet, ti, W, H, facts.cols); box(left, at);
    if (!m) { ask(); state.textContent = `t = ${t[ti]}, block ${b}: being computed …`; return; }
    const w = row(m, at, hd), most = Math.max(...w), top = w.indexOf(most), sum = w.reduce((s, v) => s + v, 0), entropy = -w.reduce((s, v) => s + (v > 0 ? v / sum * Math.log2(v / sum) : 0), 0);
    drawCell(right, sheet, ti, W, H, facts.cols);
    const pw = W * scale / gw, ph = H * scale / gh;
    right.ctx.globalAlpha = op.value;
    for (let k = 0; k < n; k++) { right.ctx.fillStyle = `rgb(${sequential(w[k] / most)})`; right.ctx.fillRect(k % gw * pw, Math.floor(k / gw) * ph, pw, ph); }
    right.ctx.globalAlpha = 1; box(right, at); if (read !== null) box(right, read, true);
    high.textContent = percent(most);
    right.text(read === null ? 'what it looks at; point here to read a share' : `${rc(read)}: ${percent(w[read])}`);
    strip.forEach((e, k) => { const v = row(m, at, k), l = Math.max(...v); heat(e, v.map(x => x / l), sequential); e.setAttribute('aria-pressed', k === hd); e.style.outline = k === hd ? '2px solid currentColor' : ''; });
    state.textContent = `t = ${t[ti]}, block ${b}, ${hd < 0 ? 'mean of all heads' : `head ${hd}`}: the query at ${rc(at)} takes most, ${percent(most)}, from ${rc(top)}, and ${percent(w[at])} from itself. An even look would be ${percent(1 / (n + extra))} for each of ${n + extra} tokens; this one is as if spread over ${(2 ** entropy).toFixed(0)}.` +
      (extra ? ` ${percent(Math.max(0, 1 - sum))} go to the ${extra} tokens of time and class.` : '');
    root.weights = Array.from(w); root.dataset.shown = `${ti}:${b}:${hd}:${at}:${read ?? ''}`;
  }
  // pointing looks, a click or an arrow key keeps
  function pointing(pic, get, look, keep) {
    const c = pic.canvas, cellAt = e => { const r = c.getBoundingClientRect(), x = Math.floor((e.clientX - r.left) / r.width * gw), y = Math.floor((e.clientY - r.top) / r.height * gh); return Math.min(gh - 1, Math.max(0, y)) * gw + Math.min(gw - 1, Math.max(0, x)); };
    c.addEventListener('pointermove', e => { if (e.pointerType !== 'touch') { look(cellAt(e)); draw(); } });
    c.addEventListener('pointerleave', e => { if (e.pointerType !== 'touch') { look(null); draw(); } });
    c.addEventListener('pointerdown', e => { keep(cellAt(e)); draw(); });
    c.addEventListener('keydown', e => {
      const s = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key]; if (!s) return;
      e.preventDefault(); const k = get(); keep(Math.min(gh - 1, Math.max(0, Math.floor(k / gw) + s[0])) * gw + Math.min(gw - 1, Math.max(0, k % gw + s[1]))); draw();
    });
  }
  pointing(left, () => seen ?? kept, k => { seen = k; }, k => { kept = k; seen = null; });
  pointing(right, () => read ?? kept, k => { read = k; }, k => { read = k; });
  right.canvas.addEventListener('blur', () => { read = null; draw(); });

  const put = (i, which, parts) => which.forEach((bl, j) => { cache.set(key(i, bl), parts[j]); while (cache.size > 8 && cache.size * parts[j].length > 2 ** 27) cache.delete(cache.keys().next().value); });
  const off = listen(model, { msg: (c, buffers) => {
    if (c.error) { problem.textContent = c.error; problem.hidden = false; asked = ''; }
    if (c.maps) { put(c.maps[0], c.maps[1], buffers.map(bytesOf)); asked = ''; draw(); }
  } });
  Promise.all([inflate(model.get('maps')), bitmap(model.get('pixels'))]).then(([all, s]) => {
    if (ended) return s.close();
    const each = heads * n * n; sheet = s;
    facts.times.forEach((i, x) => put(i, facts.blocks, facts.blocks.map((_, y) => all.subarray((x * facts.blocks.length + y) * each, (x * facts.blocks.length + y + 1) * each))));
    draw();
  }).catch(e => { problem.textContent = `The attention cannot be read: ${e.message}`; problem.hidden = false; });
  return () => { ended = true; clearTimeout(timer); off(); sheet?.close(); cache.clear(); };
}
