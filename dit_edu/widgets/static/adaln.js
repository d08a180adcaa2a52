// AdaLNExplorer: what time and class tell every block, and what happens when a block is shut.
function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'In each block, timestep and class set six knobs: a shift, a scale and a gate for attention, and the same for the MLP. Brightness below is how strongly a knob is turned (root mean square over the width). Then shut single gates, and see what a block was good for.');
  const facts = JSON.parse(model.get('facts')), data = bytesOf(model.get('sizes')), { kinds, blocks, t, classes, top } = facts;
  let kind = 2, cls = 0, hover = null;
  const map = picture(t.length, blocks, 460, '', 'strength by block and timestep'); map.canvas.style.width = 'min(100%, 460px)'; map.canvas.style.aspectRatio = `${460}/${blocks * 20}`; map.canvas.tabIndex = 0;
  const state = h('div', { class: 'state', role: 'status' });
  const value = (k, b, i, c) => data[((k * blocks + b) * t.length + i) * classes.length + c] / 255 * top[k];
  const pickKind = choice({ label: 'knob', options: kinds.map((k, i) => [i, k]), value: kind, oninput: v => { kind = +v; draw(); } });
  const pickClass = choice({ label: 'class', options: classes.map((c, i) => [i, c]), value: cls, oninput: v => { cls = +v; draw(); } });
  const curve = chart({ width: 330, height: 190, xlabel: 'timestep t', ylabel: 'strength', alt: 'strength over t for one block, two classes' });
  root.append(h('div', { class: 'row' }, pickKind, pickClass), h('div', { class: 'row', style: 'align-items:flex-start' }, h('div', {}, map, h('div', { class: 'caption' }, `rows: block 0 (top) to ${blocks - 1}; columns: t from ${t[0]} (left, clean) to ${t.at(-1)} (noise). Arrow keys or mouse pick a cell.`)), curve.element), state);
  let at = [Math.floor(blocks / 2), Math.floor(t.length / 2)];
  function draw() {
    const v = []; for (let b = 0; b < blocks; b++) for (let i = 0; i < t.length; i++) v.push(value(kind, b, i, cls) / top[kind]);
    heat(map, v, sequential);
    const [b, i] = at;
    state.textContent = `${kinds[kind]}, block ${b}, t = ${t[i]}, ${classes[cls]}: ${value(kind, b, i, cls).toFixed(3)} (largest anywhere ${top[kind].toFixed(3)})`;
    const other = (cls + 1) % classes.length, line = c => ({ name: classes[c], x: t, y: t.map((_, j) => value(kind, b, j, c)) });
    curve.draw([line(cls), line(other)], { at: t[i], note: `block ${b}` });
    root.dataset.shown = `${kind}:${cls}:${b}:${i}`;
  }
  const go = (b, i) => { at = [Math.min(blocks - 1, Math.max(0, b)), Math.min(t.length - 1, Math.max(0, i))]; draw(); };
  map.canvas.addEventListener('pointermove', e => { const r = map.canvas.getBoundingClientRect(); go(Math.floor((e.clientY - r.top) / r.height * blocks), Math.floor((e.clientX - r.left) / r.width * t.length)); });
  map.canvas.addEventListener('keydown', e => { const s = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key]; if (s) { e.preventDefault(); go(at[0] + s[0], at[1] + s[1]); } });

  // the gates
  const [H, W] = facts.size, before = picture(W * facts.n, H, 130 * facts.n, 'all gates open', 'samples with all gates open'), after = picture(W * facts.n, H, 130 * facts.n, '', 'samples with these gates');
  for (const p of [before, after]) p.canvas.style.width = `min(100%, ${130 * facts.n}px)`;
  const problem = h('div', { class: 'error', role: 'alert', hidden: true });
  let off, sheets = null;
  if (live(model)) {
    const gates = JSON.parse(model.get('gates')); let timer;
    const send = () => { clearTimeout(timer); timer = setTimeout(() => model.send({ command: 'gates', gates }), 120); };
    const rows = gates.map((pair, b) => h('div', { class: 'row', style: 'margin:0' }, h('span', { style: 'width:4.5em' }, `block ${b}`), ['attention', 'MLP'].map((name, k) => Object.assign(slider({ label: `${name}`, max: 1, step: .05, value: pair[k], show: v => v.toFixed(2), oninput: v => { pair[k] = v; send(); } }), { b, k }))));
    const sliders = rows.flatMap(r => [...r.querySelectorAll('label')]);
    const open = button('Open all', () => { sliders.forEach(s => { s.value = 1; gates[s.b][s.k] = 1; }); send(); });
    root.append(h('h4', { style: 'margin:14px 0 4px' }, 'Gates'), before, after, problem, h('div', { class: 'row' }, open), h('details', { open: true }, h('summary', {}, 'one slider for each gate: 1 as trained, 0 shut'), rows));
    const show = async () => { const bytes = bytesOf(model.get('after')); if (!bytes.length) return; const b = await bitmap(bytes); after.ctx.drawImage(b, 0, 0); b.close(); after.text(model.get('note')); root.dataset.gates = (+root.dataset.gates || 0) + 1; };
    off = listen(model, { after: show, note: () => after.text(model.get('note')), msg: c => { if (c.error) { problem.textContent = c.error; problem.hidden = false; } } }); show();
  } else {
    const options = [['', 'choose a gate to shut'], ...Array.from({ length: 2 * blocks }, (_, i) => [i, `block ${i >> 1}, ${i % 2 ? 'MLP' : 'attention'}`])];
    const pick = slider({ label: 'shut gate', max: 2 * blocks - 1, value: 0, long: true, show: i => options[i + 1][1], oninput: shut });
    root.append(h('h4', { style: 'margin:14px 0 4px' }, 'One gate shut'), before, after, h('div', { class: 'row' }, pick));
    function shut(i) { if (sheets) { drawCell(after, sheets, i, W * facts.n, H, facts.cols); after.text(`${options[i + 1][1]} shut`); root.dataset.gates = i; } }
    bitmap(model.get('shut')).then(b => { sheets = b; shut(0); });
  }
  bitmap(model.get('before')).then(b => { before.ctx.drawImage(b, 0, 0); b.close(); });
  draw();
  return () => { off && off(); sheets?.close(); };
}
