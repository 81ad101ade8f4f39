// The page: what is typed and chosen, and what is shown. Items are shown as text only, never as markup.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const maker = new Maker(data, decodeBase64($("weights").textContent));
const MAX_TYPED = 200; // characters that are looked at
const SLICE = 25; // milliseconds of work before the page reacts again
const isText = data.format === "text";
let made = [];
let job = 0; // the number of the last order

function element(name, text = "", attributes = {}) {
  const result = document.createElement(name);
  result.textContent = text;
  for (const [key, value] of Object.entries(attributes)) result.setAttribute(key, value);
  return result;
}

const percent = (share) => (share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);

// Spaces and marks that stand alone would not be seen.
function shown(id) {
  if (id === 0) return "⏎";
  const character = maker.vocabulary.characters[id];
  if (/^\s$/u.test(character)) return "␣";
  if (/^\p{C}$/u.test(character)) return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  return /^\p{M}$/u.test(character) ? `◌${character}` : character;
}

// An item of several lines has a sign for each line break.
const broken = (text) => (data.separator === null ? text : text.replaceAll("␤", "\n"));

function wholeNumber(id, least, most, otherwise) {
  const value = $(id).value.trim();
  if (value === "" && otherwise !== undefined) return otherwise;
  const number = Number(value);
  if (!Number.isInteger(number) || number < least || number > most || value === "") {
    throw new UserError(`${$(id).labels[0].firstChild.textContent.trim()}: a whole number from ${least} to ${most}.`);
  }
  return number;
}

const readSeed = () => wholeNumber("seed", 0, 2 ** 53 - 1, Math.floor(Math.random() * 1e9));
const texts = (id) => $(id).value.split("\n").filter((text) => text !== "");

function readWishes() {
  const most = Math.max(1000, data.longest), minLength = wholeNumber("shortest", 1, most, 1);
  return {
    minLength,
    maxLength: wholeNumber("longest", minLength, most, Math.max(data.longest, minLength)),
    beginning: $("beginning").value,
    ending: $("ending").value,
    contains: texts("contains"),
    without: texts("without"),
    temperature: Number($("temperature").value),
    isNew: $("new").checked,
    distinct: $("distinct").checked,
    label: $("label").value,
    seed: readSeed(),
  };
}

function showItem(item) {
  const line = element("tr"), text = element("td");
  const choose = element("button", broken(item.text), { type: "button", dir: "auto" });
  choose.addEventListener("click", () => {
    $("typed").value = item.text;
    $("typed-label").value = item.label;
    think();
    $("typed").focus();
  });
  text.append(choose);
  line.append(text);
  if (data.labels.names.length) line.append(element("td", item.label, { dir: "auto" }));
  const perCharacter = item.nats / item.length, typical = maker.typical(perCharacter), cell = element("td");
  const meter = element("div", "", { class: "meter" }), frame = element("div"), bar = element("i");
  bar.style.width = `${100 * typical}%`;
  frame.append(bar);
  meter.append(element("span", `${Math.round(100 * typical)} %`), frame);
  cell.append(meter);
  line.append(cell, element("td", perCharacter.toFixed(2), { class: "number" }));
  $("made").append(line);
}

// Calls `step` until it returns true, in slices, so that the page reacts; `end` is called when it has, or on Stop.
function inSlices(step, end) {
  const number = ++job;
  $("make").disabled = true;
  $("stop").hidden = false;
  const finish = () => {
    job++;
    $("stop").hidden = true;
    $("make").disabled = false;
    end();
  };
  $("stop").onclick = finish;
  const work = () => {
    if (number !== job) return;
    const until = performance.now() + SLICE;
    while (performance.now() < until) if (step()) return finish();
    setTimeout(work);
  };
  work();
}

