// DenoisingExplorer: one slider over all timesteps of a finished run.
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    `A sample is made from noise in many small steps, from t = ${model.get('timesteps') - 1}, all noise, down to t = 0. At each step the network is given x_t, a mixture of clean picture and noise, and guesses the clean picture in it: that guess is the x0 prediction. ` +
    'With much noise many pictures would fit, and the guess with the smallest error on average is their mean: a blur. (A network that was told what kind of picture to draw begins with the average picture of that kind.) The less noise, the fewer pictures fit, and the guess sharpens. Drag t to the left and watch it become the sample.');
  const runs = JSON.parse(model.get('runs')), T = model.get('timesteps');
  const n = runs[0].t.length, state = h('div', { class: 'state', role: 'status' });
  const tile = Math.min(190, runs.length > 1 ? 150 : 190);
  let which = 0, busy = false, again = false;

  const pixels = bytesOf(model.get('pixels')), part = ([from, length]) => pixels.subarray(from, from + length);

  const rows = runs.map((run, r) => {
    const { size: [H, W], latent: [c, lh, lw] } = run;
    const big = (cap, alt) => picture(W, H, tile, cap, alt), small = alt => picture(lw, lh, Math.floor(tile / 2) - 8, '', alt);
    const parts = {
      xt: big('x_t: what the network is given'), x0: big('x0 prediction: its guess of the clean picture'), final: big('the finished sample'),
      latents: Object.fromEntries(['xt', 'x0', 'eps'].map(k => [k, Array.from({ length: c }, (_, j) => small(`${k}, channel ${j}`))])),
    };
    const strip = (name, k) => h('div', {}, h('div', { style: `display:grid; gap:4px; grid-template-columns: repeat(${c}, minmax(0, ${Math.floor(tile / 2)}px))` }, parts.latents[k]), h('figcaption', {}, name));
    const grid = h('div', { class: 'dw-grid', style: `grid-template-columns: repeat(3, minmax(0, ${tile + 16}px))` }, parts.xt, parts.x0, parts.final);
    const lat = h('div', { class: 'dw-grid', style: 'grid-template-columns: repeat(auto-fit, minmax(min(100%, 260px), 1fr))' },
      strip('latent of x_t', 'xt'), strip('latent of the x0 prediction', 'x0'), strip('ε: its guess of the noise', 'eps'));
    root.append(h('div', { style: 'margin:8px 0' }, runs.length > 1 && h('strong', {}, run.name), grid,
      h('details', { open: runs.length === 1 }, h('summary', {}, `the same in the latent, the compressed picture that the network works on: ${c} channels of ${lh}×${lw} numbers, blue below zero, orange above`), lat)));
    return { run, parts, sheets: null };
  });

  const curve = chart({ width: 420, height: 170, xlabel: 'timestep t', ylabel: 'share', alt: 'signal and noise at each timestep', ylim: [0, 1], xlim: [0, T] });
  const s = slider({ label: 'timestep t', max: n - 1, value: n - 1 - model.get('index'), long: true, show: v => runs[0].t[n - 1 - v], oninput: v => go(n - 1 - v) });
  const play = player({ count: () => n, get: () => model.get('index'), set: go, fps: Math.max(6, n / 5) });
  const pick = runs[0].count > 1 && slider({ label: 'picture', max: runs[0].count - 1, value: 0, show: v => v + 1, oninput: v => { which = v; draw(); } });
  root.append(h('div', { class: 'dw-row' }, play, s, pick), state, curve.element,
    h('div', { class: 'caption' }, 'Keyboard: Tab to the slider, arrow keys for one step, Page Up and Page Down for ten, Home and End for the ends.'));

  function go(i) { model.set('index', i); model.save_changes(); draw(); }
  async function draw() {
    if (rows.some(r => !r.sheets)) return;
    const i = Math.max(0, Math.min(n - 1, model.get('index')));
    s.set(n - 1 - i);
    for (const { run, parts, sheets } of rows) {
      const k = i * run.count + which, { size: [H, W], latent: [c, lh, lw] } = run;
      drawCell(parts.xt, sheets.xt, k, W, H, run.cols); drawCell(parts.x0, sheets.x0, k, W, H, run.cols);
      drawCell(parts.final, sheets.x0, (n - 1) * run.count + which, W, H, run.cols);
      for (const name of ['xt', 'x0', 'eps']) parts.latents[name].forEach((p, j) => drawCell(p, sheets['latent_' + name], k * c + j, lw, lh, run.latent_cols));
    }
    const { t, alpha, sigma } = runs[0], a = alpha[i], g = sigma[i];
    state.textContent = `t = ${t[i]} of ${T - 1}: x_t = ${a.toFixed(3)} · picture + ${g.toFixed(3)} · noise; step ${i + 1} of ${n}.`;
    curve.draw([{ name: 'how much picture (α)', x: t, y: alpha }, { name: 'how much noise (σ)', x: t, y: sigma }], { at: t[i] });
    root.dataset.shown = i;
  }
  Promise.all(rows.map(async r => { r.sheets = Object.fromEntries(await Promise.all(Object.entries(r.run.sheets).map(async ([k, name]) => [k, await bitmap(part(name))]))); })).then(draw);
  const off = listen(model, { index: draw });
  return () => { play.stop(); off(); rows.forEach(r => r.sheets && Object.values(r.sheets).forEach(b => b.close())); };
}
