// What is inside a model after a beginning, as a drawing: rows from the characters up, each of nodes that span columns
// (the characters), each node a vector, drawn as cells.
// A picture is {text, columns: [id, ...], rows: [{name, nodes: [{from, to, values, faded}]}], links}; a link goes from
// a node of a row to one of the row above, as [row, column, column above].

const MAX_COLUMNS = 16;

const PICTURES = {
  tree(model, states) {
    const { ids } = states[states.length - 1], rows = [{ name: "characters", nodes: [] }];
    let width = 1;
    for (let c = 0; c < ids.length; c++) rows[0].nodes.push({ from: c, to: c + 1, values: model.node(0, [ids[c]], c) });
    model.levels.forEach((level, number) => {
      width *= level.n;
      const nodes = [];
      for (let from = 0; from < ids.length; from += width) {
        const values = model.node(number + 1, ids.slice(from, from + width), from / width);
        nodes.push({ from, to: from + width, values });
      }
      rows.push({ name: `${width} characters meet`, nodes });
    });
    const text = model.levels.length > 1
      ? `The last ${ids.length} characters meet step by step, up to the one vector that the prediction is made from.`
      : `The last ${ids.length} characters meet in one layer, from which the prediction is made.`;
    return { columns: ids, rows, text };
  },

  recurrent(model, states, tokens) {
    const text = "The state after each character, a row per layer: the prediction is made from the last one.";
    return perCharacter(model, states, tokens, text, (layer) => `state of layer ${layer + 1}`);
  },

  wavenet(model, states, tokens) {
    const text = "Each block joins what it sees here and some characters before; the lines show what reaches the end.";
    const picture = perCharacter(model, states, tokens, text, (layer) => `distance ${model.blocks[layer].dilation}`);
    const count = picture.columns.length, links = [];
    let reached = new Set([count - 1]);
    for (let layer = model.blocks.length - 1; layer >= 0; layer--) {
      const { dilation, taps } = model.blocks[layer], below = new Set();
      for (const column of reached) {
        for (let k = 0; k < taps.length; k++) {
          const from = column - k * dilation;
          if (from < 0) continue;
          below.add(from);
          links.push([layer, from, column]);
        }
      }
      for (const node of picture.rows[layer + 1].nodes) node.faded = !reached.has(node.from);
      reached = below;
    }
    return { ...picture, links };
  },

  transformer(model, states, tokens) {
    const text = "The vector of each character after each layer; the lines show where the last one looks.";
    const picture = perCharacter(model, states, tokens, text, (layer) => `layer ${layer + 1}`), links = [];
    const last = states[states.length - 1], count = picture.columns.length;
    last.attention.forEach((weights, layer) => {
      for (let back = 0; back < Math.min(count, weights.length); back++) {
        links.push([layer, count - 1 - back, count - 1, weights[weights.length - 1 - back]]);
      }
    });
    return { ...picture, links };
  },

  bow(model, states) {
    const { ids, cells } = states[states.length - 1], to = ids.length;
    const nodes = ids.map((id, c) => ({ from: c, to: c + 1, values: row(model.embedding, id) }));
    return {
      columns: ids,
      rows: [
        { name: "characters", nodes },
        { name: "their mean, and the last", nodes: [{ from: 0, to, values: cells[0] }] },
        { name: "hidden layer", nodes: [{ from: 0, to, values: cells[1] }] },
      ],
      text: `The order of the last ${to} characters does not matter, except for that of the last one.`,
    };
  },

  bigram(model, states) {
    const { ids, logits } = states[states.length - 1];
    const rows = [{ name: "logits of all characters", nodes: [{ from: 0, to: 1, values: logits }] }];
    return { columns: ids, rows, text: "Only the last character counts: each has its own table of what follows." };
  },

  ngram(model, states) {
    const { ids, backoffs } = states[states.length - 1], rows = [], to = ids.length;
    backoffs.forEach((backoff, k) => {
      const later = backoffs.slice(k + 1).reduce((product, value) => product * value, 1), weight = later * (1 - backoff);
      const name = `last ${k}: ${(100 * weight).toFixed(0)} %`;
      rows.push({ name, nodes: [{ from: Math.max(0, to - k), to, values: [weight], isEmpty: k === 0 }] });
    });
    const unseen = backoffs.length < model.tables.length ? " The list has nothing like it with one more." : "";
    const text = `How much the counts after the last 0, 1, 2, ... characters weigh.${unseen}`;
    return { columns: ids, rows, text };
  },
};