function makeItems() {
  const wishes = readWishes(), wanted = wholeNumber("count", 1, 1000), items = new Source(maker, wishes).items();
  made = [];
  $("made").replaceChildren();
  let isStopped = true;
  inSlices(
    () => {
      const { value, done } = items.next();
      if (value) {
        made.push(value);
        showItem(value);
        $("results").hidden = false;
      }
      $("status").textContent = `${made.length} of ${wanted} ...`;
      isStopped = !done && made.length < wanted;
      return !isStopped;
    },
    () => {
      const found = `Found only ${made.length} of ${wanted}: try fewer wishes, or a higher temperature. `;
      const count = made.length === 1 ? "1 item" : `${made.length} items`;
      $("status").textContent = `${isStopped || made.length === wanted ? "" : found}${count}, seed ${wishes.seed}.`;
    },
  );
}

function writeText() {
  const beginning = $("beginning").value, seed = readSeed(), wanted = wholeNumber("characters", 1, 20000);
  const characters = maker.continued(beginning, Number($("temperature").value), seed);
  let count = 0, nats = 0;
  $("written").textContent = beginning;
  $("results").hidden = false;
  inSlices(
    () => {
      const { value } = characters.next();
      $("written").append(value.character);
      nats += value.nats;
      return ++count === wanted;
    },
    () => {
      $("written").normalize();
      $("status").textContent = `${count} characters, ${(nats / count).toFixed(2)} nats per character, seed ${seed}.`;
    },
  );
}

function make(event) {
  event.preventDefault();
  $("status").classList.remove("error");
  try {
    if (isText) writeText();
    else makeItems();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    $("status").textContent = error.message;
    $("status").classList.add("error");
  }
}

