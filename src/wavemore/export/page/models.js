// The models of description.py. `start(token)` begins a line with the boundary, 0, or with the token of a label;
// `step(state, id)` returns the state after one more character. States are never changed, so lines share them.
// A state has `logits`, and for the drawing `cells`: a vector per layer.

const MAX_NODES = 20000; // of a tree, kept

// Every distinct n-gram is computed once.
class Tree {
  constructor(description) {
    Object.assign(this, description);
    this.context = this.levels.reduce((product, level) => product * level.n, 1);
    this.positional = this.levels.some((level) => level.positions);
    this.nodes = new Map();
  }

  start() {
    return this.stateOf(new Array(this.context).fill(0));
  }

  step(state, id) {
    return this.stateOf([...state.ids.slice(1), id]);
  }

  stateOf(ids) {
    if (this.nodes.size > MAX_NODES) this.nodes.clear();
    const top = this.node(this.levels.length, ids, 0);
    return { ids, logits: linear(this.head, top) };
  }

  // The vector of an n-gram at a level; level 0 are the characters.
  node(number, ids, position) {
    if (number === 0) return row(this.embedding, ids[0]);
    const key = `${number}:${this.positional ? position : ""}:${ids.join()}`;
    let vector = this.nodes.get(key);
    if (!vector) {
      vector = this.fuse(this.levels[number - 1], number, ids, position);
      this.nodes.set(key, vector);
    }
    return vector;
  }

  fuse(level, number, ids, position) {
    const width = ids.length / level.n, joined = new Float64Array(level.linear.w.columns);
    for (let i = 0; i < level.n; i++) {
      const part = this.node(number - 1, ids.slice(i * width, (i + 1) * width), position * level.n + i);
      joined.set(part, i * part.length);
    }
    let x = linear(level.linear, joined);
    if (level.positions) {
      const scale = row(level.positions.scale, position), shift = row(level.positions.shift, position);
      x = x.map((value, c) => value * scale[c] + shift[c]);
    }
    return activate(level.activation, normalise(level.norm, x));
  }
}

class Recurrent {
  constructor(description) {
    Object.assign(this, description);
    this.inputs = new Map(); // what each character adds to the first gates
    this.size = this.cells[0].state.w.columns;
  }

  start(token) {
    const zeros = () => this.cells.map(() => new Float64Array(this.size));
    return this.step({ hidden: zeros(), memory: zeros() }, token);
  }

  step(state, id) {
    const hidden = [], memory = [];
    if (!this.inputs.has(id)) this.inputs.set(id, linear(this.cells[0].input, row(this.embedding, id)));
    this.cells.forEach((cell, layer) => {
      const x = layer ? linear(cell.input, hidden[layer - 1]) : this.inputs.get(id);
      const gates = linear(cell.state, state.hidden[layer]);
      const [h, c] = this[this.cell](x, gates, state.hidden[layer], state.memory[layer]);
      hidden.push(h);
      memory.push(c);
    });
    return { hidden, memory, cells: hidden, logits: linear(this.head, hidden[hidden.length - 1]) };
  }

  rnn(x, z) {
    return [add(x, z).map(Math.tanh), null];
  }

  gru(x, z, before) {
    const n = this.size, h = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const reset = sigmoid(x[i] + z[i]), update = sigmoid(x[n + i] + z[n + i]);
      h[i] = (1 - update) * Math.tanh(x[2 * n + i] + reset * z[2 * n + i]) + update * before[i];
    }
    return [h, null];
  }

  lstm(x, z, _, before) {
    const n = this.size, h = new Float64Array(n), c = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const input = sigmoid(x[i] + z[i]), forget = sigmoid(x[n + i] + z[n + i]);
      c[i] = forget * before[i] + input * Math.tanh(x[2 * n + i] + z[2 * n + i]);
      h[i] = sigmoid(x[3 * n + i] + z[3 * n + i]) * Math.tanh(c[i]);
    }
    return [h, c];
  }
}

