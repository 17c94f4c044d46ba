/* The state of the page, what changes it, and the page itself. */

const LATENTS = 0;
const first = examples[0];
const other = examples.find(({ label }) => label !== first.label) ?? examples[1] ?? first;

const state = {
  active: 0, // the model whose latent space is shown
  label: 0, // the label that is decoded
  looked: null, // a code under the mouse, shown in place of that of the model
  kind: LATENTS, // the axes: latents or principal axes
  axes: [],
  example: first, // the test image that is encoded; null for a drawing
  ends: [], // of the walk
  t: 0, // the place on the walk
  walks: false, // whether the point is on the walk
  playing: false,
};

/** Show another code of the active model. */
function moveTo(z) {
  state.looked = null;
  state.walks = false;
  state.playing = false;
  stopMoving();
  active().z = Float32Array.from(z);
  refresh();
}
/** Go to another code in a moment. */
function glideTo(z) {
  const [model, from] = [active(), Float32Array.from(active().z)];
  moveTo(from);
  animate(450, (t) => (model.z = between(from, z, t)));
}
/** Decode with another label. The code, which is the style, stays. */
function chooseLabel(label) {
  state.label = label;
  refresh();
}

/** Take what every model found in a picture: its code and its reconstruction. */
function take(results) {
  moveTo(active().z);
  models.forEach((model, i) => {
    const found = results[i];
    model.found = { ...found, image: Float32Array.from(model.decode(found.z, found.label)) };
    model.z = Float32Array.from(found.z);
  });
  if (active().classes) state.label = Math.max(0, active().found.label);
  refresh();
}
function encode(image) {
  state.example = null;
  take(models.map((model) => model.encode(image, state.label)));
}
function chooseExample(example) {
  state.example = example;
  take(models.map((model) => model.encodeExample(example)));
}

function setEnds(examplesOfEnds) {
  state.ends = examplesOfEnds.map((example) => ({ example, ...active().encodeExample(example) }));
  refresh();
}
function setEnd(i) {
  if (!state.example) return;
  setEnds(state.ends.map(({ example }, k) => (k === i ? state.example : example)));
  walkTo(i);
}
function otherEnds() {
  const any = () => examples[Math.floor(Math.random() * examples.length)];
  const from = any();
  const others = examples.filter(({ label, index }) => index !== from.index && (label !== from.label || label < 0));
  setEnds([from, others[Math.floor(Math.random() * others.length)] ?? from]);
  walkTo(0);
}
/** Show the code at a place of the walk, with the label of the nearer end. */
function walkTo(t) {
  const [from, to] = state.ends;
  state.t = t;
  state.looked = null;
  state.walks = true;
  active().z = between(from.z, to.z, t);
  if (active().classes) state.label = (t < 0.5 ? from : to).label;
  refresh();
}

function chooseAxes(kind) {
  state.kind = kind;
  state.axes = kind === LATENTS ? latentAxes(active()) : principalAxes(active());
  space.rebuild();
  refresh();
}
function activate(i) {
  stopMoving();
  Object.assign(state, { active: i, looked: null, walks: false, playing: false });
  if (active().classes && active().found) state.label = Math.max(0, active().found.label);
  setEnds(state.ends.map(({ example }) => example));
  chooseAxes(active().latents > 2 ? state.kind : LATENTS);
  describe();
}

/* ---- the head and the foot ---- */

const facts = html("p", { class: "parts" });
const foot = html("footer");
function describe() {
  const model = active();
  const parts = { ...model.parts, ...model.facts };
  const signed = (value) => String(value).replace(/^-/, "\u2212");
  const fact = ([name, value]) => html("span", {}, `${name.replaceAll("_", " ")} `, html("b", {}, signed(value)));
  facts.replaceChildren(...Object.entries(parts).map(fact));
  const start = performance.now();
  const RUNS = 5;
  for (let i = 0; i < RUNS; i++) model.decode(model.z, state.label);
  const each = (performance.now() - start) / RUNS;
  const weights =
    model.precision === "float16"
      ? `Weights are rounded to float16; by PyTorch, this changes pixels by at most ${model.roundingError.toExponential(1)}.`
      : "Weights are float32, because float16 would change the images.";
  const difference = model.difference();
  foot.dataset.difference = difference;
  foot.dataset.milliseconds = each;
  foot.replaceChildren(
    `${several ? `${model.name}: ` : ""}Pixels are from 0 to 1. ${weights} `,
    `Computed here, the reconstructions differ from those of PyTorch by at most ${difference.toExponential(1)}. `,
    `An image takes ${shown(each, each < 10 ? 1 : 0)} ms. This page works without a network.`,
  );
}

document.body.classList.toggle("several", several);
readColours();
state.ends = [first, other].map((example) => ({ example, ...active().encodeExample(example) }));
if (active().latents > 2 && !active().kl) state.kind = 1; // latents of an autoencoder have no order of their own
state.axes = state.kind === LATENTS ? latentAxes(active()) : principalAxes(active());
const space = explorer();
const parts = [space, pictures(), walk()];
const tabs = several ? choice("Model", models.map(({ name }) => name), 0, activate, "segments models") : null;

document.getElementById("page").replaceChildren(
  html("header", {}, html("h1", {}, content.title), facts, tabs?.node ?? ""),
  ...parts.map(({ node }) => node),
  foot,
);
views.push(...parts.map(({ draw }) => draw));
scheme.addEventListener("change", () => {
  readColours();
  space.recolour();
  refresh();
});
describe();
space.rebuild();
chooseExample(first);
