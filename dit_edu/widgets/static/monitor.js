// TrainingMonitor: the curves and the newest pictures of a run.
function view({ model, el }) {
  const root = frame(el, model.get('title'), 'What a training has written so far. A loss that has flattened is not the end: look at the pictures. D(real) and D(fake) should stay apart but not run away.');
  const state = h('div', { class: 'state', role: 'status' }), problem = h('div', { class: 'error', role: 'alert', hidden: true }), area = h('div', { class: 'row', style: 'align-items:flex-start' });
  const smooth = slider({ label: 'smoothing', max: .98, step: .02, value: .8, show: v => v.toFixed(2), oninput: draw }), log = checkbox({ label: 'logarithmic', value: true, oninput: draw });
  const image = h('img', { alt: 'newest pictures of the run', style: 'max-width:min(100%, 640px); image-rendering:pixelated; border:1px solid var(--line)', hidden: true }), cap = h('div', { class: 'caption' });
  root.append(h('div', { class: 'row' }, smooth, log), state, problem, area, image, cap);
  const groups = [['loss', ['loss', 'rec', 'perceptual']], ['discriminator', ['d_real', 'd_fake']], ['KL', ['kl']], ['adaptive weight', ['adaptive_weight']], ['gradient norm', ['grad_norm_vae', 'grad_norm_disc', 'grad_norm_dit']], ['images/s', ['images_per_s']], ['learning rate', ['lr']]];
  const charts = {}; let url = null;
  const ema = (y, a) => { let m = null; return y.map(v => m = m === null ? v : a * m + (1 - a) * v); };
  function draw() {
    const all = JSON.parse(model.get('curves')), a = smooth.value;
    for (const [name, keys] of groups) {
      const series = keys.filter(k => all[k] && all[k].y.length > 1).map(k => ({ name: k, x: all[k].x, y: ema(all[k].y, a) }));
      if (!series.length) { charts[name]?.element.remove(); delete charts[name]; continue; }
      const logy = log.input.checked && series.every(s => s.y.every(v => v > 0));
      if (charts[name]?.logy !== logy) { const old = charts[name]?.element; charts[name] = { ...chart({ width: 310, height: 180, xlabel: 'step', ylabel: name, logy }), logy }; old ? old.replaceWith(charts[name].element) : area.append(charts[name].element); }
      charts[name].draw(series);
    }
    state.textContent = model.get('note'); problem.textContent = model.get('problem'); problem.hidden = !model.get('problem');
    root.dataset.shown = all.loss ? all.loss.x.at(-1) : 0;
  }
  function show() {
    const bytes = bytesOf(model.get('newest')); image.hidden = !bytes.length; cap.textContent = model.get('newest_name');
    if (url) URL.revokeObjectURL(url);
    if (bytes.length) image.src = url = URL.createObjectURL(new Blob([bytes]));
  }
  const off = listen(model, { curves: draw, note: draw, problem: draw, newest: show });
  draw(); show();
  return () => { off(); if (url) URL.revokeObjectURL(url); };
}
