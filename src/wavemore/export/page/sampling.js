// Drawing lines that meet wishes, as engine/line_source.py and engine/lookahead.py do it: each character is drawn from
// p times h, the chance to meet the wishes after it, and a line is accepted in proportion to its weight, the product of
// the sums of p h divided by h. So the lines are as likely as the model finds them among all that meet the wishes.

const MAX_PRODUCTS = 3e7; // multiplications for the tables of h
const MOST_END = 0.99;
const FIRST_BATCH = 64, MAX_BATCH = 1024;
const MAY_DIFFER = 50, MIN_ACCEPTED = 1 / 256;
const MAX_FAILED = 150000; // characters drawn in a row without a line that passes
const MANY_LINES = 256, FEW_END = 0.1;
const MAX_BEGINNINGS = 4000, MAX_PROBABILITIES = 2e6; // kept

// h after each number of characters: tables[length][state * contexts + context].
class Lookahead {
  constructor(automaton, levels, size, minLength, maxLength, power) {
    Object.assign(this, { automaton, size, minLength });
    const cost = (level) => automaton.states * size ** (level.k + 1) * (maxLength + 1);
    const level = levels.find((level) => cost(level) <= MAX_PRODUCTS) || levels[levels.length - 1];
    this.contexts = size ** level.k;
    const p = power === 1 ? level.p.values : this.sharpened(level.p.values, power), ratios = level.ratios.values;
    this.tables = [new Float64Array(automaton.states * this.contexts)];
    for (let length = maxLength; length >= 0; length--) {
      this.tables.push(this.before(this.tables[this.tables.length - 1], p, length, ratios));
    }
    this.tables.reverse();
  }

  // The n-gram at another temperature.
  sharpened(p, power) {
    const out = new Float64Array(p.length);
    for (let at = 0; at < p.length; at += this.size) {
      let sum = 0;
      for (let i = at; i < at + this.size; i++) sum += out[i] = p[i] ** power;
      for (let i = at; i < at + this.size; i++) out[i] /= sum;
    }
    return out;
  }

  before(after, p, length, ratios) {
    const { automaton, size, contexts } = this, h = new Float64Array(after.length);
    const ratio = ratios[Math.min(length, ratios.length - 1)];
    for (let context = 0; context < contexts; context++) {
      const end = Math.min(ratio * p[context * size], MOST_END), rest = (1 - end) / (1 - p[context * size]);
      for (let state = 0; state < automaton.states; state++) {
        const next = automaton.next[state];
        let sum = 0;
        for (let id = 1; id < size; id++) {
          if (next[id] >= 0) {
            sum += p[context * size + id] * after[next[id] * contexts + ((context * size + id) % contexts)];
          }
        }
        const ends = length >= this.minLength && automaton.accepting[state] ? end : 0;
        h[state * contexts + context] = sum * rest + ends;
      }
    }
    return h;
  }

  // h after each next character, the end of the line included.
  after(length, context, state) {
    const { automaton, size, contexts } = this, h = new Float64Array(size), next = automaton.next[state];
    const table = this.tables[length + 1];
    h[0] = length >= this.minLength && automaton.accepting[state] ? 1 : 0;
    for (let id = 1; id < size; id++) {
      if (next[id] >= 0) h[id] = table[next[id] * contexts + ((context * size + id) % contexts)];
    }
    return h;
  }

  extended(context, id) {
    return (context * this.size + id) % this.contexts;
  }
}

// The log of the weight from which a line is certainly accepted; see `cap` in engine/line_source.py.
function cap(logWeights, excess) {
  const found = logWeights.filter((w) => w > -Infinity).sort((a, b) => b - a);
  if (!found.length) return -Infinity;
  const weights = found.map((w) => Math.exp(w - found[0]));
  const total = weights.reduce((sum, w) => sum + w, 0);
  let above = 0, enough = -1, least = -1;
  weights.forEach((w, larger) => {
    if ((above - larger * w) / total <= excess) enough = larger;
    if (least < 0 && (total - above + larger * w) / (w * weights.length) >= MIN_ACCEPTED) least = larger;
    above += w;
  });
  return found[0] + Math.log(weights[Math.max(enough, least)]);
}

// The states of a model after all beginnings that were drawn, each computed once.
class Beginnings {
  constructor(model, temperature) {
    Object.assign(this, { model, temperature, roots: new Map(), count: 0 });
  }

