/* Curves: one legend for all charts of the page. */

const SPLITS = ["test", "train", "validation"];
const WIDTHS = { test: 2.5, validation: 1.8, train: 1.3 };
const COLOURS = 7;

const series = page.charts.flatMap((chart) => chart.series);
const labels = distinct(series.map((one) => one.label)).filter(Boolean);
const splits = distinct(series.map((one) => one.split)).filter(Boolean);
splits.sort((one, other) => SPLITS.indexOf(one) - SPLITS.indexOf(other));
const byLabel = labels.length > 1;
const hidden = new Set();
const limited = page.charts.filter((chart) => chart.limits).flatMap((chart) => chart.series);
let whole = false; // whether to show all values, also those of the first steps, which flatten the rest

const keysOf = (one) => [`label ${one.label}`, `split ${one.split}`, `published ${one.published}`];
const isShown = (one) => !keysOf(one).some((key) => hidden.has(key));
const nameOf = (one) => [byLabel ? one.label : "", one.split, one.published ? "(paper)" : ""].filter(Boolean).join(" ");
const colourOf = ({ label, split }) => {
  const index = byLabel ? labels.indexOf(label) : Math.max(0, SPLITS.indexOf(split));
  return `var(--curve-${index % COLOURS})`;
};
const styleOf = (one) => `stroke: ${colourOf(one)}; stroke-width: ${WIDTHS[one.split] ?? 2}`;

function swatch(style, published) {
  const line = shape("path", { d: "M1 6H25", class: published ? "curve published" : "curve", style });
  return shape("svg", { width: 26, height: 12, "aria-hidden": "true" }, line);
}

function legend(redraw) {
  const toggle = (key, text, style, published = false) => {
    const press = (event) => {
      if (!hidden.delete(key)) hidden.add(key);
      event.currentTarget.setAttribute("aria-pressed", String(!hidden.has(key)));
      redraw();
    };
    const attributes = { type: "button", "aria-pressed": "true", "data-key": key, onclick: press };
    return html("button", attributes, swatch(style, published), text);
  };
  const grey = (width) => `stroke: var(--faint); stroke-width: ${width}`;
  const groups = [];
  if (byLabel) groups.push(labels.map((label) => toggle(`label ${label}`, label, styleOf({ label, split: "test" }))));
  if (splits.length > 1)
    groups.push(
      splits.map((split) => toggle(`split ${split}`, split, byLabel ? grey(WIDTHS[split] ?? 2) : styleOf({ split }))),
    );
  if (series.some((one) => one.published)) groups.push([toggle("published true", "paper", grey(2), true)]);
  if (limited.length) {
    const press = (event) => {
      whole = !whole;
      event.currentTarget.setAttribute("aria-pressed", String(whole));
      redraw();
    };
    const attributes = { type: "button", class: "option", "aria-pressed": "false", onclick: press };
    groups.push([html("button", attributes, "whole range")]);
  }
  if (!groups.length) return null;
  const parts = groups.flatMap((group, i) => (i ? [html("span", { class: "gap" }), ...group] : group));
  return html("div", { class: "legend", role: "group", "aria-label": "Curves: press to hide or show" }, parts);
}

/** The pixel coordinates of a chart's values. */
function geometry(chart, visible, width, height) {
  const points = visible.flatMap((one) => one.points);
  const counts = points.map(([x]) => x);
  let [first, last] = [Math.min(...counts), Math.max(...counts)];
  if (first === last) [first, last] = [first / 2, last * 2];
  const shared = chart.limits ? limited.filter(isShown).flatMap((one) => one.points) : points;
  const [low, high] = chart.limits && !whole ? chart.limits : range(shared);
  const [x, y] = [logarithmic(first, last), linear(low, high)];
  if (chart.sizes) x.ticks = distinct(counts);
  const left = 14 + 6.6 * Math.max(...y.ticks.map((tick) => y.format(tick).length));
  const [right, top, bottom] = [width - 16, 12, height - 42];
  const toX = (value) => left + x.share(value) * (right - left);
  const toY = (value) => bottom - y.share(value) * (bottom - top);
  return { x, y, toX, toY, left, right, top, bottom };
}

function axes({ x, y, toX, toY, left, right, top, bottom }, name) {
  const path = (kind, d) => shape("path", { class: kind, d });
  const text = (content, at, height, anchor = "middle") =>
    shape("text", { x: at, y: height, "text-anchor": anchor }, content);
  return [
    ...y.ticks.map((tick) => path("grid", `M${left} ${toY(tick)}H${right}`)),
    ...y.ticks.map((tick) => text(y.format(tick), left - 7, toY(tick) + 4, "end")),
    path("axis", `M${left} ${bottom + 4}H${right}`),
    ...x.ticks.map((tick) => path("grid", `M${toX(tick)} ${top}V${bottom + 4}`)),
    ...x.ticks.map((tick) => text(x.format(tick), toX(tick), bottom + 18)),
    text(name, (left + right) / 2, bottom + 36),
  ];
}

/** For each curve, the point nearest to a stop, if it is close to it. The highest point comes first. */
function near(visible, stop, toX) {
  const distance = (point) => Math.abs(toX(point[0]) - toX(stop));
  return visible
    .map((one) => ({ one, at: one.points.reduce((best, point) => (distance(point) < distance(best) ? point : best)) }))
    .filter(({ at }) => distance(at) < 12)
    .sort((first, second) => second.at[1] - first.at[1]);
}

function line({ one, at: [, value, error] }) {
  const name = html("span", {}, nameOf(one));
  return html("div", {}, swatch(styleOf(one), one.published), name, error ? withError(value, error) : shown(value));
}

