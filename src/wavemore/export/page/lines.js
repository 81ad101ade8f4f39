// Lines: their characters, whether they are known, and which wishes they meet.

class UserError extends Error {}

const MASK = 2n ** 64n - 1n;

// splitmix64, as in text/arrays.py
function scramble(value) {
  value = (value + 0x9e3779b97f4a7c15n) & MASK;
  value = ((value ^ (value >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  value = ((value ^ (value >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return value ^ (value >> 31n);
}

// The 64-bit hash of a line, as in text/lines.py.
function hashOf(text) {
  let hash = 0n, position = 0n;
  for (const character of text + "\n") {
    hash += scramble(BigInt(character.codePointAt(0)) | (position << 32n));
    position++;
  }
  return hash & MASK;
}

// The Bloom filter of known_lines.py.
class KnownLines {
  constructor(bytes, positions) {
    [this.bytes, this.positions] = [bytes, positions];
  }

  has(text) {
    const hash = hashOf(text), size = 8 * this.bytes.length;
    const low = Number(hash & 0xffffffffn), high = Number(hash >> 32n);
    for (let i = 0; i < this.positions; i++) {
      const bit = (low + i * high) % size;
      if (!((this.bytes[bit >> 3] >> (bit & 7)) & 1)) return false;
    }
    return true;
  }
}

// Ids as in text/vocabulary.py: 0 is the boundary.
class Vocabulary {
  // In a text the boundary is the end of a line; in a list no character is.
  constructor(characters, cleaning, isText) {
    this.characters = [isText ? "\n" : null, ...characters];
    this.ids = new Map(this.characters.map((character, id) => [character, id]));
    this.cleaning = cleaning;
    this.spaces = this.characters.flatMap((character, id) => (id && /^\s$/u.test(character) ? [id] : []));
  }

  clean(text) {
    if (this.cleaning.case === "lower") text = Array.from(text, (character) => character.toLowerCase()).join("");
    return this.cleaning.normalize === "nfc" ? text.normalize("NFC") : text;
  }

  // A character that is only known in the other case is taken in that one: a phone's keyboard begins with a capital.
  idOf(character) {
    for (const form of [character, character.toLowerCase(), character.toUpperCase()]) {
      if (this.ids.has(form)) return this.ids.get(form);
    }
    return null;
  }

  encode(text) {
    return Array.from(this.clean(text), (character) => {
      const id = this.idOf(character);
      if (id === null) throw new UserError(`The model does not know the character ${character}`);
      return id;
    });
  }

  decode(ids) {
    return ids.map((id) => this.characters[id]).join("");
  }
}

// Automata over ids, as in text/automaton.py: `next` has a row of V states per state, -1 where no line can pass.

function search(ids, size) {
  const next = new Int32Array((ids.length + 1) * size);
  let fallback = 0; // Knuth, Morris and Pratt, https://doi.org/10.1137/0206024
  for (let state = 0; state <= ids.length; state++) {
    next.copyWithin(state * size, fallback * size, (fallback + 1) * size);
    if (state < ids.length) {
      next[state * size + ids[state]] = state + 1;
      if (state > 0) fallback = next[fallback * size + ids[state]];
    }
  }
  return next;
}

function begins(ids, size) {
  const next = new Int32Array((ids.length + 1) * size).fill(-1);
  ids.forEach((id, state) => (next[state * size + id] = state + 1));
  next.fill(ids.length, ids.length * size);
  return { next, accepts: (state) => state === ids.length };
}

function ends(ids, size) {
  return { next: search(ids, size), accepts: (state) => state === ids.length };
}

function contains(ids, size) {
  const next = search(ids, size);
  next.fill(ids.length, ids.length * size);
  return { next, accepts: (state) => state === ids.length };
}

function lacks(ids, size) {
  const next = search(ids, size).map((state) => (state === ids.length ? -1 : state));
  return { next, accepts: () => true };
}

// No spaces at the beginning and at the end.
function trimmed(spaces, size) {
  const next = new Int32Array(3 * size).fill(1);
  for (const id of spaces) [next[id], next[size + id], next[2 * size + id]] = [-1, 2, 2];
  return { next, accepts: (state) => state !== 2 };
}

const MAX_STATES = 3000;

// The automaton of the lines that pass all of them: {next, accepting, states}.
function product(parts, size) {
  const numbers = new Map([["0".concat(",0".repeat(parts.length - 1)), 0]]);
  const tuples = [parts.map(() => 0)], rows = [];
  for (let state = 0; state < tuples.length; state++) {
    const following = new Int32Array(size).fill(-1), tuple = tuples[state];
    for (let id = 1; id < size; id++) {
      const after = parts.map((part, i) => part.next[tuple[i] * size + id]);
      if (after.includes(-1)) continue;
      const key = after.join();
      if (!numbers.has(key)) {
        numbers.set(key, tuples.length);
        tuples.push(after);
        if (tuples.length > MAX_STATES) throw new UserError("These are too many wishes at once: leave some out.");
      }
      following[id] = numbers.get(key);
    }
    rows.push(following);
  }
  const accepting = tuples.map((tuple) => parts.every((part, i) => part.accepts(tuple[i])));
  return { next: rows, accepting, states: rows.length };
}

// Whether a line of such a length passes.
function isPossible({ next, accepting }, minLength, maxLength) {
  let reached = new Set([0]);
  for (let length = 0; length <= maxLength; length++) {
    if (length >= minLength && [...reached].some((state) => accepting[state])) return true;
    const following = new Set();
    for (const state of reached) for (const after of next[state]) if (after >= 0) following.add(after);
    reached = following;
  }
  return false;
}