  node(state) {
    this.count++;
    const p = softmax(state.logits), drawn = this.temperature === 1 ? p : softmax(state.logits, this.temperature);
    return { state, p, drawn, next: new Map() };
  }

  root(token) {
    if (this.count > Math.min(MAX_BEGINNINGS, MAX_PROBABILITIES / this.model.vocabularySize)) [this.roots, this.count] = [new Map(), 0];
    if (!this.roots.has(token)) this.roots.set(token, this.node(this.model.start(token)));
    return this.roots.get(token);
  }

  after(node, id) {
    if (!node.next.has(id)) node.next.set(id, this.node(this.model.step(node.state, id)));
    return node.next.get(id);
  }
}

// Wishes: {beginning, ending, contains: [], without: [], minLength, maxLength, temperature, isNew, distinct, label,
// seed}; yields {text, label, nats, length, known}, and null while it works.
class Source {
  constructor(maker, wishes) {
    Object.assign(this, { maker, wishes, drawn: 0, lines: 0, ended: 0, accepted: 0, logCap: -Infinity });
    this.random = new Random(wishes.seed);
    this.prefix = maker.vocabulary.encode(wishes.beginning);
    if (maker.vocabulary.spaces.includes(this.prefix[0])) throw new UserError("No item begins with a space.");
    this.beginnings = maker.beginnings(wishes.temperature);
    const { names } = maker.labels, number = names.indexOf(wishes.label);
    this.label = number < 0 ? null : number;
    const isPlain = !wishes.ending && !wishes.contains.length && !wishes.without.length && wishes.minLength <= 1;
    const isRandom = this.prefix.length && names.length && this.label === null;
    this.lookahead = isPlain && this.prefix.length < wishes.maxLength && !isRandom ? null : this.makeLookahead();
  }

  makeLookahead() {
    const { vocabulary, size, lookahead, temperature } = this.maker, { wishes } = this;
    const parts = [trimmed(vocabulary.spaces, size)];
    if (this.prefix.length) parts.push(begins(this.prefix, size));
    if (wishes.ending) parts.push(ends(vocabulary.encode(wishes.ending), size));
    for (const text of wishes.contains) parts.push(contains(vocabulary.encode(text), size));
    for (const text of wishes.without) {
      const isKnown = Array.from(vocabulary.clean(text)).every((character) => vocabulary.idOf(character) !== null);
      if (isKnown) parts.push(lacks(vocabulary.encode(text), size));
    }
    const automaton = product(parts, size);
    if (!isPossible(automaton, wishes.minLength, wishes.maxLength)) {
      throw new UserError(`Nothing of ${wishes.minLength} to ${wishes.maxLength} characters meets all these wishes.`);
    }
    const power = temperature / wishes.temperature;
    return new Lookahead(automaton, lookahead, size, wishes.minLength, wishes.maxLength, power);
  }

  *items() {
    const before = new Set(), { wishes } = this;
    let failed = 0, size = FIRST_BATCH;
    while (failed < MAX_FAILED) {
      const drawn = this.drawn;
      let passed = false;
      for (const item of this.batch(this.lookahead ? size : 1)) {
        if ((wishes.isNew && item.known) || (wishes.distinct && before.has(item.text))) continue;
        if (wishes.distinct) before.add(item.text);
        passed = true;
        yield item;
      }
      failed = passed ? 0 : failed + this.drawn - drawn;
      if (this.lookahead) size = Math.min(2 * size, MAX_BATCH);
      else if (this.lines >= MANY_LINES && this.ended < FEW_END * this.lines) this.lookahead = this.makeLookahead();
      yield null;
    }
  }

  *batch(size) {
    let lines = [];
    for (let i = 0; i < size; i++) lines.push(this.line());
    this.lines += size;
    this.ended += lines.filter((line) => line.hasEnded).length;
    if (this.lookahead) lines = this.acceptedOf(lines);
    for (const { ids, nats, label, hasEnded } of lines) {
      const { vocabulary, labels, known } = this.maker;
      const text = vocabulary.decode(ids), edges = [ids[0], ids[ids.length - 1]];
      if (!hasEnded || vocabulary.clean(text) !== text || edges.some((id) => vocabulary.spaces.includes(id))) continue;
      const name = label === null ? "" : labels.names[label];
      yield { text, label: name, nats, length: ids.length + 1, known: known.has(text) };
    }
  }

