// PatchifyExplorer: an image, or a latent, as a sequence of tokens; all of it in the page.
function sincos(d, hgt, wid) { // position embedding of each patch, (h*w)·d numbers: columns in the first half, rows in the second (dit_edu.embeddings)
  const q = d / 4, out = new Float64Array(hgt * wid * d);
  for (let n = 0; n < hgt * wid; n++) [n % wid, Math.floor(n / wid)].forEach((p, half) => {
    for (let i = 0; i < q; i++) { const a = p / 10000 ** (i / q), o = n * d + half * d / 2 + i; out[o] = Math.sin(a); out[o + q] = Math.cos(a); }
  });
  return out;
}
function randoms(n, seed = 7) { // numbers of variance 1, the same each time: the weights of an untrained layer
  let a = seed;
  return Float64Array.from({ length: n }, () => { a = (Math.imul(a, 1664525) + 1013904223) >>> 0; return (a / 4294967296 - .5) * Math.sqrt(12); });
}
function answer(x, d, k) { // what attention answers token k: the mean of all tokens, weighted by softmax of their likeness to it
  const n = x.length / d, w = new Float64Array(n), out = new Float64Array(d); let top = -Infinity, sum = 0;
  for (let j = 0; j < n; j++) { let s = 0; for (let i = 0; i < d; i++) s += x[k * d + i] * x[j * d + i]; w[j] = s / Math.sqrt(d); top = Math.max(top, w[j]); }
  for (let j = 0; j < n; j++) { w[j] = Math.exp(w[j] - top); sum += w[j]; }
  for (let j = 0; j < n; j++) for (let i = 0; i < d; i++) out[i] += w[j] / sum * x[j * d + i];
  return out;
}
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'A transformer reads a sequence. So the picture is cut into patches, row by row, and each patch becomes one token: a list of its numbers. Point at a patch, or move with the arrow keys.');
  const raw = bytesOf(model.get('numbers')), d = model.get('width');
  const sources = JSON.parse(model.get('sources')).map(s => { // every number of a source as (c, h, w)
    const [c, H, W] = s.size, part = raw.slice(s.from, s.from + s.length);
    const x = s.kind === 'picture' ? Float32Array.from({ length: c * H * W }, (_, i) => part[(i % (H * W)) * c + Math.floor(i / (H * W))] / 127.5 - 1) : new Float32Array(part.buffer);
    return { ...s, c, H, W, x, limit: s.kind === 'picture' ? 1 : 3, p: s.kind === 'picture' ? model.get('patch') : 2, sizes: [2, 4, 8, 16].filter(k => H % k === 0 && W % k === 0 && H * W >= 4 * k * k) };
  });
  let src = sources[0], p = src.p, at = 0, order = null, emb, own, n, cols, rows;
  const wide = 288, pic = picture(8, 8, wide, '', 'the picture, cut into patches');
  const grid = h('canvas', { class: 'smooth', width: wide * 2, height: wide * 2, tabindex: 0, role: 'application', 'aria-label': 'patches: arrow keys move', style: 'position:absolute; left:0; top:0; width:100%; height:100%; cursor:crosshair; touch-action:pan-y' });
  const stack = h('div', { style: `position:relative; width:${wide}px; max-width:100%` }, pic, grid);
  pic.canvas.style.width = '100%'; pic.canvas.style.border = '0';
  const zoom = picture(8, 8, 144, 'the patch, enlarged'), near = picture(8, 8, 144, '', 'similarity of position embeddings');
  const about = h('figcaption', { style: `width:${wide}px; max-width:100%` });
  const channels = h('div', { class: 'dw-row', style: 'gap:6px; align-items:flex-start' });
  const seq = picture(64, 4, 640, '', 'the tokens in order'), here = h('div', { 'aria-hidden': 'true', style: 'position:absolute; top:-3px; bottom:-3px; width:3px; margin-left:-1.5px; background:currentColor' });
  Object.assign(seq.canvas.style, { width: '100%', height: '72px', aspectRatio: 'auto' });
  const numbers = h('div', { style: 'font: 12px/1.5 ui-monospace, monospace; height: 4.5em; overflow:auto', tabindex: 0, role: 'group', 'aria-label': 'the numbers of this token' });
  const state = h('div', { class: 'state', role: 'status', style: 'min-height:3em' }), effect = h('div', { class: 'caption', style: 'min-height:4.4em', role: 'status' });
  const what = sources.length > 1 && choice({ label: 'what is cut', options: sources.map((s, i) => [i, s.name]), value: 0, oninput: v => { src = sources[+v]; p = src.p; fresh(); } });
  const size = choice({ label: 'patch size p', options: [], value: p, oninput: v => { p = src.p = +v; fresh(); } });
  const tok = slider({ label: 'token', max: 1, value: 0, long: true, oninput: v => { at = v; point(); } });
  const shuffle = button('Shuffle the tokens', () => { order = Array.from({ length: n }, (_, i) => i); for (let i = n - 1; i > 0; i--) { const j = Math.floor(Math.random() * i); /* none stays where it was (Sattolo) */ [order[i], order[j]] = [order[j], order[i]]; } all(); });
  const back = button('Put them back', () => { order = null; all(); });
  root.append(h('div', { class: 'dw-row' }, what, size, shuffle, back), h('div', { class: 'dw-row' }, tok), state,
    h('div', { class: 'dw-row', style: 'align-items:flex-start; gap:12px 28px' }, h('div', {}, stack, about),
      h('div', { style: 'flex: 1 1 320px; min-width:0' }, h('div', { class: 'dw-grid', style: 'grid-template-columns: repeat(2, minmax(0, 144px)); justify-content:start; min-height: 14em; gap: 8px 16px' }, zoom, near),
        h('figcaption', {}, 'its numbers: a map for each channel (blue below zero, orange above); then the list that the token is, row by row, all channels of a place together:'), channels, numbers)),
    effect, h('figcaption', {}, 'the sequence: one column of colours for each token, in the order in which the network gets them'), h('div', { style: 'position:relative; margin:4px 0 8px' }, seq, here));

  const source = k => order ? order[k] : k; // which patch of the picture token k holds
  const corner = k => [Math.floor(k / cols) * p, k % cols * p];
  const value = (c, y, x) => src.x[(c * src.H + y) * src.W + x];
  const byte = v => Math.round((Math.max(-1, Math.min(1, v / src.limit)) + 1) * 127.5);
  function token(k) { // row, column, channel: the order of patchify
    const [y, x] = corner(source(k)), q = [];
    for (let i = 0; i < p; i++) for (let j = 0; j < p; j++) for (let c = 0; c < src.c; c++) q.push(value(c, y + i, x + j));
    return q;
  }
  const rgb = (q, i) => [0, 1, 2].map(c => byte(q[i * src.c + Math.min(c, src.c - 1)]));
  function fresh() { // another source, or another patch size
    if (!src.sizes.includes(p)) p = src.p = src.sizes.filter(k => k < p).at(-1) || src.sizes[0];
    order = null; cols = src.W / p; rows = src.H / p; n = cols * rows;
    size.select.replaceChildren(...src.sizes.map(k => h('option', { value: k, selected: k === p }, `${k}×${k} ${src.kind === 'picture' ? 'pixels' : 'numbers'}`)));
    at = Math.floor(rows / 2) * cols + Math.floor(cols / 2);
    tok.input.max = n - 1;
    about.textContent = src.kind === 'picture' ? '' : 'the latent; its first three channels drawn as red, green and blue';
    pic.canvas.width = src.W; pic.canvas.height = src.H; pic.canvas.style.aspectRatio = `${src.W}/${src.H}`;
    zoom.canvas.width = zoom.canvas.height = p; near.canvas.width = cols; near.canvas.height = rows; near.canvas.style.aspectRatio = `${cols}/${rows}`;
    seq.canvas.width = n; seq.canvas.height = p * p;
    channels.replaceChildren(...Array.from({ length: src.c }, (_, c) => picture(p, p, 84, src.kind === 'picture' ? ['red', 'green', 'blue'][c] : `channel ${c}`)));
    emb = sincos(d, rows, cols);
    const length = p * p * src.c, weights = randoms(d * length);
    own = new Float64Array(n * d); // each patch through one random linear layer, as in an untrained network
    for (let k = 0; k < n; k++) { const q = token(k); for (let i = 0; i < d; i++) { let s = 0; for (let j = 0; j < length; j++) s += weights[i * length + j] * q[j]; own[k * d + i] = s / Math.sqrt(length); } }
    root.weights = weights; all();
  }
  function all() {
    const out = pic.ctx.createImageData(src.W, src.H), s = seq.ctx.createImageData(n, p * p);
    for (let k = 0; k < n; k++) {
      const q = token(k), [y, x] = corner(k);
      for (let i = 0; i < p * p; i++) {
        const colour = [...rgb(q, i), 255];
        out.data.set(colour, 4 * ((y + Math.floor(i / p)) * src.W + x + i % p)); s.data.set(colour, 4 * (i * n + k));
      }
    }
    pic.ctx.putImageData(out, 0, 0); seq.ctx.putImageData(s, 0, 0);
    back.disabled = !order; point();
  }
  function change(positions) { // by how much the shuffle changes attention's answer for the patch in place `at`
    const s = source(at), before = own.slice(), after = new Float64Array(n * d);
    for (let k = 0; k < n; k++) for (let i = 0; i < d; i++) {
      after[k * d + i] = own[source(k) * d + i] + (positions ? emb[k * d + i] : 0);
      if (positions) before[k * d + i] += emb[k * d + i];
    }
    const a = answer(before, d, s), b = answer(after, d, at); let up = 0, down = 0;
    for (let i = 0; i < d; i++) { up += (a[i] - b[i]) ** 2; down += a[i] ** 2; }
    return Math.sqrt(up / (down || 1));
  }
  function point() {
    const q = token(at), [y, x] = [Math.floor(at / cols), at % cols], s = source(at);
    tok.value = at;
    const z = zoom.ctx.createImageData(p, p); for (let i = 0; i < p * p; i++) z.data.set([...rgb(q, i), 255], 4 * i); zoom.ctx.putImageData(z, 0, 0);
    Array.from(channels.children).forEach((pane, c) => heat(pane, q.filter((_, i) => i % src.c === c).map(v => v / src.limit), diverging));
    const sim = new Float64Array(n); let low = Infinity;
    for (let k = 0; k < n; k++) { let v = 0; for (let i = 0; i < d; i++) v += emb[k * d + i] * emb[at * d + i]; sim[k] = v / (d / 2); low = Math.min(low, sim[k]); } // sin² + cos² = 1, d/2 times
    heat(near, Array.from(sim, v => (v - low) / (1 - low || 1)), sequential);
    near.text(`how alike its position is to every other: dark ${low.toFixed(2)}, bright 1.00`);
    numbers.textContent = q.slice(0, 96).map(v => v.toFixed(2)).join('  ') + (q.length > 96 ? `  … (${q.length} numbers)` : '');
    state.textContent = `token ${at} of ${n}: row ${y}, column ${x}${order ? `; its patch came from row ${Math.floor(s / cols)}, column ${s % cols}` : ''}. It has ${p}·${p}·${src.c} = ${q.length} numbers.` +
      (p > 1 ? ` Half the patch size would make ${4 * n} tokens, and sixteen times the pairs that attention compares.` : '');
    const moved = order && [change(false), change(true)], percent = v => `${(100 * v).toFixed(1)} %`;
    effect.textContent = order ? `Shuffled. Does attention notice? Its answer for this patch changed by ${percent(moved[0])} without positions: it treats tokens as a set, the order is nothing to it. With the position embedding of its new place added to every token it changed by ${percent(moved[1])}: only positions tell the network where a patch belongs.`
      : 'Each token is given its place as a list of sines and cosines; neighbours get similar lists, so the network can tell near from far. Shuffle the tokens to see what would be lost without.';
    const g = grid.getContext('2d');
    grid.height = Math.round(wide * 2 * src.H / src.W);
    const c = grid.width / cols, r = grid.height / rows;
    g.lineWidth = 1; g.strokeStyle = 'rgba(128,128,128,.7)';
    if (c > 8) { g.beginPath(); for (let k = 1; k < cols; k++) { g.moveTo(k * c, 0); g.lineTo(k * c, grid.height); } for (let k = 1; k < rows; k++) { g.moveTo(0, k * r); g.lineTo(grid.width, k * r); } g.stroke(); }
    g.lineWidth = 7; g.strokeStyle = '#fff'; g.strokeRect(x * c, y * r, c, r); g.lineWidth = 4; g.strokeStyle = '#c4572b'; g.strokeRect(x * c, y * r, c, r);
    here.style.left = `${(at + .5) / n * 100}%`;
    root.dataset.shown = `${p}:${at}:${order ? 'shuffled' : 'ordered'}`; root.dataset.source = src.kind;
    Object.assign(root, { similarity: Array.from(sim), token: q, order: order && order.slice(), moved });
  }
  const go = (y, x) => { const to = Math.min(rows - 1, Math.max(0, y)) * cols + Math.min(cols - 1, Math.max(0, x)); if (to !== at) { at = to; point(); } };
  const pointed = e => { const b = grid.getBoundingClientRect(); go(Math.floor((e.clientY - b.top) / b.height * rows), Math.floor((e.clientX - b.left) / b.width * cols)); };
  grid.addEventListener('pointermove', pointed); grid.addEventListener('pointerdown', pointed);
  grid.addEventListener('keydown', e => { const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key]; if (!step) return; e.preventDefault(); go(Math.floor(at / cols) + step[0], at % cols + step[1]); });
  fresh();
  return listen(model, { patch: () => { if (model.get('patch') !== p) { p = model.get('patch'); fresh(); } } });
}
