/* The sections of the page. Each shows the state and changes it by the functions of `main.js`. */

const several = models.length > 1;
const active = () => models[state.active];
const titleOf = ({ label, index }) => `test image ${index}${label >= 0 ? `, ${nameOf(label)}` : ""}`;

/** Return a function that tells whether the code, the label or the model differs from those of its last call. */
function news() {
  let last = [];
  return (z, label = 0) => {
    const now = [state.active, label, ...z];
    const differs = now.length !== last.length || now.some((value, i) => value !== last[i]);
    last = now;
    return differs;
  };
}

/** Sliders for the latents, or for the principal axes of the codes. */
function sliders() {
  const FIRST = 10;
  const box = html("div", { class: "sliders" });
  const more = button("more", () => {
    more.hidden = true;
    rows.forEach(({ node }) => (node.hidden = false));
  });
  let rows = [];
  function rebuild() {
    rows = state.axes.map((axis, i) => {
      const value = html("output");
      const input = html("input", {
        type: "range", min: axis.low, max: axis.high, step: (axis.high - axis.low) / 400, "aria-label": axis.name,
        oninput: () => moveTo(axis.to(active().z, Number(input.value))),
      });
      const node = html("div", { class: "slider", hidden: i >= FIRST },
        html("b", {}, axis.name), input, value, html("small", {}, axis.note));
      return { axis, input, value, node };
    });
    more.hidden = rows.length <= FIRST;
    box.replaceChildren(...rows.map(({ node }) => node), more);
  }
  function draw() {
    for (const { axis, input, value } of rows) {
      const place = axis.of(active().z);
      if (document.activeElement !== input || Math.abs(Number(input.value) - place) > 1e-3 * (axis.high - axis.low))
        input.value = place;
      const text = shown(place);
      if (value.textContent !== text) value.textContent = text;
    }
  }
  return { node: box, rebuild, draw };
}

/** The label that is decoded: the same code with every label. */
function labels() {
  if (!models.some((model) => model.classes)) return null;
  const small = NAMES.map((name) => picture(`this code as ${name}`));
  const contents = NAMES.map((name, i) => [small[i].node, name]);
  const chosen = choice("Label", contents, state.label, (i) => chooseLabel(i), "tiles");
  const node = html("div", { class: "labels" }, html("h3", {}, "The same style with every label"), chosen.node);
  const isNew = news();
  let turn = 0;
  function draw() {
    node.hidden = !active().classes;
    chosen.choose(state.label);
    if (node.hidden || !isNew(state.looked ?? active().z)) return;
    const z = Float32Array.from(state.looked ?? active().z);
    // the next time it goes on where it was interrupted, so that every label has its turn
    const task = () => {
      turn = (turn + 1) % small.length;
      small[turn].show(active().decode(z, turn));
    };
    later("labels", small.map(() => task));
  }
  return { node, draw };
}

/** The decoded image, the latent plane and the sliders. */
function explorer() {
  const image = picture("The decoded image", { id: "decoded" });
  const place = html("output", { id: "place" });
  const plane = new Plane(moveTo, (z) => {
    state.looked = z;
    refresh();
  });
  plane.canvas.id = "plane";
  const [across, up] = [html("select", { "aria-label": "To the right" }), html("select", { "aria-label": "Upwards" })];
  const use = () => {
    plane.use(active(), state.axes[across.value] ?? state.axes[0], state.axes[up.value] ?? flat(active()));
    later("tiles", plane.showsTiles ? plane.drawTiles(state.label) : []);
  };
  for (const select of [across, up]) select.addEventListener("change", use);
  /** An axis that no code moves along, for a model with one latent. */
  const flat = (model) => new Axis(model, "nothing", Array(model.latents).fill(0), 0);
  const kinds = choice("Axes", ["Latents", "Principal axes"], 0, (i) => chooseAxes(i));
  const backs = choice("Plane", ["Test images", "Decoded images"], 0, (i) => {
    plane.showsTiles = i === 1;
    circles.hidden = plane.showsTiles || !active().normal;
    plane.drawBack();
    use();
    refresh();
  });
  const selects = html("div", { class: "tools" }, html("span", {}, "\u2192 ", across), html("span", {}, "\u2191 ", up));
  const tools = html("div", { class: "tools" }, button("Random", () => glideTo(active().sample())), button("Middle", () => glideTo(active().middle)));
  const bars = sliders();
  const styles = labels();
  const circles = html("span", {}, " The circles are one and two standard deviations of the prior.");
  const help = "Hover to look, press or drag to move the point. Keys: the arrows, with Shift for larger steps.";
  const sides = html("div", { class: "panel side" }, html("div", { class: "tools" }, kinds.node), bars.node);
  const node = html("section", { id: "explore", "aria-label": "The latent space" },
    html("div", { class: "panel hero" }, html("h2", {}, "Decoded"), image.node, place, tools),
    html("div", { class: "panel" }, html("h2", {}, "Latent space"), html("div", { class: "tools" }, backs.node, selects),
      plane.canvas, html("p", { class: "hint", id: "plane-help" }, help, circles)),
    sides,
    styles?.node,
  );
  const isNew = news();
  let label = state.label;
  function rebuild() {
    const flatSpace = active().latents <= 2;
    document.body.classList.toggle("flat", flatSpace && !several);
    sides.hidden = flatSpace && !several;
    kinds.node.hidden = flatSpace;
    selects.hidden = flatSpace;
    backs.node.hidden = !flatSpace;
    if (!flatSpace && plane.showsTiles) {
      plane.showsTiles = false;
      backs.choose(0);
    }
    circles.hidden = plane.showsTiles || !active().normal;
    kinds.choose(state.kind);
    const option = (axis, i) => html("option", { value: String(i) }, axis.name);
    for (const [select, i] of [[across, 0], [up, 1]]) {
      select.replaceChildren(...state.axes.map(option));
      select.value = String(i);
    }
    bars.rebuild();
    use();
  }
  function draw() {
    const z = state.looked ?? active().z;
    if (isNew(z, state.label)) image.show(active().decode(z, state.label));
    const places = [plane.across, plane.up].filter(({ name }) => name !== "nothing");
    const text = places.map((axis) => `${axis.name} ${shown(axis.of(z))}`).join("   ");
    if (place.textContent !== text) place.textContent = text;
    plane.draw(state.looked, state.walks ? [state.ends[0].z, active().z, state.ends[1].z] : null);
    if (plane.showsTiles && label !== state.label) later("tiles", plane.drawTiles(state.label));
    label = state.label;
    bars.draw();
    styles?.draw();
  }
  return { node, draw, rebuild, recolour: () => plane.drawBack() };
}