  acceptedOf(lines) {
    this.logCap = Math.max(this.logCap, cap(lines.map((line) => line.logWeight), 1 / (MAY_DIFFER + this.accepted)));
    const accepted = lines.filter((line) => Math.log(this.random.uniform()) < line.logWeight - this.logCap);
    this.accepted += accepted.length;
    return accepted;
  }

  line() {
    const { labels, size } = this.maker, { maxLength } = this.wishes;
    const label = labels.names.length && this.label === null ? this.random.pick(labels.shares) : this.label;
    let node = this.beginnings.root(label === null ? 0 : size + label), nats = 0;
    let context = 0, state = 0, logWeight = this.lookahead ? -Math.log(this.lookahead.tables[0][0]) : 0;
    const ids = [];
    while (ids.length <= maxLength) {
      this.drawn++;
      let id;
      if (this.lookahead) {
        const h = this.lookahead.after(ids.length, context, state), q = h.map((value, i) => value * node.drawn[i]);
        const sum = q.reduce((total, value) => total + value, 0);
        if (sum === 0) break;
        id = this.random.pick(q);
        logWeight += Math.log(sum) - Math.log(h[id]);
        context = this.lookahead.extended(context, id);
        state = this.lookahead.automaton.next[state][id];
      } else {
        id = this.freely(node, ids.length);
      }
      nats -= Math.log(node.p[id]);
      if (id === 0) return { ids, nats, label, logWeight, hasEnded: true };
      if (ids.length === maxLength) break;
      ids.push(id);
      node = this.beginnings.after(node, id);
    }
    return { ids, nats, label, logWeight: -Infinity, hasEnded: false };
  }

  freely(node, length) {
    if (length < this.prefix.length) return this.prefix[length];
    if (length >= this.wishes.minLength) return this.random.pick(node.drawn);
    return this.random.pick(node.drawn.map((p, id) => (id ? p : 0)));
  }
}

// All that the page knows: the model, its characters and its lines.
class Maker {
  constructor(data, bytes) {
    const tensors = unpack(data.tensors, bytes);
    this.vocabulary = new Vocabulary(data.characters, data.cleaning, data.format === "text");
    this.size = this.vocabulary.characters.length;
    this.labels = data.labels;
    this.temperature = data.temperature;
    this.percentiles = data.percentiles;
    this.known = data.known && new KnownLines(tensors[data.known.filter].values, data.known.positions);
    this.lookahead = withTensors(data.lookahead, tensors);
    this.model = makeModel(data.model, tensors, this.size);
    this.drawn = null;
  }

  beginnings(temperature) {
    if (!this.drawn || this.drawn.temperature !== temperature) this.drawn = new Beginnings(this.model, temperature);
    return this.drawn;
  }

  token(label) {
    const number = this.labels.names.indexOf(label);
    return number < 0 ? 0 : this.size + number;
  }

  // The state before each character of a line and after the last one.
  states(ids, label) {
    const states = [this.model.start(this.token(label))];
    for (const id of ids) states.push(this.model.step(states[states.length - 1], id));
    return states;
  }

  // The fraction of the val lines that are less typical, as `percentile_ranks` in engine/evaluate.py.
  typical(natsPerCharacter) {
    const values = this.percentiles, last = values.length - 1;
    if (natsPerCharacter < values[0]) return 1;
    if (natsPerCharacter >= values[last]) return 0;
    let i = 0;
    while (values[i + 1] <= natsPerCharacter) i++;
    return 1 - (i + (natsPerCharacter - values[i]) / (values[i + 1] - values[i])) / last;
  }

  // The characters of a text after a beginning, one after the other, without end: {character, nats}.
  *continued(beginning, temperature, seed) {
    const random = new Random(seed);
    let state = this.model.start(0);
    for (const id of this.vocabulary.encode(beginning)) state = this.model.step(state, id);
    for (;;) {
      const id = random.pick(softmax(state.logits, temperature)), nats = -Math.log(softmax(state.logits)[id]);
      yield { character: this.vocabulary.characters[id], nats };
      state = this.model.step(state, id);
    }
  }

  generate(count, wishes) {
    const items = [];
    for (const item of new Source(this, wishes).items()) {
      if (item && items.push(item) === count) break;
    }
    return items;
  }
}
