// LatentExplorer: what the autoencoder keeps, what it loses, and what its numbers do.
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'The autoencoder squeezes a picture into a small stack of numbers, the latent, and paints it again from these. Pick a picture and see what survives; then walk between two latents, or push a single number.');
  const problem = h('div', { class: 'error', role: 'alert', hidden: true }), L = live(model);
  const first = JSON.parse(model.get('facts')), [H, W] = first.size, [c, lh, lw] = first.latent;
  const big = (cap, alt = cap) => picture(W, H, 150, cap, alt);
  const parts = { original: big('original'), recon: big('reconstruction'), error: big('error, ×5: where they differ'), fake: big('PatchGAN: bright looks fake'), lpips: big('LPIPS: bright looks different') };
  const latents = Array.from({ length: c }, (_, j) => picture(lw, lh, 110, `channel ${j}`, `latent channel ${j}`));
  const state = h('div', { class: 'state', role: 'status' });
  const pick = slider({ label: 'picture', max: first.count - 1, value: model.get('which'), show: v => v + 1, oninput: v => { which = v; if (L) model.send({ command: 'pick', which: v }); draw(); } });
  const file = h('input', { type: 'file', accept: 'image/*', 'aria-label': 'a picture of your own' });
  file.addEventListener('change', async () => { if (!file.files[0]) return; problem.hidden = true; const bytes = new Uint8Array(await file.files[0].arrayBuffer()); let s = ''; for (let i = 0; i < bytes.length; i += 8192) s += String.fromCharCode(...bytes.subarray(i, i + 8192)); model.send({ command: 'upload', name: file.files[0].name, data: btoa(s) }); });
  const missing = h('div', { class: 'caption' });
  root.append(h('div', { class: 'row' }, pick, L && h('label', {}, 'your own', file)), problem, state, h('div', { class: 'row', style: 'align-items:flex-start' }, Object.values(parts)), missing,
    h('div', { class: 'caption' }, `the latent: ${c} channels of ${lh}×${lw} numbers, ${(3 * H * W / (c * lh * lw)).toFixed(0)} times fewer than the picture has; blue below zero, orange above`), h('div', { class: 'row' }, latents));
  // between two
  const mixZ = big('in the latent', 'mixture in the latent'), mixX = big('in pixels: a double exposure', 'mixture of pixels');
  const w = slider({ label: 'from the first to the second', max: first.mixes - 1, value: Math.floor(first.mixes / 2), long: true, show: v => `${Math.round(100 * v / (first.mixes - 1))} %`, oninput: mix });
  root.append(h('h4', { style: 'margin:14px 0 4px' }, 'Between two pictures'), h('div', { class: 'row', style: 'align-items:flex-start' }, mixZ, mixX, w));
  // one number
  const nud = big('one number pushed', 'picture after the push'), dif = big('what it changes, ×4', 'difference');
  const chan = slider({ label: 'channel', max: c - 1, value: 0, oninput: push }), much = slider({ label: 'push, in standard deviations', max: first.pushes.length - 1, value: first.pushes.length - 2, show: v => first.pushes[v], oninput: push });
  root.append(h('h4', { style: 'margin:14px 0 4px' }, `One number of the latent, at row ${first.spot[0]}, column ${first.spot[1]}`), h('div', { class: 'row', style: 'align-items:flex-start' }, nud, dif, h('div', {}, h('div', {}, chan), h('div', {}, much))));

  let which = model.get('which'), facts = first, sheets = {};
  async function load() {
    facts = JSON.parse(model.get('facts')); const all = bytesOf(model.get('pixels')), next = {};
    for (const [k, [from, length]] of Object.entries(facts.sheets)) next[k] = await bitmap(all.subarray(from, from + length));
    Object.values(sheets).forEach(b => b.close()); sheets = next;
    pick.input.max = facts.count - 1; which = model.get('which'); pick.value = which; draw(); mix(); push();
  }
  function draw() {
    if (!sheets.original) return;
    for (const [k, p] of Object.entries(parts)) { p.hidden = p.style.display = sheets[k] ? '' : 'none'; if (sheets[k]) drawCell(p, sheets[k], which, W, H, facts.cols); }
    latents.forEach((p, j) => drawCell(p, sheets.latents, which * c + j, lw, lh, facts.latent_cols));
    state.textContent = `${facts.names[which]}: ${facts.psnr[which].toFixed(1)} dB (10 dB more is a tenth of the squared error)` + (facts.lpips ? `, LPIPS ${facts.lpips[which].toFixed(4)}` : '');
    missing.textContent = facts.missing; root.dataset.shown = `${which}`;
  }
  function mix() { if (!sheets.mix_z) return; drawCell(mixZ, sheets.mix_z, w.value, W, H, facts.cols); drawCell(mixX, sheets.mix_x, w.value, W, H, facts.cols); root.dataset.mix = w.value; }
  function push() { if (!sheets.pushed) return; const k = chan.value * facts.pushes.length + much.value; drawCell(nud, sheets.pushed, k, W, H, facts.cols); drawCell(dif, sheets.changed, k, W, H, facts.cols); root.dataset.push = k; }
  const off = listen(model, { pixels: load, msg: m => { if (m.error) { problem.textContent = m.error; problem.hidden = false; } } });
  load();
  return () => { off(); Object.values(sheets).forEach(b => b.close()); };
}
