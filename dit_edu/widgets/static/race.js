// SamplerRace: the same noise, the same network, different roads.
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'A sampler decides how large steps through the noise are taken. All start from the same noise; all would meet at the picture of a very long run. How near are they after few steps? Further left in the chart is cheaper, lower is nearer.');
  const bar = h('progress', { max: 1, value: 0, 'aria-label': 'progress' }), note = h('span', { class: 'state', role: 'status' }), problem = h('div', { class: 'error', role: 'alert', hidden: true });
  const tiles = h('div', { class: 'row', style: 'align-items:flex-start' });
  const curve = chart({ width: 520, height: 260, xlabel: 'times the network was asked', ylabel: 'distance to the long run', logx: true, logy: true });
  let facts = null, sheetMap = null, pics = [];
  const steps = slider({ label: 'steps', max: 0, value: 0, long: true, show: v => facts ? facts.steps[v] : '', oninput: draw });
  const seed = number({ label: 'seed', min: 0, max: 2 ** 31 - 1, value: model.get('seed'), oninput: v => { model.set('seed', v); model.save_changes(); } });
  const classes = model.get('classes'), y = classes.length ? choice({ label: 'class', options: classes.map((c, i) => [i, c]), value: model.get('y'), oninput: v => { model.set('y', +v); model.save_changes(); } }) : null;
  const go = button('Race', () => { problem.hidden = true; model.send({ command: 'race' }); }, { class: 'main' }), stop = button('Stop', () => model.send({ command: 'stop' }));
  root.append(live(model) ? h('div', { class: 'row' }, y, seed, go, stop, bar, note) : '', problem, h('div', { class: 'row' }, steps), tiles, curve.element);
  async function load() {
    const text = model.get('results'); if (!text || text === '{}') return;
    const next = JSON.parse(text), sheet = await bitmap(model.get('pixels'));
    sheetMap?.close(); facts = next; sheetMap = sheet;
    const [H, W] = facts.size;
    pics = [...facts.names.map(n => picture(W, H, 140, n)), picture(W, H, 140, `the long run (${facts.long} steps)`)];
    tiles.replaceChildren(...pics); steps.input.max = facts.steps.length - 1; steps.value = Math.min(1, facts.steps.length - 1); draw();
  }
  function draw() {
    if (!facts) return;
    const i = steps.value, [H, W] = facts.size, s = facts.steps.length;
    facts.names.forEach((n, k) => { drawCell(pics[k], sheetMap, k * s + i, W, H, facts.cols); pics[k].text(`${n}: ${facts.calls[k][i]} calls, distance ${facts.distance[k][i].toFixed(3)}`); });
    drawCell(pics.at(-1), sheetMap, facts.names.length * s, W, H, facts.cols);
    curve.draw(facts.names.map((name, k) => ({ name, x: facts.calls[k], y: facts.distance[k].map(v => Math.max(v, 1e-4)), marks: true })));
    root.dataset.shown = `${model.get('seed')}:${i}`;
  }
  function status() { const [a, b] = model.get('progress'); bar.max = Math.max(1, b); bar.value = a; note.textContent = model.get('note'); stop.disabled = !model.get('running'); root.dataset.running = model.get('running'); }
  const off = listen(model, { pixels: load, progress: status, running: status, note: status, msg: c => { if (c.error) { problem.textContent = c.error; problem.hidden = false; } } });
  load(); status();
  return () => { off(); sheetMap?.close(); };
}
