// TrainingMonitor: the curves and the newest pictures of a run.
function view({ model, el }) {
  const root = frame(el, model.get('title'), 'What a training has written so far. Falling curves are a good sign, but look at the pictures too: they tell what the numbers cannot.');
  const groups = [ // name, what is drawn, may its axis be logarithmic, one line for a newcomer, a fixed range
    ['loss', ['loss', 'rec', 'perceptual'], true, part => part === 'dit' ? 'What is made small: the error of the guess, over all noise levels. It flattens long before the samples stop getting better.' : 'What is made small. rec: error of the pixels; perceptual: what a classifier sees differ.'],
    ['KL', ['kl'], true, 'How much the latent tells. Settling is good; 0 means that it tells nothing.'],
    ['D(real), D(fake)', ['p_real', 'p_fake'], false, 'How real the discriminator finds pictures and reconstructions. 0.5 for both: it cannot tell.', [0, 1]],
    ['adaptive weight', ['adaptive_weight'], true, 'How loud the discriminator may speak, set so that it balances rec.'],
    ['gradient norm', ['grad_norm_vae', 'grad_norm_disc', 'grad_norm_dit'], true, 'Length of the step that the loss asks for. Tall spikes: the learning rate may be too high.'],
    ['learning rate × 1000', ['lr'], false, 'How far each step goes: up at first, then down, as the schedule has it.'],
    ['images/s', ['images_per_s'], false, 'Speed. A fall means that something else wants the machine.'],
  ];
  const short = k => k.replace('grad_norm_', '').replace('p_real', 'D(real)').replace('p_fake', 'D(fake)');
  const state = h('div', { class: 'state', role: 'status' }), problem = h('div', { class: 'error', role: 'alert', hidden: true });
  const tight = s => { s.style.flexWrap = 'nowrap'; s.input.style.cssText = 'flex: 0 1 190px; min-width: 60px'; return s; }; // label, slider and value on one line, on a phone too
  const smooth = tight(slider({ label: 'smoothing', max: .98, step: .02, value: .8, show: v => v.toFixed(2), oninput: draw }));
  const from = tight(slider({ label: 'leave out the first', max: 90, step: 5, value: 0, show: v => `${v} %`, oninput: draw }));
  const log = checkbox({ label: 'logarithmic axis', value: true, oninput: draw });
  const parts = choice({ label: 'training', options: [['', 'the newest'], ['vae', 'autoencoder (vae)'], ['dit', 'transformer (dit)']], value: '', oninput: () => { at = Infinity; draw(); } });
  const area = h('div', { class: 'dw-grid', style: 'grid-template-columns: repeat(auto-fill, minmax(min(310px, 100%), 1fr)); align-items: start' });
  const image = h('img', { alt: '', style: 'display:block; max-width:min(100%, 640px); image-rendering:pixelated; border:1px solid var(--line)' }), cap = h('div', { class: 'caption' });
  let at = Infinity, url = null, shown = '', facts = {};
  const when = tight(slider({ label: 'pictures after step', max: 1, value: 0, show: v => pictures()[v]?.[0] ?? '', oninput: v => { at = v === pictures().length - 1 ? Infinity : v; picturesDraw(); } }));
  const gallery = h('div', {}, h('div', { class: 'dw-row' }, when), image, cap);
  root.append(h('div', { class: 'dw-row' }, parts, smooth, from, log), state, problem, area, gallery);
  const slots = groups.map(([, , , text]) => { const e = h('div', { hidden: true }, h('div'), h('figcaption', {}, typeof text === 'string' ? text : '')); area.append(e); return { e, chart: null, logy: null }; });

  function now() { return parts.select.value || facts.part; }
  function pictures() { return facts.pictures?.[now()] || []; }
  const ema = (y, a) => { let m = null; return y.map(v => v === null ? null : m = m === null ? v : a * m + (1 - a) * v); };
  function draw() {
    facts = JSON.parse(model.get('facts') || '{}');
    const all = facts.curves?.[now()] || { step: [] }, cut = Math.floor(all.step.length * from.value / 100), x = all.step.slice(cut);
    groups.forEach(([name, keys, may, text, ylim], g) => {
      const slot = slots[g], scale = keys[0] === 'lr' ? 1000 : 1, series = keys.filter(k => all[k] && all[k].slice(cut).some(v => v !== null)).map(k => ({ name: short(k), x, y: ema(all[k], smooth.value).slice(cut).map(v => v === null ? null : v * scale), marks: x.length < 2 }));
      slot.e.hidden = !series.length;
      if (!series.length) return;
      const logy = may && log.input.checked && !series.some(s => s.y.some(v => v !== null && v < 0)) && series.some(s => s.y.some(v => v > 0));
      if (slot.logy !== logy) { slot.logy = logy; slot.chart = chart({ width: 310, height: 180, xlabel: 'step', ylabel: name, logy, ylim }); slot.e.firstChild.replaceChildren(slot.chart.element); }
      slot.chart.draw(series);
      if (typeof text === 'function') slot.e.lastChild.textContent = text(now());
    });
    state.textContent = facts.notes?.[now()] || (facts.part ? `no ${now()} training has been logged in this folder` : '');
    problem.textContent = model.get('problem'); problem.hidden = !model.get('problem');
    picturesDraw();
    root.dataset.smooth = smooth.value; root.dataset.from = x[0] ?? 0; root.dataset.part = now() || '';
    root.dataset.shown = x.length ? all.step[all.step.length - 1] : 0;
  }
  function picturesDraw() {
    const list = pictures(), i = Math.min(at, list.length - 1);
    gallery.hidden = !list.length; when.style.display = list.length > 1 ? '' : 'none';
    if (!list.length) { shown = ''; return; }
    when.input.max = list.length - 1; when.value = i;
    const [step, name, start, length] = list[i], key = `${now()}:${name}:${start}:${length}`;
    if (key === shown) return;
    const bytes = bytesOf(model.get('pixels')).slice(start, start + length);
    const next = URL.createObjectURL(new Blob([bytes], { type: 'image/webp' }));
    if (url) URL.revokeObjectURL(url);
    image.src = url = next; shown = key;
    image.alt = cap.textContent = `${name}: ${now() === 'vae' ? 'pictures above, their reconstructions below' : 'samples that the transformer made'}${i === list.length - 1 ? ', the newest' : ''}`;
    root.dataset.picture = step;
  }
  const off = listen(model, { facts: draw, problem: draw });
  const theme = matchMedia('(prefers-color-scheme: dark)'); theme.addEventListener('change', draw); // the curves are drawn in the colour of the text
  draw();
  return () => { off(); theme.removeEventListener('change', draw); if (url) URL.revokeObjectURL(url); };
}