function drawChart(chart, number) {
  const hover = html("div", { class: "hover", role: "status", hidden: true });
  const svg = shape("svg", { tabindex: 0, role: "img", "aria-label": `${chart.title} against ${chart.x}` });
  const caption = html("figcaption", {}, chart.title, html("small", {}, chart.unit ? ` (${chart.unit})` : ""));
  const figure = html("figure", { class: "chart" }, caption, svg, hover);
  const marks = shape("g");
  let [visible, place, stops, now] = [[], null, [], null];

  function draw() {
    const width = svg.clientWidth || 340;
    const height = Math.min(300, Math.max(210, Math.round(width * 0.62)));
    visible = chart.series.filter(isShown);
    stops = distinct(visible.filter((one) => !one.published).flatMap((one) => one.points.map(([at]) => at)));
    stops.sort((one, other) => one - other);
    leave();
    svg.setAttribute("height", height);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (!visible.length) {
      svg.replaceChildren(shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "no curve"));
      return;
    }
    place = geometry(chart, visible, width, height);
    const { left, right, top, bottom, toX, toY } = place;
    const frame = { x: left - 4, y: top - 4, width: right - left + 8, height: bottom - top + 8 };
    const clip = shape("clipPath", { id: `frame${number}` }, shape("rect", frame));
    const drawn = visible.map((one) => curve(one, toX, toY));
    const curves = shape("g", { class: "curves", "clip-path": `url(#frame${number})` }, drawn);
    svg.replaceChildren(clip, ...axes(place, chart.x), curves, marks);
  }

  function show(stop) {
    now = stop;
    const { top, bottom, toX, toY } = place;
    const found = near(visible, stop, toX);
    const dots = found.map(({ one, at: [x, y] }) =>
      shape("circle", { cx: toX(x), cy: toY(y), r: 4, style: `fill: ${colourOf(one)}` }),
    );
    const inside = dots.filter((dot) => dot.getAttribute("cy") >= top - 4 && dot.getAttribute("cy") <= bottom + 4);
    marks.replaceChildren(shape("path", { class: "crosshair", d: `M${toX(stop)} ${top}V${bottom}` }), ...inside);
    const title = chart.sizes ? `${chart.x} ${shown(stop)}` : `${shown(stop)} samples`;
    hover.replaceChildren(html("b", {}, title), ...found.map(line));
    hover.hidden = false;
    // beside the pointer if there is room, or else below the chart, so that it does not cover the curves
    const at = svg.getBoundingClientRect().left - figure.getBoundingClientRect().left + toX(stop);
    const [needed, room] = [hover.offsetWidth + 20, figure.clientWidth];
    const beside = at >= needed ? at - needed + 8 : at + needed <= room ? at + 12 : null;
    hover.style.left = `${beside ?? Math.max(8, Math.min(at - needed / 2, room - needed + 12))}px`;
    hover.style.top = beside === null ? "100%" : `${caption.offsetTop + caption.offsetHeight + top + 4}px`;
  }

  function leave() {
    hover.hidden = true;
    marks.replaceChildren();
  }
  function point(event) {
    const at = event.clientX - svg.getBoundingClientRect().left;
    const distance = (stop) => Math.abs(place.toX(stop) - at);
    if (stops.length) show(stops.reduce((best, stop) => (distance(stop) < distance(best) ? stop : best)));
  }
  function key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") leave();
    if (!move || !stops.length) return;
    event.preventDefault();
    const next = now === null ? stops.length - 1 : stops.indexOf(now) + move;
    show(stops[Math.max(0, Math.min(stops.length - 1, next))]);
  }
  for (const event of ["pointermove", "pointerdown"]) svg.addEventListener(event, point);
  for (const event of ["pointerleave", "blur"]) svg.addEventListener(event, leave);
  svg.addEventListener("keydown", key);
  let drawn = 0;
  const resized = () => {
    if (drawn !== svg.clientWidth) draw();
    drawn = svg.clientWidth;
  };
  new ResizeObserver(() => requestAnimationFrame(resized)).observe(figure);
  return { figure, draw };
}

/** The limits of an axis: from the lowest to the highest value, with some margin. */
function range(points) {
  const values = points.flatMap(([, value, error]) => [value - error, value + error]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const room = high > low ? Math.max(0.06 * (high - low), 1e-9 * size) : 0.1 * size || 1;
  return [low - room, high + room];
}

function curve(one, toX, toY) {
  const along = (points) => points.map(([x, y]) => `${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`).join("L");
  const fillStyle = `fill: ${colourOf(one)}`;
  const parts = [];
  if (one.points.some(([, , error]) => error)) {
    const upper = one.points.map(([x, y, error]) => [x, y + error]);
    const lower = one.points.map(([x, y, error]) => [x, y - error]).reverse();
    parts.push(shape("path", { class: "band", d: `M${along([...upper, ...lower])}Z`, style: fillStyle }));
  }
  const kind = one.published ? "curve published" : "curve";
  parts.push(shape("path", { class: kind, d: `M${along(one.points)}`, style: styleOf(one), "data-name": nameOf(one) }));
  if (!one.published && one.points.length <= 30)
    parts.push(...one.points.map(([x, y]) => shape("circle", { cx: toX(x), cy: toY(y), r: 2.2, style: fillStyle })));
  return parts;
}

function curves() {
  const drawn = page.charts.map(drawChart);
  const redraw = () => drawn.forEach(({ draw }) => draw());
  const figures = html("div", { class: "charts" }, drawn.map(({ figure }) => figure));
  return drawn.length ? html("section", { id: "curves" }, heading("Curves"), legend(redraw), figures) : null;
}
