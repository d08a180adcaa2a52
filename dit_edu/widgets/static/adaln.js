// AdaLNExplorer: what time and class tell every block, and what happens when a gate is shut.

// A heat map with labels. Pointing looks at a cell; a click or an arrow key keeps it. draw(value(row, col) in 0..1, [row, col])
function cellMap({ alt, rows, cols, left, width, cell, xlabel, ylabel, look, keep }) {
  const S = 2, T = ylabel ? 20 : 6, B = 36, R = 8, height = T + rows.length * cell + B, cw = (width - left - R) / cols.length;
  const canvas = h('canvas', { width: width * S, height: height * S, tabindex: 0, role: 'application', 'aria-label': alt, style: `width:${width}px; image-rendering:auto; border:0; cursor:crosshair` });
  const ctx = canvas.getContext('2d');
  let now = [0, 0];
  function draw(value, at) {
    now = at;
    const ink = getComputedStyle(canvas).color || '#888';
    ctx.setTransform(S, 0, 0, S, 0, 0); ctx.clearRect(0, 0, width, height); ctx.font = '13px system-ui, sans-serif';
    rows.forEach((_, r) => cols.forEach((_, c) => { ctx.fillStyle = `rgb(${sequential(value(r, c))})`; ctx.fillRect(left + c * cw, T + r * cell, cw + .3, cell + .3); }));
    ctx.fillStyle = ink; ctx.textAlign = 'right'; rows.forEach((s, r) => ctx.fillText(s, left - 6, T + r * cell + cell / 2 + 4.5));
    ctx.textAlign = 'center'; cols.forEach((s, c) => s !== '' && ctx.fillText(s, left + (c + .5) * cw, height - B + 15));
    ctx.fillText(xlabel, left + (width - left - R) / 2, height - 4);
    if (ylabel) { ctx.textAlign = 'left'; ctx.fillText(ylabel, 2, 13); }
    const box = [left + at[1] * cw, T + at[0] * cell, cw, cell];
    ctx.lineWidth = 4; ctx.strokeStyle = '#fff'; ctx.strokeRect(...box); ctx.lineWidth = 1.5; ctx.strokeStyle = '#111'; ctx.strokeRect(...box);
  }
  const cellAt = e => { const b = canvas.getBoundingClientRect(), x = (e.clientX - b.left) / b.width * width, y = (e.clientY - b.top) / b.height * height;
    const c = Math.floor((x - left) / cw), r = Math.floor((y - T) / cell); return r >= 0 && c >= 0 && r < rows.length && c < cols.length ? [r, c] : null; };
  canvas.addEventListener('pointermove', e => { if (e.pointerType !== 'touch') look(cellAt(e)); });
  canvas.addEventListener('pointerleave', () => look(null));
  canvas.addEventListener('pointerdown', e => { const p = cellAt(e); if (p) keep(...p); });
  canvas.addEventListener('keydown', e => {
    const s = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key]; if (!s) return;
    e.preventDefault(); keep(Math.min(rows.length - 1, Math.max(0, now[0] + s[0])), Math.min(cols.length - 1, Math.max(0, now[1] + s[1])));
  });
  return { canvas, draw };
}

