// ScheduleExplorer: everything is computed here, by the formulas of dit_edu.schedules.
function schedule({ name, T, start, end }) { // -> { beta, alpha, sigma, abar, snr }, each T numbers (beta: null for flow)
  const at = (f, n = T) => Array.from({ length: n }, (_, i) => f(n > 1 ? i / (n - 1) : 0, i));
  const rest = (alpha, sigma, beta = null, abar = alpha.map(a => a * a)) => ({ beta, alpha, sigma, abar, snr: alpha.map((a, i) => 2 * (Math.log(a) - Math.log(sigma[i]))) });
  if (name === 'flow') { const s = at((_, i) => (i + 1) / T); return rest(s.map(v => 1 - v), s); }
  const line = (a, b, u) => a + (b - a) * u;
  const cos2 = u => Math.cos((u + .008) / 1.008 * Math.PI / 2) ** 2;
  const beta = {
    linear: () => at(u => line(start, end, u)),
    scaled_linear: () => at(u => line(Math.sqrt(start), Math.sqrt(end), u) ** 2),
    cosine: () => at((_, i) => Math.min(.999, 1 - cos2((i + 1) / T) / cos2(i / T))),
    sigmoid: () => at(u => start + (end - start) / (1 + Math.exp(-line(-6, 6, u)))),
  }[name]();
  let kept = 1;
  const abar = beta.map(b => kept *= 1 - b);
  return rest(abar.map(Math.sqrt), abar.map(a => Math.sqrt(1 - a)), beta, abar);
}
function normals(n, seed = 1) { // standard normal numbers, the same each time (mulberry32, Box-Muller)
  let a = seed >>> 0;
  const uniform = () => { a = (a + 0x6D2B79F5) | 0; let t = Math.imul(a ^ (a >>> 15), 1 | a); t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t; return ((t ^ (t >>> 14)) >>> 0) / 4294967296; };
  return Float32Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'A schedule says how much of the picture (α) and how much noise (σ) is in x_t = α·x0 + σ·ε at each timestep t. Choose one, drag t, and watch where on the way the picture is lost.');
  const [H, W] = model.get('size'), image = bytesOf(model.get('image')), eps = normals(3 * H * W);
  const names = [['linear', 'linear β'], ['scaled_linear', 'scaled linear β'], ['cosine', 'cosine'], ['sigmoid', 'sigmoid β'], ['flow', 'straight path: flow']];
  const free = n => n !== 'flow' && n !== 'cosine'; // has two β to choose
  const label = s => `${s.name}${free(s.name) ? ` ${s.start}…${s.end}` : ''}${s.T === 1000 ? '' : `, T = ${s.T}`}`;
  const near = (v, b) => Math.abs(v - Math.log10(b)) < .026 ? b : +(10 ** v).toPrecision(2); // what is used, not where the knob snapped
  let now = { ...model.get('settings') }, kept = model.get('compare').slice(), all = [], panes = [];
  const keep = k => v => { now[k] = v; changed(); };
  const beta = (text, k) => slider({ label: text, min: -6, max: -.1, step: .05, value: Math.log10(now[k]), show: v => near(v, now[k]), oninput: v => keep(k)(near(v, now[k])) });
  const f = {
    name: choice({ label: 'schedule', options: names, value: now.name, oninput: keep('name') }),
    T: slider({ label: 'timesteps T', min: 2, max: 1000, value: now.T, oninput: keep('T') }),
    start: beta('first β', 'start'), end: beta('last β', 'end'),
  };
  const t = slider({ label: 'timestep t', max: now.T - 1, value: Math.round((now.T - 1) * .3), long: true, oninput: draw });
  const play = player({ count: () => now.T, get: () => t.value, set: v => { t.value = v; draw(); }, fps: 30 });
  const add = button('Keep for comparison', () => { kept = [...kept.filter(s => label(s) !== label(now)), { ...now }].slice(-3); tell(); build(); });
  const clear = button('Clear', () => { kept = []; tell(); build(); });
  const chart4 = (ylabel, kw) => chart({ width: 250, height: 180, xlabel: 't / T', xlim: [0, 1], ylabel, alt: `${ylabel} over the timesteps`, ...kw });
  const charts = { abar: chart4('ᾱ = α²', { ylim: [0, 1] }), sigma: chart4('σ', { ylim: [0, 1] }), snr: chart4('log SNR', { ylim: [-12, 12] }), beta: chart4('β', { logy: true, ylim: [1e-8, 1] }) };
  const legend = h('div', { style: 'font-size:13px' });
  Object.values(charts).forEach(c => { c.element.lastChild.hidden = true; }); // one legend for all four
  const state = h('div', { class: 'state', role: 'status' }), tiles = h('div', { class: 'dw-grid', style: 'flex: 1 1 320px; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); align-content:start' });
  const strips = h('div', { class: 'dw-grid' });
  root.append(h('div', { class: 'dw-row', style: 'align-items:flex-start; gap:16px 28px' },
    h('div', { style: 'flex: 0 1 400px; min-width:250px' }, h('div', { class: 'controls' }, Object.values(f)), h('div', { class: 'dw-row' }, add, clear)), tiles),
    h('div', { class: 'dw-row' }, play, t), state,
    h('div', { class: 'dw-row', style: 'align-items:flex-start; gap:8px 12px' }, Object.values(charts).map(c => c.element)), legend,
    h('div', { class: 'caption' }, 'ᾱ: the share of the picture’s variance that is left. Log SNR is the logarithm of ᾱ/σ²: above zero the picture is stronger, below zero the noise; where two schedules have the same log SNR, they show the same picture. β: the variance that one step adds.'),
    h('div', { class: 'caption' }, 'Eight timesteps, evenly spread from t = 0 to T − 1:'), strips);

  function tell() { model.set('settings', { ...now }); model.set('compare', kept); model.save_changes(); }
  function changed() { // the knobs moved
    if (now.end < now.start) { now.end = now.start; }
    f.start.value = Math.log10(now.start); f.end.value = Math.log10(now.end);
    f.start.input.disabled = f.end.input.disabled = !free(now.name);
    const where = t.value / Math.max(1, +t.input.max);
    t.input.max = now.T - 1; t.value = Math.round(where * (now.T - 1));
    tell(); build();
  }
  function build() { // the schedule and those kept: numbers, places for pictures, strips
    all = [now, ...kept].map((s, n) => ({ ...s, text: (n ? 'kept: ' : '') + label(s), ...schedule(s) }));
    legend.replaceChildren(...all.map((s, n) => keyOf(s.text, n)));
    while (panes.length < all.length) {
      const big = picture(W, H, 150, '', 'the picture at timestep t'), strip = picture(W * 8, H, 640, '', 'the picture at eight timesteps');
      strip.canvas.style.width = 'min(100%, 640px)'; panes.push({ big, strip });
    }
    panes.length = all.length;
    tiles.replaceChildren(...panes.map(p => p.big)); strips.replaceChildren(...panes.map(p => p.strip));
    all.forEach((s, n) => {
      for (let k = 0; k < 8; k++) { const j = Math.round(k / 7 * (s.T - 1)); noised(panes[n].strip.ctx, s.alpha[j], s.sigma[j], k * W); }
      panes[n].strip.text(s.text);
    });
    clear.disabled = !kept.length; draw();
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
    const i = t.value, share = i / (now.T - 1), me = all[0];
    all.forEach((s, n) => { // the others at the same share of their way
      const j = Math.round(share * (s.T - 1));
      noised(panes[n].big.ctx, s.alpha[j], s.sigma[j], 0);
      panes[n].big.text(`${s.text}: ᾱ ${s.abar[j].toFixed(3)}`);
    });
    state.textContent = `t = ${i}: x_t = ${me.alpha[i].toFixed(3)} · picture + ${me.sigma[i].toFixed(3)} · noise; log SNR ${Number.isFinite(me.snr[i]) ? me.snr[i].toFixed(2) : '−∞'}.`;
    for (const [k, c] of Object.entries(charts))
      c.draw(all.map(s => ({ name: s.text, x: s.alpha.map((_, j) => j / (s.T - 1)), y: s[k] || s.alpha.map(() => NaN) })), { at: share, note: k === 'beta' && !me.beta ? 'the straight path has no β' : '' });
    root.dataset.shown = `${now.name}:${i}:${kept.length}`; root.numbers = me;
  }
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const off = listen(model, { // set from Python
    settings: () => { const s = model.get('settings'); if (!same(s, now)) { now = { ...s }; f.name.select.value = now.name; f.T.value = now.T; changed(); } },
    compare: () => { const c = model.get('compare'); if (!same(c, kept)) { kept = c.slice(); build(); } },
  });
  f.start.input.disabled = f.end.input.disabled = !free(now.name);
  build();
  return () => { play.stop(); off(); };
}