class WaveNet {
  constructor(description) {
    Object.assign(this, description);
    this.reach = Math.max(...this.blocks.map((block) => (block.taps.length - 1) * block.dilation));
  }

  start(token) {
    return this.step({ past: [], first: null }, token);
  }

  // `past` holds the blocks' inputs at the last positions; before the first position they are as there.
  step(state, id) {
    let x = row(this.embedding, id), skips = null;
    const now = [], cells = [];
    this.blocks.forEach((block, number) => {
      now.push(normalise(block.norm, x));
      const at = (distance) => {
        if (distance === 0) return now[number];
        const earlier = state.past[state.past.length - distance] || state.first || now;
        return earlier[number];
      };
      const last = block.taps.length - 1;
      let sum = linear({ w: block.taps[last], b: block.bias }, now[number]);
      for (let k = 0; k < last; k++) sum = add(sum, linear({ w: block.taps[k] }, at((last - k) * block.dilation)));
      const gated = this.gated(sum);
      cells.push(gated);
      const skip = linear(block.skip, gated);
      skips = skips ? add(skips, skip) : skip;
      if (block.residual) x = add(x, linear(block.residual, gated));
    });
    const hidden = activate("silu", linear(this.hidden, activate("silu", skips)));
    const past = [...state.past, now].slice(-this.reach);
    return { past, first: state.first || now, cells, logits: linear(this.head, hidden) };
  }

  gated(z) {
    const n = z.length / 2, out = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const gate = sigmoid(z[n + i]);
      out[i] = this.gate === "glu" ? Math.tanh(z[i]) * gate : z[i] * z[n + i] * gate;
    }
    return out;
  }
}

class Transformer {
  constructor(description) {
    Object.assign(this, description);
    this.size = this.embedding.columns / this.heads; // channels of a head
  }

  start(token) {
    return this.step({ time: 0, past: this.blocks.map(() => []) }, token);
  }

  step(state, id) {
    let x = Float64Array.from(row(this.embedding, id));
    const past = [], cells = [], attention = [];
    this.blocks.forEach((block, number) => {
      const qkv = linear(block.attention, normalise(block.attention_norm, x)), n = x.length;
      const q = this.rotate(qkv.subarray(0, n), state.time), k = this.rotate(qkv.subarray(n, 2 * n), state.time);
      const before = this.context > 1 ? state.past[number].slice(-(this.context - 1)) : [];
      const seen = [...before, { k, v: qkv.slice(2 * n) }];
      past.push(seen);
      const [y, weights] = this.attend(q, seen);
      attention.push(weights);
      x = add(x, linear(block.attention_out, y));
      const hidden = activate("gelu", linear(block.hidden, normalise(block.hidden_norm, x)));
      x = add(x, linear(block.out, hidden));
      cells.push(x);
    });
    return { time: state.time + 1, past, cells, attention, logits: linear(this.head, normalise(this.norm, x)) };
  }

  // A channel of a head and the one half a head after it are turned by an angle that grows with the position.
  rotate(x, time) {
    const out = new Float64Array(x.length), half = this.size / 2;
    for (let head = 0; head < this.heads; head++) {
      for (let i = 0; i < half; i++) {
        const angle = time * 10000 ** (-i / half), a = head * this.size + i, b = a + half;
        out[a] = x[a] * Math.cos(angle) - x[b] * Math.sin(angle);
        out[b] = x[a] * Math.sin(angle) + x[b] * Math.cos(angle);
      }
    }
    return out;
  }

  // What the heads read, and the mean of their weights.
  attend(q, seen) {
    const out = new Float64Array(q.length), mean = new Float64Array(seen.length);
    for (let head = 0; head < this.heads; head++) {
      const from = head * this.size, to = from + this.size;
      const scores = seen.map(({ k }) => {
        let sum = 0;
        for (let c = from; c < to; c++) sum += q[c] * k[c];
        return sum / Math.sqrt(this.size);
      });
      softmax(scores).forEach((weight, t) => {
        mean[t] += weight / this.heads;
        for (let c = from; c < to; c++) out[c] += weight * seen[t].v[c];
      });
    }
    return [out, mean];
  }
}

