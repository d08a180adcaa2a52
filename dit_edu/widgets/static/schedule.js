// ScheduleExplorer: everything is computed here, by the formulas of dit_edu.schedules.
function schedule({ name, T, start, end }) { // -> { beta, alpha, sigma }, each T numbers
  const at = (f, n = T) => Array.from({ length: n }, (_, i) => f(n > 1 ? i / (n - 1) : 0, i));
  if (name === 'flow') { const s = at((_, i) => (i + 1) / T); return { beta: null, alpha: s.map(v => 1 - v), sigma: s }; }
  const line = (a, b, u) => a + (b - a) * u;
  const cos2 = u => Math.cos((u + .008) / 1.008 * Math.PI / 2) ** 2;
  const beta = {
    linear: () => at(u => line(start, end, u)),
    scaled_linear: () => at(u => line(Math.sqrt(start), Math.sqrt(end), u) ** 2),
    cosine: () => at((_, i) => Math.min(.999, 1 - cos2((i + 1) / T) / cos2(i / T))),
    sigmoid: () => at(u => start + (end - start) / (1 + Math.exp(-line(-6, 6, u)))),
  }[name]();
  let abar = 1;
  const kept = beta.map(b => abar *= 1 - b);
  return { beta, alpha: kept.map(Math.sqrt), sigma: kept.map(a => Math.sqrt(1 - a)) };
}
function normals(n, seed = 1) { // standard normal numbers, the same each time (mulberry32, Box-Muller)
  let a = seed >>> 0;
  const uniform = () => { a = (a + 0x6D2B79F5) | 0; let t = Math.imul(a ^ (a >>> 15), 1 | a); t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t; return ((t ^ (t >>> 14)) >>> 0) / 4294967296; };
  return Float32Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'A schedule says how much of the picture (α) and how much noise (σ) is left in x_t = α·x0 + σ·ε at each timestep t. Choose one, drag t, and watch where on the way the picture is lost.');
  const [H, W] = model.get('size'), image = bytesOf(model.get('image')), eps = normals(3 * H * W);
  const now = { ...model.get('settings') }, kept = [];
  const names = [['linear', 'linear β (DDPM, DiT)'], ['scaled_linear', 'scaled linear β (latent diffusion)'], ['cosine', 'cosine'], ['sigmoid', 'sigmoid β'], ['flow', 'straight path (flow matching)']];
  const keep = k => v => { now[k] = v; changed(); };
  const pow = v => +(10 ** v).toPrecision(3);
  const f = {
    name: choice({ label: 'schedule', options: names, value: now.name, oninput: keep('name') }),
    T: slider({ label: 'timesteps T', min: 2, max: 1000, value: now.T, oninput: keep('T') }),
    start: slider({ label: 'first β', min: -6, max: -2, step: .05, value: Math.log10(now.start), show: v => pow(v), oninput: v => keep('start')(pow(v)) }),
    end: slider({ label: 'last β', min: -3, max: -.1, step: .05, value: Math.log10(now.end), show: v => pow(v), oninput: v => keep('end')(pow(v)) }),
  };
  const t = slider({ label: 'timestep t', max: now.T - 1, value: Math.round(now.T * .3), long: true, oninput: draw });
  const play = player({ count: () => now.T, get: () => t.value, set: v => { t.value = v; draw(); }, fps: 30 });
  const add = button('Keep for comparison', () => { kept.push({ ...label(), ...current }); if (kept.length > 4) kept.shift(); draw(); });
  const clear = button('Clear', () => { kept.length = 0; draw(); });
  const pic = picture(W, H, 200, '', 'the picture at timestep t'), strip = picture(W * 8, H, 640, 'eight timesteps, evenly spread', 'the picture at eight timesteps');
  strip.canvas.style.width = 'min(100%, 640px)';
  const wide = { width: 330, height: 190, xlabel: 't / T' };
  const charts = { abar: chart({ ...wide, ylabel: 'ᾱ = α²', ylim: [0, 1], xlim: [0, 1] }), snr: chart({ ...wide, ylabel: 'log SNR', ylim: [-12, 12], xlim: [0, 1] }), beta: chart({ ...wide, ylabel: 'β', logy: true, xlim: [0, 1] }) };
  const state = h('div', { class: 'state', role: 'status' });
  root.append(h('div', { class: 'row', style: 'align-items:flex-start; gap:16px 28px' },
    h('div', { style: 'flex: 0 1 330px; min-width:250px' }, h('div', { class: 'controls' }, Object.values(f)), h('div', { class: 'row' }, add, clear)), pic),
    h('div', { class: 'row' }, play, t), state, strip, h('div', { class: 'row', style: 'align-items:flex-start' }, charts.abar.element, charts.snr.element, charts.beta.element));

  let current;
  const label = () => ({ name: now.name + (now.name === 'flow' || now.name === 'cosine' ? '' : ` ${now.start}…${now.end}`) });
  function changed() {
    if (now.end < now.start) { now.end = now.start; f.end.value = Math.log10(now.end); }
    f.start.input.disabled = f.end.input.disabled = now.name === 'flow' || now.name === 'cosine';
    const where = t.value / Math.max(1, +t.input.max);
    t.input.max = now.T - 1; t.value = Math.round(where * (now.T - 1));
    current = schedule(now); model.set('settings', { ...now }); model.save_changes(); draw();
  }
  function noised(ctx, a, s, x) {
    const out = ctx.createImageData(W, H);
    for (let p = 0; p < W * H; p++) {
      for (let c = 0; c < 3; c++) out.data[4 * p + c] = (a * (image[3 * p + c] / 127.5 - 1) + s * eps[3 * p + c] + 1) * 127.5;
      out.data[4 * p + 3] = 255;
    }
    ctx.putImageData(out, x, 0);
  }
  function draw() {
    const i = Math.min(t.value, now.T - 1), { alpha, sigma } = current;
    noised(pic.ctx, alpha[i], sigma[i], 0);
    for (let k = 0; k < 8; k++) { const j = Math.round(k / 7 * (now.T - 1)); noised(strip.ctx, alpha[j], sigma[j], k * W); }
    state.textContent = `t = ${i}: x_t = ${alpha[i].toFixed(3)} · picture + ${sigma[i].toFixed(3)} · noise; signal to noise ${(alpha[i] ** 2 / sigma[i] ** 2).toPrecision(3)}`;
    const all = [{ ...label(), ...current }, ...kept], line = g => all.filter(g).map(s => ({ name: s.name, x: s.alpha.map((_, j) => j / Math.max(1, s.alpha.length - 1)), y: g(s) }));
    const at = i / Math.max(1, now.T - 1);
    charts.abar.draw(line(s => s.alpha.map(a => a * a)), { at });
    charts.snr.draw(line(s => s.alpha.map((a, j) => 2 * Math.log(a / s.sigma[j]))), { at });
    charts.beta.draw(line(s => s.beta), now.name === 'flow' ? { note: 'the straight path has no β' } : { at });
    root.dataset.shown = `${now.name}:${i}`; root.numbers = current;
  }
  changed();
  return () => play.stop();
}