/** Test images side by side. One tab stop; the arrow keys go from one to the next. */
function strip(choose) {
  const views = examples.map((example, i) => {
    const one = picture("");
    one.show(example.image);
    one.node.setAttribute("aria-hidden", "true");
    return button(one.node, () => choose(example), { "aria-label": titleOf(example), tabindex: i ? -1 : 0 });
  });
  const keydown = (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const next = views[views.indexOf(document.activeElement) + move];
    if (!next) return;
    event.preventDefault();
    views.forEach((view) => (view.tabIndex = -1));
    next.tabIndex = 0;
    next.focus();
  };
  const node = html("div", { class: "strip", role: "group", "aria-label": "Test images", onkeydown: keydown }, views);
  const mark = (example) =>
    views.forEach((view, i) => view.setAttribute("aria-pressed", String(example?.index === i)));
  return { node, mark };
}

/** A picture, its code and its reconstruction, by every model. */
function pictures() {
  const sketch = new Sketch(() => encode(sketch.seen));
  const seen = picture("The drawing as the model sees it: moved and scaled like the test images");
  const beside = html("figure", { class: "small" }, seen.node, html("figcaption", {}, "as the model sees it"));
  const said = html("p", { class: "said", "aria-live": "polite" });
  const chosen = strip((example) => chooseExample(example));
  const outputs = models.map((model) => {
    const image = picture(`Reconstruction${several ? ` by ${model.name}` : ""}`);
    const code = html("canvas", { class: "code", role: "img", "aria-label": "The code", width: 2 * 260, height: 2 * 54 });
    const caption = html("figcaption");
    return { model, image, code, caption, node: html("figure", {}, image.node, code, caption) };
  });
  const pens = choice("What is drawn", SIGNS ? ["Pen", "Rubber"] : ["Light", "Dark"], 0, (i) => (sketch.light = i === 0));
  const tools = html("div", { class: "tools" }, button("Clear", clear), pens.node);
  const help = "Draw on the first picture, or choose a test image. Keys: the arrows move the pen, the space bar lowers it.";
  const drawable = models.every((model) => model.encoder);
  function clear() {
    sketch.clear();
    encode(sketch.seen);
  }
  const node = card("A picture, its code, its reconstruction", null, { id: "pictures" },
    html("div", { class: "outputs" },
      html("figure", { class: "input" }, drawable ? [sketch.node, tools] : sketch.node, said), beside,
      outputs.map((output) => output.node)),
    html("p", { class: "hint", id: "sketch-help" }, drawable ? help : "Choose a test image."),
    chosen.node);
  if (!drawable) sketch.view.node.style.pointerEvents = "none";
  let drawn = null;
  function draw() {
    if (state.example && drawn !== state.example) sketch.show(state.example.image);
    drawn = state.example;
    chosen.mark(state.example);
    beside.hidden = !(sketch.fresh && SIGNS);
    if (!beside.hidden) seen.show(sketch.seen);
    const text = saidOf(active());
    if (said.textContent !== text) said.textContent = text;
    outputs.forEach(({ model, image, code, caption }) => {
      if (!model.found) return;
      const input = sketch.seen;
      image.show(model.found.image);
      const error = model.found.image.reduce((sum, value, i) => sum + (value - input[i]) ** 2, 0);
      const line = `${several ? `${model.name}: s` : "S"}quared error ${shown(error, 1)}`;
      if (caption.textContent !== line) caption.textContent = line;
      drawCode(code, model);
    });
  }
  return { node, draw };
}

/** Say what the picture is, and what the model takes it for. */
function saidOf(model) {
  const what = state.example ? titleOf(state.example).replace(/^t/, "T") : "Your drawing";
  if (!model.found) return what;
  const { probability, label } = model.found;
  if (probability !== undefined) return `${what}. The model sees ${nameOf(label)} (${Math.round(100 * probability)}%).`;
  if (model.needsLabels && !state.example) return `${what}, encoded with the label ${nameOf(state.label)} that is chosen above.`;
  return `${what}.`;
}

/** Draw a bar for every latent, the most important first. */
function drawCode(canvas, model) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  const order = model.order.slice(0, 65);
  const wide = Math.min(40, width / order.length);
  const scale = (height / 2 - 2) / model.reach; // the largest of all codes
  context.fillStyle = colours.rule;
  context.fillRect(0, height / 2 - 1, wide * order.length, 2);
  context.fillStyle = colours.link;
  order.forEach((k, i) => {
    const tall = Math.max(-model.reach, Math.min(model.reach, model.found.z[k])) * scale;
    context.fillRect(i * wide + 1, height / 2, Math.max(1, wide - 2), -tall);
  });
  canvas.setAttribute("aria-label", `The code: ${order.map((k) => `z${k} ${shown(model.found.z[k])}`).join(", ")}`);
}
