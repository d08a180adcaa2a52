// SamplerRace: the same noise, the same network, different roads.
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'A sampler decides how large steps through the noise are taken. All start from the same noise, and all but ddpm and dpmpp_2m_sde, which draw new noise on their way, would meet at the picture of a very long run. How near are they after few steps? Further left in the chart is cheaper, lower is nearer.');
  const L = live(model), classes = model.get('classes');
  const bar = h('progress', { max: 1, value: 0, 'aria-label': 'progress' }), note = h('span', { class: 'state', role: 'status', style: 'min-width: 22ch' }), problem = h('div', { class: 'error', role: 'alert', hidden: true });
  const tiles = h('div', { class: 'dw-grid', style: 'grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); margin:8px 0' }), place = h('div'), from = h('div', { class: 'state' });
  let facts = null, sheetMap = null, pics = [], curve = null, wanted = 0, ended = false, shape = '';
  const steps = slider({ label: 'steps', max: 0, value: 0, long: true, show: v => facts ? facts.steps[v] : '–', oninput: draw });
  const keep = k => v => { model.set(k, +v); model.save_changes(); };
  const seed = number({ label: 'seed', min: 0, max: 2 ** 31 - 1, value: model.get('seed'), oninput: keep('seed') });
  const y = classes.length ? choice({ label: 'class', options: classes.map((c, i) => [i, c]), value: model.get('y'), oninput: keep('y') }) : null;
  const go = button('Race', () => { problem.hidden = true; model.send({ command: 'race' }); }, { class: 'main' }), stop = button('Stop', () => model.send({ command: 'stop' }));
  root.append(...[L && h('div', { class: 'dw-row' }, y, seed, go, stop), L && h('div', { class: 'dw-row' }, bar, note), problem, h('div', { class: 'dw-row' }, steps), from, tiles, place].filter(Boolean));

  async function load() {
    const ticket = ++wanted, text = model.get('results'); if (!text || text === '{}') return;
    const next = JSON.parse(text), sheet = await bitmap(model.get('pixels'));
    if (ticket !== wanted || ended) return sheet.close(); // a newer one is on its way
    const fresh = !facts;
    sheetMap?.close(); facts = next; sheetMap = sheet;
    const [H, W] = facts.size, now = JSON.stringify([facts.names, facts.size]);
    if (now !== shape) {
      shape = now;
      pics = [...facts.names.map(n => picture(W, H, 140, '', `picture of ${n}`)), picture(W, H, 140, '', 'picture of the long run')];
      tiles.replaceChildren(...pics);
    }
    steps.input.max = facts.steps.length - 1; steps.value = fresh ? Math.min(1, Math.max(0, facts.calls[0].filter(c => c !== null).length - 1)) : Math.min(steps.value, facts.steps.length - 1);
    // the axes hold still while results come in, but for the lowest decade
    const found = facts.distance.flat().filter(v => v > 0), ylim = [10 ** Math.floor(Math.log10(Math.min(.05, ...found))), 10 ** Math.ceil(Math.log10(Math.max(.5, ...found)))];
    curve = chart({ width: 560, height: 280, xlabel: 'times the network was asked', ylabel: 'distance to the long run', logx: true, logy: true, ylim, xlim: [facts.steps[0], Math.max(facts.steps[0] + 1, 2 * facts.steps.at(-1))], alt: 'distance to the long run against calls of the network, both in powers of ten' });
    place.replaceChildren(curve.element, h('div', { class: 'caption' }, `Distance: root of the mean squared difference of the two latents (each of which varies by about 1). The long run is ${facts.longName} with ${facts.long} steps. heun asks twice at each step but the last.`));
    draw();
  }
  function draw() {
    if (!facts) return;
    const i = steps.value, [H, W] = facts.size, s = facts.steps.length, show = v => v >= .001 || v === 0 ? v.toFixed(3) : v.toExponential(0);
    steps.value = i;
    facts.names.forEach((n, k) => {
      const c = facts.calls[k][i], dist = facts.distance[k][i];
      drawCell(pics[k], sheetMap, k * s + i, W, H, facts.cols);
      pics[k].text(c === null ? `${n}: not run yet` : `${n}: ${c} calls, ${dist === null ? 'distance not known yet' : `distance ${show(dist)}`}`);
    });
    drawCell(pics.at(-1), sheetMap, facts.names.length * s, W, H, facts.cols);
    pics.at(-1).text(facts.longCalls === null ? 'the long run: not there yet' : `the long run: ${facts.longCalls} calls`);
    from.textContent = `${facts.steps[i]} steps each, seed ${facts.seed}${facts.className ? `, class ${facts.className}` : ''}${facts.guidance === 1 ? '' : `, guidance ${facts.guidance}`}.`;
    curve.draw(facts.names.map((name, k) => ({ name, x: facts.calls[k].map(v => v ?? NaN), y: facts.distance[k].map(v => v === null ? NaN : Math.max(v, 1e-6)), marks: true })), { note: facts.longCalls === null ? 'distances follow when the long run is done' : '' });
    root.dataset.shown = `${facts.seed}:${i}:${facts.done}`; root.facts = facts;
  }
  function status() {
    const [a, b] = model.get('progress'); bar.max = Math.max(1, b); bar.value = a; note.textContent = model.get('note');
    stop.disabled = !model.get('running'); root.dataset.running = model.get('running');
  }
  const off = listen(model, {
    pixels: load, progress: status, running: status, note: status,
    seed: () => { seed.input.value = model.get('seed'); }, y: () => { if (y) y.select.value = model.get('y'); },
    msg: c => { if (c.error) { problem.textContent = c.error; problem.hidden = false; } },
  });
  load(); status();
  return () => { ended = true; off(); sheetMap?.close(); };
}
