// LatentExplorer: what the autoencoder keeps, what it loses, and what its numbers do.
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'The autoencoder squeezes a picture into a small stack of numbers, the latent, and paints it again from these. Pick a picture and see what survives; then walk between two latents, or push a single number.');
  const L = live(model), problem = h('div', { class: 'error', role: 'alert', hidden: true });
  let facts = JSON.parse(model.get('facts')), sheets = {}, which = model.get('which'), closed = false;
  const [H, W] = facts.size, [c, lh, lw] = facts.latent, A = facts.pushes.length, Z = Math.max(1, Math.round(112 / lw)); // Z: screen pixels of the canvas for one number
  const big = (cap, alt = cap) => picture(W, H, 150, cap, alt), side = 'align-items:flex-start';
  const title = text => h('h4', { style: 'margin:16px 0 4px' }, text);

  // the picture, its latent and what was lost
  const parts = { original: big('original'), recon: big('reconstruction'), error: big('error, ×5: black is right'), fake: big('PatchGAN: bright looks fake'), lpips: big('LPIPS: bright looks different') };
  const state = h('div', { class: 'state', role: 'status' }), missing = h('div', { class: 'caption' });
  const pick = slider({ label: 'picture', max: facts.count - 1, value: which, show: v => v + 1, oninput: v => { which = v; apart(); draw(); mix(); settle(row, col); } });
  const file = h('input', { type: 'file', 'aria-label': 'a picture of your own', style: 'max-width:100%' });
  file.addEventListener('change', () => { if (file.files[0]) upload(file.files[0]); });
  const latents = Array.from({ length: c }, (_, j) => {
    const p = picture(lw * Z, lh * Z, 112, `channel ${j}`, `latent channel ${j}: arrow keys choose the number to push`);
    p.canvas.tabIndex = 0; p.canvas.setAttribute('role', 'application'); p.canvas.style.cursor = 'crosshair';
    const at = e => { const r = p.canvas.getBoundingClientRect(); point(j, (e.clientY - r.top) / r.height * lh, (e.clientX - r.left) / r.width * lw); };
    p.canvas.addEventListener('pointerdown', e => { p.canvas.setPointerCapture(e.pointerId); at(e); });
    p.canvas.addEventListener('pointermove', e => { if (e.buttons) at(e); });
    p.canvas.addEventListener('keydown', e => {
      const d = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
      if (d) { e.preventDefault(); step(j, ...d); }
    });
    return p;
  });
  root.append(h('div', { class: 'dw-row' }, pick, L && h('label', {}, h('span', {}, 'your own'), file)), problem, state, h('div', { class: 'dw-row', style: side }, Object.values(parts)), missing,
    title('Its latent'),
    h('div', { class: 'caption' }, `${c} channels of ${lh}×${lw} numbers, ${(3 * H * W / (c * lh * lw)).toFixed(0)} times fewer than the picture has. Blue is below zero, orange above; full colour is 3 standard deviations.`),
    h('div', { class: 'dw-row', style: side }, latents));

  // between two
  const mixZ = big('mixed in the latent', 'mixture in the latent'), mixX = big('mixed in pixels: a double exposure', 'mixture of pixels'), mixNote = h('div', { class: 'caption', style: 'min-height:1.5em' });
  const second = slider({ label: 'second picture', max: facts.count - 1, value: which === 0 ? 1 : 0, show: v => v + 1, oninput: mix });
  const w = slider({ label: 'from the first to the second', max: facts.mixes - 1, value: Math.floor(facts.mixes / 2), long: true, show: v => `${Math.round(100 * v / (facts.mixes - 1))} %`, oninput: mix });
  function apart() { if (which === second.value) second.value = (which + 1) % facts.count; } // a walk from a picture to itself shows nothing
  root.append(title('Between two pictures'), h('div', { class: 'dw-row' }, second, w), h('div', { class: 'dw-row', style: side }, mixX, mixZ), mixNote);

  // one number
  const nud = big('after the push', 'picture after the push'), dif = big('what it changes, ×4', 'difference'), pushNote = h('div', { class: 'caption', style: 'min-height:1.5em' });
  let chan = 0, [row, col] = facts.spot;
  const channel = slider({ label: 'channel', max: c - 1, value: 0, oninput: v => { chan = v; settle(row, col); } });
  const much = slider({ label: 'push, in standard deviations', max: A - 1, value: A - 1, show: v => (facts.pushes[v] > 0 ? '+' : '') + facts.pushes[v], oninput: push });
  root.append(title('One number pushed'), h('div', { class: 'caption' }, 'Point at a number in one of the channels above, or move there with Tab and the arrow keys: it is framed. Then push it.'),
    h('div', { class: 'dw-row' }, channel, much), h('div', { class: 'dw-row', style: side }, nud, dif), pushNote);

  // What has been made, by key: 'mix:0:1' or 'push:0:2:8:8' (picture, channel, row, column). Python makes the rest when asked.
  const made = new Map(), asked = new Set();
  let sent = [];
  let stock = JSON.parse(model.get('stock')), timer = null;
  async function keep(key, bytes) {
    const b = await bitmap(bytes);
    if (closed) return b.close();
    made.get(key)?.close(); made.delete(key); made.set(key, b); asked.delete(key);
    if (made.size > 80) { const [old] = made.keys(); made.get(old).close(); made.delete(old); }
    mix(); push();
  }
  function get(key) {
    if (made.has(key)) return made.get(key);
    if (stock[key]) { const [from, length] = stock[key]; if (!asked.has(key)) { asked.add(key); keep(key, bytesOf(model.get('store')).slice(from, from + length)); } }
    else if (L) { clearTimeout(timer); timer = setTimeout(want, 60); }
    return null;
  }
  function want() { // the newest wishes only: Python drops the older ones
    const keys = [mixKey(), pushKey()].filter(k => k && !made.has(k) && !stock[k]);
    if (closed || keys.every(k => sent.includes(k))) return; // nothing is missing, or it is on its way
    sent = keys; model.send({ command: 'want', keys });
  }
  const mixKey = () => which === second.value ? null : `mix:${Math.min(which, second.value)}:${Math.max(which, second.value)}`;
  const pushKey = () => `push:${which}:${chan}:${row}:${col}`;

  function mix() {
    if (!sheets.original) return;
    const i = w.value, f = i / (facts.mixes - 1), key = mixKey(), b = key && get(key);
    drawCell(mixX, sheets.original, which, W, H, facts.cols);
    mixX.ctx.globalAlpha = f; drawCell(mixX, sheets.original, second.value, W, H, facts.cols); mixX.ctx.globalAlpha = 1;
    if (!key) drawCell(mixZ, sheets.recon, which, W, H, facts.cols);
    else if (b) drawCell(mixZ, b, which < second.value ? i : facts.mixes - 1 - i, W, H, facts.mixes);
    else if (!L) mixZ.ctx.clearRect(0, 0, W, H);
    mixNote.textContent = !key ? 'Both are the same picture: choose another one.' : b || stock[key] ? `${facts.names[which]} → ${facts.names[second.value]}: in the middle, are there two outlines or one?`
      : L ? 'decoding …' : 'This pair was not made ready for this page; with Python behind it any pair works.';
    if (b || !key) root.dataset.mix = `${key}:${i}`;
  }
  function push() {
    if (!sheets.original) return;
    const key = pushKey(), b = get(key), k = much.value;
    if (b) { drawCell(nud, b, k, W, H, A); drawCell(dif, b, A + k, W, H, A); root.dataset.push = `${key}:${k}`; }
    else if (!L) { nud.ctx.clearRect(0, 0, W, H); dif.ctx.clearRect(0, 0, W, H); }
    const z = facts.pushes[k];
    pushNote.textContent = b || stock[key] ? `channel ${chan}, row ${row}, column ${col}: ${z > 0 ? '+' : ''}${z} standard deviations${z === 0 ? ', so nothing changes' : ''}.`
      : L ? 'decoding …' : 'No pushes were made ready for this picture on this page; with Python behind it any number of any picture can be pushed.';
  }

  // the framed number; a page without Python knows only some places, so the nearest of them is taken
  const places = () => Object.keys(stock).map(k => k.split(':')).filter(k => k[0] === 'push' && +k[1] === which && +k[2] === chan).map(k => [+k[3], +k[4]]);
  function settle(r, q) {
    row = Math.max(0, Math.min(lh - 1, Math.floor(r))); col = Math.max(0, Math.min(lw - 1, Math.floor(q)));
    const known = L ? [] : places();
    if (known.length) [row, col] = known.reduce((a, b) => Math.hypot(b[0] - row, b[1] - col) < Math.hypot(a[0] - row, a[1] - col) ? b : a);
    marks(); push();
  }
  function point(j, r, q) { chan = j; channel.value = j; settle(r, q); }
  function step(j, dr, dq) {
    chan = j; channel.value = j;
    const known = L ? [] : places(), ahead = known.map(([r, q]) => [r, q, (r - row) * dr + (q - col) * dq, Math.abs((r - row) * dq) + Math.abs((q - col) * dr)]).filter(p => p[2] > 0).sort((a, b) => a[2] + 3 * a[3] - b[2] - 3 * b[3]);
    if (known.length) { if (ahead.length) [row, col] = ahead[0]; marks(); push(); } else settle(row + dr, col + dq);
  }
  function marks() {
    if (!sheets.latents) return;
    latents.forEach((p, j) => {
      drawCell(p, sheets.latents, which * c + j, lw, lh, facts.latent_cols);
      for (const [colour, width] of [['#fff', 4], ['#111', 2]]) { // two tones, to be seen on any ground
        p.ctx.strokeStyle = colour; p.ctx.lineWidth = width; p.ctx.setLineDash(j === chan ? [] : [2, 3]);
        p.ctx.strokeRect(col * Z, row * Z, Z, Z);
      }
      p.text(`channel ${j}${j === chan ? ', framed' : ''}`);
    });
  }

  let loading = 0;
  async function load() {
    const mine = ++loading, f = JSON.parse(model.get('facts')), all = bytesOf(model.get('pixels')).slice(), next = {};
    await Promise.all(Object.entries(f.sheets).map(async ([k, [from, length]]) => { next[k] = await bitmap(all.subarray(from, from + length)); }));
    if (mine !== loading || closed) return Object.values(next).forEach(b => b.close()); // a newer set is on its way
    const more = f.count > facts.count && sheets.original;
    Object.values(sheets).forEach(b => b.close()); sheets = next; facts = f;
    pick.input.max = second.input.max = f.count - 1;
    if (more) which = f.count - 1; // the picture that was just uploaded
    pick.value = which; apart(); draw(); mix(); settle(row, col);
  }
  function draw() {
    if (!sheets.original) return;
    for (const [k, p] of Object.entries(parts)) { p.style.display = sheets[k] ? '' : 'none'; if (sheets[k]) drawCell(p, sheets[k], which, W, H, facts.cols); }
    marks();
    const d = facts.critic;
    state.textContent = `${facts.names[which]}: PSNR ${facts.psnr[which].toFixed(1)} dB (10 dB more is a tenth of the squared error)` + (facts.lpips ? `; LPIPS ${facts.lpips[which].toFixed(4)} (0 is no difference)` : '')
      + (d ? `; PatchGAN's mean score ${d.real[which].toFixed(2)} for the original, ${d.fake[which].toFixed(2)} for the reconstruction (higher looks more real)` : '') + '.';
    missing.textContent = facts.missing; missing.style.display = facts.missing ? '' : 'none';
    root.dataset.shown = `${which}`;
  }
  async function upload(f) {
    problem.hidden = true;
    if (f.size > 50e6) { problem.textContent = `${f.name} has ${(f.size / 1e6).toFixed(0)} MB; choose a picture of at most 50 MB`; problem.hidden = false; file.value = ''; return; }
    const bytes = new Uint8Array(await f.arrayBuffer()); let s = '';
    for (let i = 0; i < bytes.length; i += 8192) s += String.fromCharCode(...bytes.subarray(i, i + 8192));
    model.send({ command: 'upload', name: f.name, data: btoa(s) });
    file.value = ''; // so that the same file can be chosen again
  }
  const off = listen(model, { pixels: load, msg: (m, buffers) => {
    if (m.error) { sent = []; problem.textContent = m.error; problem.hidden = false; }
    if (m.key && buffers?.length) keep(m.key, buffers[0]);
  } });
  load();
  return () => { closed = true; off(); clearTimeout(timer); Object.values(sheets).forEach(b => b.close()); made.forEach(b => b.close()); made.clear(); };
}
