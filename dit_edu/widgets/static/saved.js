// A page without a kernel: the widget's state was written into the page when it was made.
function savedModel(state, buffers) {
  const decode = s => Uint8Array.from(atob(s), c => c.charCodeAt(0)), bytes = Object.fromEntries(Object.entries(buffers).map(([k, v]) => [k, decode(v)]));
  const values = { ...state, ...bytes, live: false };
  return { get: k => values[k], set: (k, v) => { values[k] = v; }, save_changes() {}, send() {}, on() {}, off() {} };
}