function view({ model, el }) {
  const root = frame(el, model.get('title'),
    'In each block, timestep and class set six knobs: a shift, a scale and a gate for the attention, and the same for the MLP. Bright means strongly turned (root mean square over the width). The gate decides how much of a branch is added to the picture: further down, shut single gates and see what a block was good for.');
  const facts = JSON.parse(model.get('facts')), data = bytesOf(model.get('sizes')), { kinds, blocks, t, classes, top, worth } = facts, last = t.length - 1;
  let kind = 2, kept = { b: Math.floor(blocks / 2), i: Math.floor(t.length / 2), c: 0 }, seen = null; // seen: what the mouse points at, while it does
  const value = (k, b, i, c) => data[((k * blocks + b) * t.length + i) * classes.length + c] / 255 * top[k];
  const sparse = (n, every, f) => Array.from({ length: n }, (_, i) => i % every === 0 ? f(i) : '');
  const blockNames = sparse(blocks, Math.ceil(blocks / 14), i => i), tNames = t.map((v, i) => [0, Math.round(last / 2), last].includes(i) ? v : '');

  const over = f => p => { seen = p && { ...kept, ...f(...p) }; draw(); }, hold = f => (...p) => { seen = null; Object.assign(kept, f(...p)); draw(); };
  const byTime = (b, i) => ({ b, i }), byClass = (c, b) => ({ c, b });
  const time = cellMap({ alt: 'strength by block (rows) and timestep (columns), arrow keys move', rows: blockNames, cols: tNames, left: 30, width: 420, cell: Math.max(8, Math.min(22, 260 / blocks)), xlabel: 'timestep t (0 clean, right all noise)', ylabel: 'block', look: over(byTime), keep: hold(byTime) });
  const kinder = cellMap({ alt: 'strength by class (rows) and block (columns), arrow keys move', rows: classes, cols: blockNames, left: 92, width: 420, cell: 17, xlabel: 'block', ylabel: 'class', look: over(byClass), keep: hold(byClass) });
  kinder.canvas.classList.add('smooth');
  const timeTitle = h('figcaption'), curveTitle = h('figcaption'), classTitle = h('figcaption'), state = h('div', { class: 'state', role: 'status', style: 'min-height:3em' });
  const pickKind = choice({ label: 'knob', options: kinds.map((k, i) => [i, k]), value: kind, oninput: v => choose(+v) });
  const pickClass = choice({ label: 'class', options: classes.map((c, i) => [i, c]), value: 0, oninput: v => { kept.c = +v; draw(); } });
  const scale = h('canvas', { class: 'smooth', width: 120, height: 1, 'aria-hidden': 'true', style: 'width:120px; height:12px; border:1px solid var(--line)' }), high = h('output', { style: 'min-width:4.5ch; font-variant-numeric:tabular-nums' });
  heat({ canvas: scale, ctx: scale.getContext('2d') }, Array.from({ length: 120 }, (_, i) => i / 119), sequential);
  const curve = chart({ width: 420, height: 180, xlim: [0, t[t.length - 1] + 1], xlabel: 'timestep t', ylabel: 'strength', alt: 'strength over t for one block' });

  // all six at a glance, each a button
  const glance = kinds.map((name, k) => {
    const canvas = h('canvas', { class: 'smooth', width: t.length, height: blocks, 'aria-hidden': 'true', style: 'width:100%; height:56px; image-rendering:pixelated' });
    return Object.assign(button('', () => choose(k), { style: 'padding:5px; text-align:left; min-width:0' }), { canvas, ctx: canvas.getContext('2d'), name });
  });
  glance.forEach(g => g.append(h('span', { style: 'font-size:13px' }, g.name), g.canvas));
  const columns = 'display:grid; grid-template-columns:repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap:10px 24px; align-items:start';
  root.append(
    h('div', { class: 'dw-row' }, pickKind, pickClass, h('span', { class: 'key' }, '0', scale, high)),
    h('div', { style: columns }, h('figure', {}, timeTitle, time.canvas), h('figure', {}, classTitle, kinder.canvas), h('div', {}, curveTitle, curve.element),
      h('figure', {}, h('figcaption', {}, 'all six (rows: blocks, columns: t); each has its own scale'), h('div', { style: 'display:grid; grid-template-columns:repeat(3, 1fr); gap:6px; max-width:420px' }, glance))),
    state, h('div', { class: 'caption' }, 'Point at a cell to read it; a click keeps it. With the keyboard: Tab to a map, then arrow keys.'));

  function choose(k) { kind = k; pickKind.select.value = k; draw(); }
  function draw() {
    const { b, i, c } = seen || kept, v = value(kind, b, i, c), other = c === classes.length - 1 ? 0 : classes.length - 1;
    time.draw((r, k) => value(kind, r, k, c) / top[kind], [b, i]); kinder.draw((r, k) => value(kind, k, i, r) / top[kind], [c, b]);
    timeTitle.textContent = `${kinds[kind]}, ${classes[c]}`; classTitle.textContent = `${kinds[kind]}, t = ${t[i]}`; high.textContent = top[kind].toFixed(3); pickClass.select.value = kept.c;
    glance.forEach((g, k) => { g.setAttribute('aria-pressed', k === kind); g.style.outline = k === kind ? '2px solid currentColor' : '';
      if (g.drawn !== c) { g.drawn = c; heat(g, Array.from({ length: blocks * t.length }, (_, j) => value(k, Math.floor(j / t.length), j % t.length, c) / top[k]), sequential); } });
    const line = c => ({ name: classes[c], x: t, y: t.map((_, j) => value(kind, b, j, c)) });
    curve.draw(classes.length > 1 ? [line(c), line(other)] : [line(c)], { at: t[i] }); curveTitle.textContent = `${kinds[kind]}, block ${b}`;
    let lo = Infinity, hi = 0; for (let k = 0; k <= last; k++) { const u = value(kind, b, k, c); lo = Math.min(lo, u); hi = Math.max(hi, u); }
    let cl = Infinity, ch = 0; for (let k = 0; k < classes.length; k++) { const u = value(kind, b, i, k); cl = Math.min(cl, u); ch = Math.max(ch, u); }
    state.textContent = `${kinds[kind]} of block ${b} at t = ${t[i]}, ${classes[c]}: ${v.toFixed(3)}. Over all t it goes from ${lo.toFixed(3)} to ${hi.toFixed(3)}` + (classes.length > 1 ? `, over the classes from ${cl.toFixed(3)} to ${ch.toFixed(3)}.` : '.');
    root.dataset.shown = `${kind}:${c}:${b}:${i}`; root.strength = v;
  }

  // the gates
  const [H, W] = facts.size, n = facts.n, tile = Math.min(130, 480 / n);
  const before = picture(W * n, H, tile * n, 'all gates open', 'samples with all gates open'), after = picture(W * n, H, tile * n, '', 'samples with these gates');
  for (const p of [before, after]) p.canvas.style.width = `${tile * n}px`;
  const problem = h('div', { class: 'error', role: 'alert', hidden: true }), pair = h('div', { class: 'dw-row', style: 'align-items:flex-start; gap:12px 24px' }, before, after);
  let off, sheets = null, timer, ended = false;
  const heading = text => h('div', { style: 'margin:18px 0 4px; border-top:1px solid var(--line); padding-top:10px' }, h('strong', {}, text));
  if (live(model)) {
    const gates = JSON.parse(model.get('gates'));
    const send = () => { clearTimeout(timer); problem.hidden = true; timer = setTimeout(() => model.send({ command: 'gates', gates }), 120); };
    const sliders = [];
    const rows = gates.map((g, b) => h('div', { role: 'group', 'aria-label': `gates of block ${b}`, style: 'display:flex; flex-wrap:wrap; gap:0 16px; align-items:center' }, h('span', { style: 'width:4.5em' }, `block ${b}`),
      ['attention', 'MLP'].map((label, k) => { const s = slider({ label, max: 1, step: .05, value: g[k], show: v => v.toFixed(2), oninput: v => { g[k] = v; send(); } });
        s.style.flexWrap = 'nowrap'; s.firstChild.style.width = k ? '2.4em' : '4.6em'; s.input.style.width = '100px'; sliders.push([s, b, k]); return s; })));
    const all = (v, which) => { for (const [s, b, k] of sliders) if (which === undefined || which === k) { s.value = v; gates[b][k] = v; } send(); };
    root.append(heading('Turn gates down: 1 is as trained, 0 shut'), h('div', { class: 'caption' }, `The same noise, sampled again in ${facts.steps} steps as you drag.`), pair, problem,
      h('div', { class: 'dw-row' }, button('Open all', () => all(1)), button('Shut all of attention', () => all(0, 0)), button('Shut all of the MLPs', () => all(0, 1))),
      h('div', { style: 'display:grid; grid-template-columns:repeat(auto-fill, minmax(min(100%, 490px), 1fr)); gap:6px 24px' }, rows));
    let ticket = 0;
    const show = async () => {
      const bytes = model.get('after'), mine = ++ticket;
      if (!bytesOf(bytes).length) return;
      const b = await bitmap(bytes);
      if (mine === ticket) { after.ctx.drawImage(b, 0, 0); root.dataset.gates = (+root.dataset.gates || 0) + 1; }
      b.close();                                                // an older one than the newest is not shown
    };
    const say = () => after.text(model.get('note'));
    off = listen(model, { after: show, note: say, msg: c => { if (c.error) { problem.textContent = c.error; problem.hidden = false; } } }); show(); say();
  } else if (bytesOf(model.get('shut')).length) {
    const which = ['attention gate', 'MLP gate', 'both gates'], chartWorth = chart({ width: 420, height: 180, xlabel: 'block whose gates are shut', ylabel: 'change, %', xlim: [0, 4 * Math.max(1, Math.ceil((blocks - 1) / 4))], ylim: [0, 4 * Math.max(1, Math.ceil(25 * Math.max(...worth)))], alt: 'change of the picture for each block shut' });
    let b = 0, g = 2;
    const name = v => `block ${v}`;
    const pick = slider({ label: 'shut', max: blocks - 1, value: 0, show: name, oninput: v => { b = v; shut(); } });
    const part = choice({ label: 'which', options: which.map((w, i) => [i, w]), value: g, oninput: v => { g = +v; shut(); } });
    root.append(heading('Shut the gates of one block'), h('div', { class: 'caption' }, `The same noise, sampled again in ${facts.steps} steps. Change: the mean difference of the pixels, where 100 % is from black to white. With Python, in a notebook, each gate has a slider of its own.`),
      h('div', { class: 'dw-row' }, pick, part), pair, chartWorth.element);
    function shut() {
      if (!sheets) return;
      const k = 3 * b + g; drawCell(after, sheets, k, W * n, H, facts.cols);
      after.text(`block ${b}, ${which[g]} shut: changed by ${(100 * worth[k]).toFixed(1)} %`);
      chartWorth.draw(which.map((name, j) => ({ name, x: Array.from({ length: blocks }, (_, i) => i), y: Array.from({ length: blocks }, (_, i) => 100 * worth[3 * i + j]), marks: true })), { at: b });
      root.dataset.gates = k;
    }
    bitmap(model.get('shut')).then(s => { if (ended) return s.close(); sheets = s; shut(); });
  } else root.append(h('div', { class: 'caption' }, 'all gates open'), before);
  bitmap(model.get('before')).then(b => { before.ctx.drawImage(b, 0, 0); b.close(); });
  draw();
  return () => { ended = true; clearTimeout(timer); off && off(); sheets?.close(); };
}
