/* Parts of the page: elements, pictures, choices, and the work that is done frame by frame. */

/** Make an element. Strings become text, never markup. */
function html(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked") node[key] = value;
    else if (value === true) node.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}
const button = (text, onclick, attributes = {}) => html("button", { type: "button", onclick, ...attributes }, text);

/** Format a number with two decimals and a true minus sign. */
const shown = (value, digits = 2) => value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "\u2212");

/** A canvas with one image. It says what it is by its label. */
function picture(label, attributes = {}) {
  const kind = HEIGHT === 1 ? "picture row" : "picture";
  const canvas = html("canvas", { class: kind, width: WIDTH, height: HEIGHT, role: "img", "aria-label": label, ...attributes });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(WIDTH, HEIGHT);
  const area = HEIGHT * WIDTH;
  const colour = CHANNELS === 3 ? [0, area, 2 * area] : [0, 0, 0];
  return {
    node: canvas,
    show(image) {
      for (let i = 0; i < area; i++) {
        for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = Math.round(255 * image[colour[c] + i]);
        pixels.data[4 * i + 3] = 255;
      }
      context.putImageData(pixels, 0, 0);
    },
  };
}

let choices = 0;
/** One of a few options, as radio buttons. */
function choice(label, options, chosen, onchoose, kind = "segments") {
  const name = `choice${choices++}`;
  const option = (content, i) => {
    const input = html("input", { type: "radio", name, value: String(i), checked: i === chosen, onchange: () => onchoose(i) });
    return html("label", {}, input, html("span", {}, content));
  };
  const node = html("div", { class: kind, role: "radiogroup", "aria-label": label }, options.map(option));
  const inputs = [...node.querySelectorAll("input")];
  return { node, choose: (i) => inputs[i] && (inputs[i].checked = true) };
}

const card = (title, hint, attributes, ...children) =>
  html("section", attributes, html("h2", {}, title), hint ? html("p", { class: "hint" }, hint) : null, children);

/* ---- colours: those of the style sheet, in light and dark ---- */

const CLASS_COLOURS = 10;
const scheme = matchMedia("(prefers-color-scheme: dark)");
let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  colours = Object.fromEntries(["ground", "card", "ink", "faint", "rule", "link"].map((name) => [name, read(name)]));
  colours.classes = Array.from({ length: CLASS_COLOURS }, (_, i) => read(`class-${i}`));
}
const colourOf = (label) => (label < 0 ? colours.faint : colours.classes[label % CLASS_COLOURS]);

/* ---- work: the most urgent once per frame, the rest in the time that is left ---- */

const FRAME = 4; // milliseconds of a frame for pictures that can wait
const views = [];
const waiting = new Map();
let asked = false;

/** Draw all views again in the next frame. */
function refresh() {
  if (!asked) requestAnimationFrame(frame);
  asked = true;
}
/** Do tasks when there is time. They replace earlier ones of the same name. */
function later(name, tasks) {
  waiting.delete(name);
  waiting.set(name, tasks[Symbol.iterator]());
  refresh();
}
function frame() {
  asked = false;
  const start = performance.now();
  for (const draw of views) draw();
  do {
    const [name, tasks] = waiting.entries().next().value ?? [];
    const { value: task, done } = tasks?.next() ?? { done: true };
    if (done) waiting.delete(name);
    else task();
  } while (waiting.size && performance.now() - start < FRAME);
  if (waiting.size) refresh();
}

/** Move from one value to another in a moment, or at once for those who want less motion. */
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let moving = 0;
function animate(milliseconds, step, whenDone = () => {}) {
  const start = performance.now();
  const number = ++moving;
  const next = () => {
    if (number !== moving) return;
    const t = calm.matches ? 1 : Math.min(1, (performance.now() - start) / milliseconds);
    step(t * t * (3 - 2 * t));
    refresh();
    if (t < 1) requestAnimationFrame(next);
    else whenDone();
  };
  next();
}
const stopMoving = () => moving++;
