// SamplingDemo: choose, generate, watch the x0 prediction grow, scrub it, save it.
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'Each picture begins as noise and is made clean in steps. What grows below is the x0 prediction: what the network believes, at this step, that the finished picture is.');
  const models = model.get('models'), names = Object.keys(models), now = { skip: 1, attributes: {}, ...model.get('settings') };
  let shown = { t: [], n: 0, cols: 0, size: [0, 0], sheets: {} }, bitmaps = {}, drawing = 0, loading = 0, field = {};
  const keep = (k, f = v => v) => v => { now[k] = f(v); hints(); };
  const hint = h('div', { class: 'caption', role: 'note' });
  const box = h('div', { class: 'controls' });
  const pick = names.length > 1 && h('div', { class: 'controls', style: 'margin-bottom: 7px' },
    choice({ label: 'model', options: names, value: now.model, oninput: v => { Object.assign(now, { model: v }, models[v].begin); build(); } }));
  const some = h('div', { class: 'controls', style: 'margin-top: 7px' }), count = h('summary', {});
  const parts = h('details', {}, count, some);
  const chosen = () => { const n = Object.keys(now.attributes).length; count.textContent = `its parts (${n ? `${n} chosen` : 'by chance'})`; };
  const ask = k => v => { now.attributes = { ...now.attributes }; if (v) now.attributes[k] = v; else delete now.attributes[k]; chosen(); };
  const offer = () => { // what may be asked for beside the class; what is not asked for comes by chance
    const all = Object.entries((models[now.model].parts || {})[now.y] || {}), known = Object.fromEntries(all);
    now.attributes = Object.fromEntries(Object.entries(now.attributes).filter(([k, v]) => k in known && known[k].includes(v)));
    some.replaceChildren(...all.map(([k, values]) => choice({ label: k, options: [['', 'any'], ...values], value: now.attributes[k] ?? '', oninput: ask(k) })));
    parts.hidden = !all.length; chosen();
  };
  const build = () => { // what can be set depends on the model: its classes, its timesteps
    const { classes, timesteps: T } = models[now.model];
    field = fields(classes, T);
    box.replaceChildren(...Object.values(field).flatMap((f, i) => i ? f || [] : [f || [], parts].flat()));
    offer(); hints();
  };
  const near = (v, k, low, high) => Math.abs(v - now[k]) < .13 || v === low && now[k] < low || v === high && now[k] > high ? now[k] : v; // what is used, not where the knob snapped
  const fields = (classes, T) => ({
    y: !!classes.length && choice({ label: 'class', options: [['mixed', 'one of each'], ['none', 'no class'], ...classes.map((c, i) => [i, `${i} ${c}`])], value: now.y, oninput: v => { keep('y', v => isNaN(v) ? v : +v)(v); offer(); } }),
    seed: number({ label: 'seed', min: 0, max: 2 ** 31 - 1, value: now.seed, oninput: keep('seed') }),
    n: slider({ label: 'pictures', min: 1, max: 25, value: now.n, oninput: keep('n') }),
    steps: slider({ label: 'steps', min: 1, max: Math.min(T, 100), value: now.steps, oninput: keep('steps') }),
    sampler: choice({ label: 'sampler', options: model.get('samplers'), value: now.sampler, oninput: keep('sampler') }),
    scale: slider({ label: 'guidance', min: 0, max: 8, step: .25, value: now.scale, show: v => near(v, 'scale', 0, 8).toFixed(2), oninput: keep('scale') }),
    low: slider({ label: 'guided from t', min: 0, max: T - 1, value: now.low, oninput: v => { now.low = v; if (now.high < v) field.high.value = now.high = v; hints(); } }),
    high: slider({ label: 'up to t', min: 0, max: T - 1, value: now.high, oninput: v => { now.high = v; if (now.low > v) field.low.value = now.low = v; hints(); } }),
    skip: !!models[now.model].weaker && slider({ label: 'skip guidance', min: 1, max: 4, step: .25, value: now.skip, show: v => near(v, 'skip', 1, 4).toFixed(2), oninput: keep('skip') }),
  });
  const go = button('Generate', () => model.send({ command: 'generate', settings: { ...now } }), { class: 'main' });
  const stop = button('Stop', () => model.send({ command: 'stop' }));
  const dice = button('New seed', () => { now.seed = Math.floor(Math.random() * 1e6); field.seed.input.value = now.seed; go.click(); });
  const bar = h('progress', { max: 1, value: 0, 'aria-label': 'steps done' }), note = h('span', { class: 'state', role: 'status' });
  const problem = h('div', { class: 'error', role: 'alert', hidden: true });
  const pic = picture(64, 64, 384, '', 'the samples');
  pic.canvas.style.width = 'min(100%, 520px)';
  const scrub = slider({ label: 'step', max: 1, value: 0, long: true, show: v => shown.t.length ? `${v + 1} (t=${shown.t[v]})` : '–', oninput: drawFrame });
  const play = player({ count: () => shown.t.length, get: () => scrub.value, set: v => { scrub.value = v; drawFrame(v); }, fps: 15 });
  const which = choice({ label: 'show', options: [['x0', 'x0 prediction'], ['xt', 'x_t, the noisy one']], value: 'x0', oninput: () => drawFrame(scrub.value) });
  const saves = ['png', 'gif', 'webp'].map(f => button(f.toUpperCase(), () => model.send({ command: 'save', kind: f }), { 'aria-label': `save as ${f}` }));

  const controls = live(model) && h('div', { style: 'flex: 0 1 330px; min-width: 250px' },
    pick, box, hint,
    h('div', { class: 'dw-row' }, go, stop, dice), h('div', { class: 'dw-row' }, bar, note), problem);
  const right = h('div', { style: 'flex: 1 1 420px; min-width: 0' }, pic, h('div', { class: 'dw-row' }, play, scrub, which),
    live(model) && h('div', { class: 'dw-row' }, h('span', {}, 'save'), saves));
  root.append(h('div', { class: 'dw-row', style: 'align-items: flex-start; gap: 16px 32px' }, controls, right));

  function hints() { // what a setting means for this model, in a line
    const s = [];
    if (now.y === 'none' && now.scale !== 1) s.push('Without a class there is nothing to guide towards: guidance does nothing.');
    else if (now.scale > 5) s.push('So much guidance makes colours loud and pictures alike.');
    else if (now.scale === 0) s.push('Guidance 0 ignores the class, but only between the two t below.');
    if (now.skip !== 1 && models[now.model].weaker) s.push(`Skip guidance pushes away from the same network ${models[now.model].weaker}.`);
    if (now.steps < 8 && now.sampler === 'ddpm') s.push('DDPM needs many steps; Heun or DPM-Solver++ do with few.');
    hint.textContent = s.join(' ');
  }
  function grid(k) { const { n, cols, size: [H, W] } = shown; return [cols * W, Math.ceil(n / cols) * H]; }
  function drawFrame(i) {
    const last = which.select.value === 'x0' && i === shown.t.length - 1, sheet = (last && bitmaps.result) || bitmaps[which.select.value] || bitmaps.x0;
    if (!sheet || !shown.t.length) return;
    const [w, hgt] = grid();
    if (pic.canvas.width !== w || pic.canvas.height !== hgt) { pic.canvas.width = w; pic.canvas.height = hgt; pic.canvas.style.aspectRatio = `${w}/${hgt}`; }
    const per = sheet.width / w | 0, k = sheet === bitmaps.result ? 0 : i; // the result is a sheet of one
    pic.ctx.drawImage(sheet, (k % per) * w, Math.floor(k / per) * hgt, w, hgt, 0, 0, w, hgt);
    root.dataset.shown = `${model.get('run')}:${i}:${which.select.value}`;
  }
  async function preview() { // one grid, as it grows
    const bytes = model.get('preview'), ticket = ++drawing;
    if (!bytesOf(bytes).length) return;
    const b = await bitmap(bytes);
    if (ticket !== drawing) return b.close();                   // a newer one is on its way
    if (pic.canvas.width !== b.width || pic.canvas.height !== b.height) { pic.canvas.width = b.width; pic.canvas.height = b.height; pic.canvas.style.aspectRatio = `${b.width}/${b.height}`; }
    pic.ctx.drawImage(b, 0, 0); b.close();
    root.dataset.preview = (+root.dataset.preview || 0) + 1;
  }
  async function frames() { // all timesteps of the finished run
    const facts = JSON.parse(model.get('frames') || '{}'), mine = ++loading, free = b => Object.values(b).forEach(v => v.close());
    if (!facts.t) { free(bitmaps); shown = { t: [], n: 0, cols: 0, size: [0, 0] }; bitmaps = {}; scrub.input.disabled = play.disabled = true; return; }
    const all = bytesOf(model.get('pixels')), loaded = {};
    for (const [k, [from, length]] of Object.entries(facts.sheets)) loaded[k] = await bitmap(all.subarray(from, from + length));
    if (mine !== loading) return free(loaded);                  // another run has begun meanwhile
    free(bitmaps); shown = facts; bitmaps = loaded; drawing++;
    scrub.input.disabled = play.disabled = false; scrub.input.max = facts.t.length - 1; scrub.value = facts.t.length - 1;
    drawFrame(scrub.value);
  }
  function status() {
    const running = model.get('running'), [done, total] = model.get('progress');
    stop.disabled = !running; bar.max = Math.max(1, total); bar.value = done; note.textContent = model.get('note');
    saves.forEach(b => b.disabled = running || !shown.t.length); root.dataset.running = running;
    if (running) { problem.hidden = true; scrub.input.disabled = play.disabled = true; }
  }
  function message(content, buffers) {
    if (content.error) { problem.textContent = content.error; problem.hidden = false; }
    if (content.file) download(buffers[0], content.file, content.type);
  }
  const off = listen(model, { preview, pixels: () => frames().then(status), running: status, progress: status, note: status, msg: message });
  build(); frames().then(() => { status(); if (!shown.t.length) preview(); if (live(model) && model.get('start') && !model.get('run')) go.click(); });
  return () => { play.stop(); off(); Object.values(bitmaps).forEach(b => b.close()); };
}
