// PatchifyExplorer: an image as a sequence of tokens, in the page.
function sincos(d, hgt, wid) { // position embedding of each patch, (h*w, d): columns in the first half, rows in the second (dit_edu.embeddings)
  const q = d / 4, one = p => { const o = []; for (const f of [Math.sin, Math.cos]) for (let i = 0; i < q; i++) o.push(f(p / 10000 ** (i / q))); return o; };
  return Array.from({ length: hgt * wid }, (_, n) => [...one(n % wid), ...one(Math.floor(n / wid))]);
}
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'A transformer reads a sequence. So the picture is cut into patches, row by row, and each patch becomes one token: a list of its numbers. Point at a patch, or move with the arrow keys.');
  const [H, W] = model.get('size'), image = bytesOf(model.get('image')), d = model.get('width');
  let p = model.get('patch'), at = 0, order = null;
  const wide = 288, pic = picture(W, H, wide, '', 'the picture, cut into patches; arrow keys move between patches');
  const grid = h('canvas', { class: 'smooth', width: wide * 2, height: wide * 2, tabindex: 0, role: 'application', 'aria-label': 'patches: arrow keys move', style: `position:absolute; left:0; top:0; width:100%; height:100%; cursor:crosshair` });
  const stack = h('div', { style: `position:relative; width:${wide}px; max-width:100%` }, pic, grid);
  pic.canvas.style.width = '100%'; pic.canvas.style.border = '0';
  const zoom = picture(16, 16, 144, 'the patch', 'the patch, enlarged'), near = picture(8, 8, 200, 'how alike its position is to every other', 'similarity of position embeddings');
  const seq = picture(64, 4, 640, 'the sequence: one column of numbers for each token', 'the tokens in order');
  seq.canvas.style.width = 'min(100%, 900px)'; seq.canvas.style.height = '96px'; seq.canvas.style.aspectRatio = 'auto';
  const numbers = h('div', { class: 'caption', style: 'font-family: ui-monospace, monospace; font-size:12px; max-width: 44ch; min-height: 6em; overflow-wrap: anywhere' });
  const state = h('div', { class: 'state', role: 'status' });
  const sizes = [2, 4, 8, 16].filter(k => H % k === 0 && W % k === 0);
  const size = choice({ label: 'patch size p', options: sizes.map(k => [k, `${k}×${k} pixels`]), value: p, oninput: v => { p = +v; order = null; at = 0; all(); } });
  const shuffle = button('Shuffle the tokens', () => { order = Array.from({ length: n() }, (_, i) => i); for (let i = order.length - 1; i > 0; i--) { const j = Math.floor(Math.random() * (i + 1)); [order[i], order[j]] = [order[j], order[i]]; } all(); });
  const back = button('Put them back', () => { order = null; all(); });
  const why = h('div', { class: 'caption', style: 'min-height:3em' });
  root.append(h('div', { class: 'row' }, size, shuffle, back), state,
    h('div', { class: 'row', style: 'align-items:flex-start; gap:16px 28px' }, stack, h('div', {}, zoom, numbers), near), why, seq);

  const cols = () => W / p, rows = () => H / p, n = () => cols() * rows();
  const source = k => order ? order[k] : k;      // which patch of the picture token k holds
  let emb;
  function all() {
    emb = sincos(d, rows(), cols());
    const out = pic.ctx.createImageData(W, H);
    for (let k = 0; k < n(); k++) { const s = source(k), [y, x] = [Math.floor(k / cols()) * p, k % cols() * p], [v, u] = [Math.floor(s / cols()) * p, s % cols() * p];
      for (let i = 0; i < p; i++) for (let j = 0; j < p; j++) { const to = 4 * ((y + i) * W + x + j), from = 3 * ((v + i) * W + u + j); out.data.set([image[from], image[from + 1], image[from + 2], 255], to); } }
    pic.ctx.putImageData(out, 0, 0);
    seq.canvas.width = n(); seq.canvas.height = p * p;
    const s = seq.ctx.createImageData(n(), p * p);
    for (let k = 0; k < n(); k++) { const q = token(k); for (let i = 0; i < p * p; i++) s.data.set([q[3 * i], q[3 * i + 1], q[3 * i + 2], 255], 4 * (i * n() + k)); }
    seq.ctx.putImageData(s, 0, 0);
    near.canvas.width = cols(); near.canvas.height = rows();
    why.textContent = order ? 'Shuffled. Attention alone would not notice: it treats its tokens as a set, and would give the same answers in another order. Only the position added to each token says where it belongs.'
      : 'Each token is given its place as a list of sines and cosines; tokens that are neighbours get similar lists, so the network can tell near from far.';
    point();
  }
  function token(k) { const s = source(k), [v, u] = [Math.floor(s / cols()) * p, s % cols() * p], q = []; for (let i = 0; i < p; i++) for (let j = 0; j < p; j++) for (let c = 0; c < 3; c++) q.push(image[3 * ((v + i) * W + u + j) + c]); return q; }
  function point() {
    const q = token(at), [y, x] = [Math.floor(at / cols()), at % cols()];
    zoom.canvas.width = zoom.canvas.height = p;
    const z = zoom.ctx.createImageData(p, p); for (let i = 0; i < p * p; i++) z.data.set([q[3 * i], q[3 * i + 1], q[3 * i + 2], 255], 4 * i); zoom.ctx.putImageData(z, 0, 0);
    const dot = (a, b) => a.reduce((s, v, i) => s + v * b[i], 0), me = emb[at], sim = emb.map(e => dot(e, me) / dot(me, me));
    const low = Math.min(...sim); heat(near, sim.map(v => (v - low) / (1 - low || 1)), sequential);
    numbers.textContent = q.slice(0, 24).map(v => (v / 127.5 - 1).toFixed(2)).join('  ') + (q.length > 24 ? `  … (${q.length} numbers)` : '');
    state.textContent = `token ${at} of ${n()}: row ${y}, column ${x}; ${p}·${p}·3 = ${3 * p * p} numbers. Half the patch size would make ${4 * n()} tokens, and attention sixteen times as dear.`;
    const g = grid.getContext('2d'), c = wide * 2 / cols(), r = wide * 2 / rows(); g.clearRect(0, 0, wide * 2, wide * 2);
    g.lineWidth = 1; g.strokeStyle = 'rgba(128,128,128,.7)'; if (c > 8) for (let k = 1; k < cols(); k++) { g.beginPath(); g.moveTo(k * c, 0); g.lineTo(k * c, wide * 2); g.moveTo(0, k * r); g.lineTo(wide * 2, k * r); g.stroke(); }
    g.lineWidth = 7; g.strokeStyle = '#fff'; g.strokeRect(x * c, y * r, c, r); g.lineWidth = 4; g.strokeStyle = '#c4572b'; g.strokeRect(x * c, y * r, c, r);
    root.dataset.shown = `${p}:${at}:${order ? 'shuffled' : 'ordered'}`; root.similarity = sim;
  }
  const go = (y, x) => { at = Math.min(rows() - 1, Math.max(0, y)) * cols() + Math.min(cols() - 1, Math.max(0, x)); point(); };
  grid.addEventListener('pointermove', e => { const b = grid.getBoundingClientRect(); go(Math.floor((e.clientY - b.top) / b.height * rows()), Math.floor((e.clientX - b.left) / b.width * cols())); });
  grid.addEventListener('keydown', e => { const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key]; if (!step) return; e.preventDefault(); go(Math.floor(at / cols()) + step[0], at % cols() + step[1]); });
  at = Math.floor(rows() / 2) * cols() + Math.floor(cols() / 2); all();
}
