/* A walk between the codes of two test images, by every model. */

function walk() {
  const STEPS = 9;
  const ends = ["from", "to"].map((name, i) => {
    const image = picture("");
    image.node.setAttribute("aria-hidden", "true");
    const pick = button(image.node, () => setEnd(i), { class: "end" });
    return { image, pick, name, node: html("figure", {}, pick, html("figcaption", {}, name)) };
  });
  const slider = html("input", {
    type: "range", min: 0, max: 1, step: 0.005, value: 0, "aria-label": "Place on the walk",
    oninput: () => {
      stop();
      walkTo(Number(slider.value));
    },
  });
  const play = button("Play", () => (state.playing ? stop() : start()));
  const rows = models.map((model) => {
    const images = Array.from({ length: STEPS }, (_, i) => {
      const image = picture("");
      image.node.setAttribute("aria-hidden", "true");
      const go = () => {
        stop();
        walkTo(i / (STEPS - 1));
      };
      return { image, node: button(image.node, go, { "aria-label": `step ${i + 1} of ${STEPS}`, tabindex: -1 }) };
    });
    const now = picture(`The image at this place${several ? ` by ${model.name}` : ""}`);
    const name = several ? html("figcaption", {}, model.name) : null;
    const steps = html("div", { class: "steps" }, images.map(({ node }) => node));
    return { model, images, now, node: html("div", { class: "walk" }, html("figure", {}, now.node, name), steps) };
  });
  function start() {
    state.playing = true;
    const forward = state.t < 0.999;
    const from = state.t;
    animate(forward ? 3500 * (1 - from) : 3500, (t) => walkTo(forward ? from + t * (1 - from) : 1 - t), stop);
  }
  function stop() {
    state.playing = false;
    stopMoving();
    refresh();
  }
  const node = card("A walk between two test images", "Press an end to set it to the picture that is chosen above.", { id: "walk" },
    html("div", { class: "tools ends" }, ends[0].node, html("div", { class: "way" }, slider, html("div", { class: "tools" }, play,
      button("Other images", otherEnds))), ends[1].node),
    rows.map((row) => row.node));
  let [drawn, at] = [[], null];
  const decoded = ({ model, codes: [from, to] }, t) =>
    model.decode(between(from.z, to.z, t), (t < 0.5 ? from : to).label);
  function draw() {
    if (!state.playing || document.activeElement !== slider) slider.value = state.t;
    play.textContent = state.playing ? "Pause" : "Play";
    if (at !== state.t && drawn.length) rows.forEach((row) => row.now.show(decoded(row, state.t)));
    at = state.t;
    if (drawn[0] === state.ends[0].example && drawn[1] === state.ends[1].example) return;
    drawn = state.ends.map(({ example }) => example);
    ends.forEach(({ image, pick, name }, i) => {
      image.show(drawn[i].image);
      pick.setAttribute("aria-label", `Walk ${name}: ${titleOf(drawn[i])}. Set it to the chosen picture`);
    });
    const tasks = rows.flatMap((row) => {
      row.codes = drawn.map((example) => row.model.encodeExample(example));
      row.now.show(decoded(row, state.t));
      return row.images.map(({ image }, i) => () => image.show(decoded(row, i / (STEPS - 1))));
    });
    later("walk", tasks);
  }
  return { node, draw };
}
