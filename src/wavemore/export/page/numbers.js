// Numbers: packed tensors (packing.py), a random generator, and the functions that models are made of.
// A tensor is {rows, columns, values}; vectors are arrays of doubles.

function decodeBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

function unpack(tensors, bytes) {
  let offset = 0;
  return tensors.map(([kind, rows, columns, low, step]) => {
    const count = rows * columns, start = offset;
    const take = (type, n, from) => new type(bytes.buffer, from, n);
    let values, size;
    if (kind === "f32") {
      [values, size] = [take(Float32Array, count, start), 4 * count];
    } else if (kind === "i16") {
      const scales = take(Float32Array, rows, start), integers = take(Int16Array, count, start + 4 * rows);
      values = new Float32Array(count);
      for (let i = 0; i < count; i++) values[i] = integers[i] * scales[Math.floor(i / columns)];
      size = 4 * rows + 2 * count;
    } else if (kind === "log16") {
      const codes = take(Uint16Array, count, start);
      values = Float64Array.from(codes, (code) => (code ? Math.exp(low + step * (code - 1)) : 0));
      size = 2 * count;
    } else {
      const type = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array }[kind];
      [values, size] = [take(type, count, start), count * type.BYTES_PER_ELEMENT];
    }
    offset += Math.ceil(size / 4) * 4;
    return { rows, columns, values };
  });
}

// sfc32 by Chris Doty-Humphrey, from PractRand: https://pracrand.sourceforge.net
class Random {
  constructor(seed) {
    this.state = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, 0x9e3779b9, 1];
    for (let i = 0; i < 15; i++) this.next();
  }

  next() {
    let [a, b, c, counter] = this.state;
    const result = (a + b + counter) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + result) >>> 0;
    this.state = [a >>> 0, b, c, (counter + 1) >>> 0];
    return result;
  }

  // From 0 to below 1, with 53 bits.
  uniform() {
    const high = this.next() >>> 5, low = this.next() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  // An index, as often as its weight is large.
  pick(weights) {
    let total = 0;
    for (const weight of weights) total += weight;
    const target = this.uniform() * total;
    let sum = 0, last = 0;
    for (let i = 0; i < weights.length; i++) {
      if (weights[i] > 0) last = i;
      sum += weights[i];
      if (sum > target) return i;
    }
    return last;
  }
}

function row(matrix, number) {
  return matrix.values.subarray(number * matrix.columns, (number + 1) * matrix.columns);
}

// w x + b; four sums at a time are faster than one.
function linear({ w, b }, x) {
  const { rows, columns, values } = w, out = new Float64Array(rows), whole = columns - (columns % 4);
  for (let r = 0, at = 0; r < rows; r++, at += columns) {
    let s0 = b ? b.values[r] : 0, s1 = 0, s2 = 0, s3 = 0, c = 0;
    for (; c < whole; c += 4) {
      s0 += values[at + c] * x[c];
      s1 += values[at + c + 1] * x[c + 1];
      s2 += values[at + c + 2] * x[c + 2];
      s3 += values[at + c + 3] * x[c + 3];
    }
    for (; c < columns; c++) s0 += values[at + c] * x[c];
    out[r] = s0 + s1 + (s2 + s3);
  }
  return out;
}

function add(x, y) {
  const out = new Float64Array(x.length);
  for (let i = 0; i < out.length; i++) out[i] = x[i] + y[i];
  return out;
}

// A layer norm or, without taking out the mean, an RMS norm; without a description, nothing.
function normalise(norm, x) {
  if (!norm) return x;
  const n = x.length, out = new Float64Array(n);
  let mean = 0, squares = 0;
  if (norm.kind === "layer") {
    for (let i = 0; i < n; i++) mean += x[i];
    mean /= n;
  }
  for (let i = 0; i < n; i++) squares += (x[i] - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / n + norm.eps);
  for (let i = 0; i < n; i++) {
    out[i] = (x[i] - mean) * scale * norm.gain.values[i] + (norm.shift ? norm.shift.values[i] : 0);
  }
  return out;
}

const sigmoid = (z) => 1 / (1 + Math.exp(-z));

// The complementary error function with a relative error below 1.2e-7: Press et al., Numerical Recipes, "erfcc".
function erfc(z) {
  const t = 1 / (1 + 0.5 * Math.abs(z));
  const factors = [
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368,
    -1.26551223,
  ];
  const y = t * Math.exp(-z * z + factors.reduce((sum, factor) => sum * t + factor, 0));
  return z >= 0 ? y : 2 - y;
}

const ACTIVATIONS = {
  tanh: Math.tanh,
  relu: (z) => Math.max(z, 0),
  silu: (z) => z * sigmoid(z),
  gelu: (z) => (z * erfc(-z / Math.SQRT2)) / 2,
};

function activate(name, x) {
  return name ? x.map(ACTIVATIONS[name]) : x;
}

// p at a temperature: softmax of logits / temperature.
function softmax(logits, temperature = 1) {
  let largest = -Infinity, sum = 0;
  for (const logit of logits) largest = Math.max(largest, logit);
  const p = new Float64Array(logits.length);
  for (let i = 0; i < p.length; i++) sum += p[i] = Math.exp((logits[i] - largest) / temperature);
  for (let i = 0; i < p.length; i++) p[i] /= sum;
  return p;
}