function download(name, content, type) {
  const link = element("a", "", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// A cell that a spreadsheet would run begins with an apostrophe instead.
function csvCell(value) {
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  const hasLabels = data.labels.names.length > 0;
  const rows = made.map(({ text, label, nats, length }) => {
    const numbers = [nats / length, maker.typical(nats / length)].map((value) => value.toFixed(4));
    return [csvCell(broken(text)), ...(hasLabels ? [csvCell(label)] : []), ...numbers].join();
  });
  const header = ["text", ...(hasLabels ? ["label"] : []), "nats_per_char", "percentile_rank"].join();
  return `\ufeff${[header, ...rows].join("\r\n")}\r\n`;
}

// All that was made, as a file has it.
function content() {
  if (isText) return $("written").textContent;
  const end = data.separator === null ? "\n" : `\n${data.separator}\n`;
  return made.map(({ text }) => broken(text) + end).join("");
}

async function copy() {
  try {
    await navigator.clipboard.writeText(content());
  } catch {
    const area = element("textarea", content());
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  $("status").textContent = isText ? "Copied." : `Copied ${made.length}.`;
}

function showNext(logits) {
  const p = softmax(logits), order = [...p.keys()].sort((a, b) => p[b] - p[a]).slice(0, 12);
  $("next").replaceChildren(...order.map((id) => {
    const button = element("button", "", { type: "button", "aria-label": `${id ? shown(id) : "the end"}, ${percent(p[id])}` });
    const bar = element("i");
    bar.style.width = `${(100 * p[id]) / p[order[0]]}%`;
    button.append(element("b", shown(id)), element("span", percent(p[id])), bar);
    button.disabled = id === 0 && !isText;
    button.addEventListener("click", () => {
      $("typed").value += maker.vocabulary.characters[id];
      think();
      $("typed").focus();
    });
    const item = element("li");
    item.append(button);
    return item;
  }));
}

function showSurprise(ids, states) {
  const most = Math.max(5, data.uniform);
  $("surprise").replaceChildren(...(isText ? ids : [...ids, 0]).map((id, i) => {
    const nats = -Math.log(softmax(states[i].logits)[id]), item = element("li"), bar = element("i", "", { "aria-hidden": "true" });
    bar.style.height = `${Math.min(6, (6 * nats) / most)}rem`;
    bar.style.background = `rgb(var(${nats > data.uniform ? "--high" : "--low"}))`;
    item.append(element("span", nats.toFixed(1)), bar, element("b", shown(id)));
    return item;
  }));
}

function think() {
  let ids;
  try {
    ids = maker.vocabulary.encode($("typed").value).slice(0, MAX_TYPED);
    $("typed-status").textContent = "";
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    $("typed-status").textContent = error.message;
    return;
  }
  const label = $("typed-label").value, states = maker.states(ids, label), last = states[states.length - 1];
  showNext(last.logits);
  showSurprise(ids, states);
  const picture = PICTURES[data.model.kind](maker.model, states, [maker.token(label), ...ids]);
  $("inside-text").textContent = picture.text;
  const nameOf = (id) => ((id > 0 || isText) && id < maker.size ? shown(id) : "·"); // "·" is before the first one
  $("inside").replaceChildren(drawPicture(picture, nameOf, $("inside").clientWidth - 16));
  for (const id of ["inside", "surprise"]) $(id).scrollLeft = $(id).scrollWidth; // to the last character
}

// A text may begin with several lines, an item may not.
function makeTextarea(id) {
  const area = element("textarea", "", { id, rows: 3, dir: "auto", autocapitalize: "off", spellcheck: "false" });
  $(id).replaceWith(area);
}

function start() {
  document.querySelector("main").className = data.format;
  if (isText) ["beginning", "typed"].forEach(makeTextarea);
  const { names } = data.labels;
  for (const [id, empty] of [["label", "any, as often as in the list"], ["typed-label", "not given"]]) {
    if (id === "label" || !names.length) $(id).append(element("option", empty, { value: "" }));
    for (const name of names) $(id).append(element("option", name, { value: name }));
    $(`${id}-field`).hidden = !names.length;
  }
  $("label-column").hidden = !names.length;
  $("shortest").value = 1;
  $("longest").value = data.longest;
  $("temperature").value = data.temperature;
  const showTemperature = () => ($("temperature-value").textContent = Number($("temperature").value).toFixed(2));
  showTemperature();
  $("temperature").addEventListener("input", showTemperature);
  const [numbers, items] = [data.numbers, data.known ? data.known.lines : 0].map((count) => count.toLocaleString("en"));
  $("facts").textContent =
    `The model ${data.does}. It has ${numbers} numbers, learned from ${isText ? "a text" : `${items} items`} of ` +
    `${(maker.size - 1).toLocaleString("en")} different characters (${data.settings}).`;
  $("wishes").addEventListener("submit", make);
  $("copy").addEventListener("click", copy);
  $("text-file").addEventListener("click", () => {
    download(isText ? "text.txt" : "items.txt", content(), "text/plain;charset=utf-8");
  });
  $("csv-file").addEventListener("click", () => download("items.csv", csv(), "text/csv;charset=utf-8"));
  $("typed").addEventListener("input", think);
  $("typed-label").addEventListener("change", think);
  let width = window.innerWidth;
  window.addEventListener("resize", () => { // the height changes while a phone scrolls
    if (window.innerWidth !== width) think();
    width = window.innerWidth;
  });
  think();
}

start();
window.wavemore = { // for programs and tests
  temperature: data.temperature,
  maxLength: data.longest,
  lookahead: () => maker.lookahead.map(({ k, p, ratios }) => ({ k, p: [...p.values], ratios: [...ratios.values] })),
  logits: (text, label = "") => maker.states(maker.vocabulary.encode(text), label).map((state) => Array.from(state.logits)),
  continued: (count, beginning, temperature, seed) => {
    const characters = maker.continued(beginning, temperature, seed);
    return Array.from({ length: count }, () => characters.next().value.character).join("");
  },
  generate: (count, wishes) => maker.generate(count, wishes),
  isKnown: (text) => maker.known.has(text),
  typical: (natsPerCharacter) => maker.typical(natsPerCharacter),
};