function perCharacter(model, states, tokens, text, nameOf) {
  const first = Math.max(0, states.length - MAX_COLUMNS), columns = tokens.slice(first);
  const rowOf = (name, vectors) => ({ name, nodes: vectors.map((values, c) => ({ from: c, to: c + 1, values })) });
  const layers = states[0].cells.map((_, layer) => {
    return rowOf(nameOf(layer), states.slice(first).map((state) => state.cells[layer]));
  });
  const characters = rowOf("characters", columns.map((token) => row(model.embedding, token)));
  return { columns, rows: [characters, ...layers], text };
}

function svg(name, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
}

const CELL_ROWS = 8, LABEL_HEIGHT = 22, ROW_HEIGHT = 74;

// A vector as cells of two colours, more opaque the larger a value is.
function drawCells(parent, values, x, y, width, height) {
  const columns = Math.ceil(values.length / Math.min(CELL_ROWS, values.length));
  const rows = Math.ceil(values.length / columns), largest = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
  const [dx, dy] = [width / columns, height / rows];
  const paths = new Map(); // one element per colour and opacity
  values.forEach((value, i) => {
    const level = Math.round((8 * Math.abs(value)) / Math.max(1, largest));
    if (!level) return;
    const key = `${value > 0 ? "above" : "below"} ${level / 8}`, at = [x + dx * (i % columns), y + dy * Math.floor(i / columns)];
    const cell = `M${at[0].toFixed(2)} ${at[1].toFixed(2)}h${dx.toFixed(2)}v${dy.toFixed(2)}h${(-dx).toFixed(2)}z`;
    paths.set(key, (paths.get(key) || "") + cell);
  });
  for (const [key, d] of paths) {
    const [kind, opacity] = key.split(" ");
    svg("path", { class: kind, "fill-opacity": opacity, d }, parent);
  }
}

function drawPicture(picture, nameOf, available) {
  const count = picture.columns.length, width = Math.max(28, Math.min(110, (available - 8) / count));
  const height = picture.rows.length * ROW_HEIGHT + LABEL_HEIGHT, total = Math.max(count * width, available - 8);
  const names = picture.columns.map(nameOf);
  const drawing = svg("svg", { width: total, height, viewBox: `0 0 ${total} ${height}`, role: "img" });
  drawing.setAttribute("aria-label", `${picture.text} The characters are: ${names.join(" ")}`);
  const top = (number) => height - LABEL_HEIGHT - (number + 1) * ROW_HEIGHT;
  for (const [rowNumber, from, to, weight = 1] of picture.links || []) {
    const x = (column) => (column + 0.5) * width, y = top(rowNumber);
    const d = `M${x(from)} ${y + 20}L${x(to)} ${top(rowNumber + 1) + ROW_HEIGHT - 6}`;
    svg("path", { class: "link", d, "stroke-width": 0.5 + 3 * weight, "stroke-opacity": Math.min(1, 0.1 + weight) }, drawing);
  }
  picture.rows.forEach(({ name, nodes }, number) => {
    svg("text", { class: "name", x: 2, y: top(number) + 14 }, drawing).textContent = name;
    for (const { from, to, values, faded, isEmpty } of nodes) {
      if (isEmpty || !values.length) continue;
      const box = { x: from * width + 2, y: top(number) + 20, width: (to - from) * width - 4, height: ROW_HEIGHT - 26 };
      const group = svg("g", faded ? { class: "faded" } : {}, drawing);
      drawCells(group, values, box.x, box.y, box.width, box.height);
      svg("rect", { class: "box", rx: 3, ...box }, group);
    }
  });
  names.forEach((name, column) => {
    svg("text", { x: (column + 0.5) * width, y: height - 6 }, drawing).textContent = name;
  });
  return drawing;
}
