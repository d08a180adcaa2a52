// AttentionExplorer: where each patch looks.
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'In every block each patch (the query) looks at all others and takes from each a share; the shares sum to 100 %. Pick a query on the left by mouse or arrow keys: bright places on the right are those it takes from.');
  const facts = JSON.parse(model.get('facts')), maps = bytesOf(model.get('maps')), { t, blocks, heads, n, side, size: [H, W] } = facts;
  let at = Math.floor(side / 2) * side + Math.floor(side / 2), ti = Math.floor(t.length / 2), b = Math.floor(blocks / 2), hd = 0, sheet = null;
  const wide = 260, left = picture(W, H, wide, 'x0 prediction; the square is the query', 'query picture, arrow keys move'), right = picture(W, H, wide, 'what it looks at', 'attention over the picture');
  left.canvas.tabIndex = 0; left.canvas.style.cursor = 'crosshair';
  const ts = slider({ label: 'timestep', max: t.length - 1, value: t.length - 1 - ti, long: true, show: v => t[t.length - 1 - v], oninput: v => { ti = t.length - 1 - v; draw(); } });
  const bs = slider({ label: 'block', max: blocks - 1, value: b, oninput: v => { b = v; draw(); } });
  const hs = heads > 1 ? choice({ label: 'head', options: [['mean', 'mean of all'], ...Array.from({ length: heads }, (_, i) => [i, `head ${i}`])], value: 'mean', oninput: v => { hd = v === 'mean' ? 0 : +v + 1; draw(); } }) : h('span', { class: 'caption' }, 'mean of all heads');
  const op = slider({ label: 'overlay', max: 1, step: .05, value: .75, show: v => `${Math.round(v * 100)} %`, oninput: draw });
  const state = h('div', { class: 'state', role: 'status', style: 'min-height:3em' });
  root.append(h('div', { class: 'row' }, bs, hs, op), h('div', { class: 'row' }, ts), h('div', { class: 'row', style: 'align-items:flex-start' }, left, right), state);
  // weights were stored as round(255 sqrt(w)), which keeps small ones apart
  const weight = (h0, k) => (maps[(((ti * blocks + b) * heads + h0) * n + at) * n + k] / 255) ** 2;
  function draw() {
    if (!sheet) return;
    const w = Float32Array.from({ length: n }, (_, k) => { if (hd > 0) return weight(hd - 1, k); let s = 0; for (let j = 0; j < heads; j++) s += weight(j, k); return s / heads; });
    const most = Math.max(...w), p = W / side, top = w.indexOf(most), entropy = -w.reduce((s, v) => s + (v > 0 ? v * Math.log2(v) : 0), 0);
    drawCell(left, sheet, ti, W, H, facts.cols); drawCell(right, sheet, ti, W, H, facts.cols);
    const o = op.value;
    for (let k = 0; k < n; k++) { const [r, g, bl] = sequential(w[k] / most); right.ctx.fillStyle = `rgba(${r},${g},${bl},${o})`; right.ctx.fillRect(k % side * p, Math.floor(k / side) * p, p, p); }
    for (const pic of [left, right]) { const x = at % side * p, y = Math.floor(at / side) * p; pic.ctx.lineWidth = 2; pic.ctx.strokeStyle = '#fff'; pic.ctx.strokeRect(x, y, p, p); pic.ctx.lineWidth = 1; pic.ctx.strokeStyle = '#c4400b'; pic.ctx.strokeRect(x, y, p, p); }
    state.textContent = `t = ${t[ti]}, block ${b}: the query at row ${Math.floor(at / side)}, column ${at % side} takes most, ${(100 * most).toFixed(1)} %, from row ${Math.floor(top / side)}, column ${top % side}, and ${(100 * w[at]).toFixed(1)} % from itself. An even look would be ${(100 / n).toFixed(1)} % each; this one is spread as over ${(2 ** entropy).toFixed(0)} patches.`;
    root.dataset.shown = `${ti}:${b}:${hd}:${at}`;
  }
  const go = (y, x) => { at = Math.min(side - 1, Math.max(0, y)) * side + Math.min(side - 1, Math.max(0, x)); draw(); };
  left.canvas.addEventListener('pointermove', e => { const r = left.canvas.getBoundingClientRect(); go(Math.floor((e.clientY - r.top) / r.height * side), Math.floor((e.clientX - r.left) / r.width * side)); });
  left.canvas.addEventListener('keydown', e => { const s = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key]; if (s) { e.preventDefault(); go(Math.floor(at / side) + s[0], at % side + s[1]); } });
  bitmap(model.get('pixels')).then(s => { sheet = s; draw(); });
  return () => sheet?.close();
}