class BagOfWords {
  constructor(description) {
    Object.assign(this, description);
  }

  start() {
    return this.stateOf(new Array(this.context).fill(0));
  }

  step(state, id) {
    return this.stateOf([...state.ids.slice(1), id]);
  }

  stateOf(ids) {
    const y = Float64Array.from(row(this.embedding, ids[ids.length - 1]));
    for (const id of ids) {
      const x = row(this.embedding, id);
      for (let c = 0; c < y.length; c++) y[c] += x[c] / ids.length;
    }
    const hidden = activate("tanh", linear(this.hidden, y));
    return { ids, cells: [y, hidden], logits: linear(this.head, add(y, linear(this.out, hidden))) };
  }
}

class Bigram {
  constructor({ table }) {
    this.table = table;
  }

  start() {
    return this.step(null, 0);
  }

  step(_, id) {
    return { ids: [id], logits: Float64Array.from(row(this.table, id)) };
  }
}

// Kneser-Ney counts: nn/ngram.py has the formula.
class Ngram {
  constructor(description) {
    Object.assign(this, description);
    const sums = ({ values }) => {
      const result = new Uint32Array(values.length + 1);
      values.forEach((value, i) => (result[i + 1] = result[i] + value));
      return result;
    };
    this.tables = this.levels.map((level) => ({
      children: sums(level.contexts), // of a context of the level below: the first of its longer ones
      first: sums(level.followers),
      ...Object.fromEntries(Object.entries(level).map(([name, tensor]) => [name, tensor.values])),
    }));
  }

  start() {
    return this.stateOf(new Array(this.history).fill(0));
  }

  step(state, id) {
    return this.stateOf([...state.ids.slice(1), id]);
  }

  stateOf(ids) {
    const size = this.vocabularySize, p = new Float64Array(size).fill(1 / size), backoffs = [];
    let context = 0;
    for (const [k, table] of this.tables.entries()) {
      if (k > 0) context = this.longer(table, context, ids[ids.length - k]);
      if (context < 0) break;
      for (let i = 0; i < size; i++) p[i] *= table.backoffs[context];
      for (let i = table.first[context]; i < table.first[context + 1]; i++) p[table.characters[i]] += table.shares[i];
      backoffs.push(table.backoffs[context]);
      if (k > 0 && ids[ids.length - k] === 0 && !this.across_lines) break;
    }
    return { ids, backoffs, logits: p.map(Math.log) };
  }

  // The context with one more character before it, or -1.
  longer(table, context, oldest) {
    let low = table.children[context], high = table.children[context + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (table.oldest[middle] < oldest) low = middle + 1;
      else high = middle;
    }
    return low < table.children[context + 1] && table.oldest[low] === oldest ? low : -1;
  }
}

const MODELS = {
  tree: Tree, recurrent: Recurrent, wavenet: WaveNet, transformer: Transformer, bow: BagOfWords, bigram: Bigram,
  ngram: Ngram,
};
const WEIGHTS = new Set([
  "embedding", "w", "b", "gain", "shift", "scale", "bias", "table", "taps", "oldest", "contexts", "followers",
  "characters", "shares", "backoffs", "p", "ratios",
]);

// Replaces the numbers of tensors in a description by the tensors.
function withTensors(value, tensors, name = "") {
  if (typeof value === "number") return WEIGHTS.has(name) ? tensors[value] : value;
  if (Array.isArray(value)) return value.map((item) => withTensors(item, tensors, name));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withTensors(item, tensors, key)]));
}

function makeModel(description, tensors, vocabularySize) {
  const model = new MODELS[description.kind](withTensors(description, tensors));
  model.vocabularySize = vocabularySize;
  return model;
}
