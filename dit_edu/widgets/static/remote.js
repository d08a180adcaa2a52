// A page served by `dit_edu.widgets.serve`: the widget's state lives in a Python process on this machine.
async function remoteModel() {
  const decode = s => Uint8Array.from(atob(s), c => c.charCodeAt(0));
  const unpack = v => v && typeof v === 'object' && 'bytes' in v ? decode(v.bytes) : v;
  const values = {}, waiting = {}, handlers = {}, client = Math.random().toString(36).slice(2);
  const fire = (name, ...args) => (handlers[name] || []).slice().forEach(f => f(...args));
  let line = Promise.resolve(); // one request after another: an older value must not arrive after a newer one
  const post = (path, body) => line = line.catch(() => {}).then(() => fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Client': client }, body: JSON.stringify(body) }));
  const events = new EventSource('/events?client=' + client);
  await new Promise(done => {
    events.onmessage = e => {
      const m = JSON.parse(e.data);
      if (m.state) { for (const [k, v] of Object.entries(m.state)) { values[k] = unpack(v); fire('change:' + k); } done(); }
      else if (m.key) { values[m.key] = unpack(m.value); fire('change:' + m.key); }
      else if (m.msg) fire('msg:custom', m.msg, m.buffers.map(b => new DataView(decode(b).buffer)));
    };
    events.onerror = () => fire('lost');
  });
  return {
    get: k => values[k], set: (k, v) => { values[k] = v; waiting[k] = v; },
    save_changes() { const w = { ...waiting }; Object.keys(waiting).forEach(k => delete waiting[k]); post('/set', w); },
    send: content => post('/msg', content),
    on: (name, f) => (handlers[name] ||= []).push(f), off: (name, f) => { handlers[name] = (handlers[name] || []).filter(g => g !== f); },
  };
}
