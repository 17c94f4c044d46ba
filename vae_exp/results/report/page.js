/* The page, from its parts in their order. */

function head() {
  const part = ([name, value]) => html("span", {}, `${name} `, html("b", {}, shown(value)));
  const parts = Object.entries(page.parts).map(part);
  const facts = Object.entries(page.facts).map(([name, value], i) =>
    html("div", { class: i ? null : "first" }, html("dt", {}, name), html("dd", {}, shown(value))),
  );
  const status = html("span", { class: `status ${page.status}` }, page.status);
  return html(
    "header",
    {},
    html("div", { class: "title" }, html("h1", {}, page.title), status),
    parts.length ? html("p", { class: "parts" }, parts) : null,
    page.command ? html("code", { class: "command" }, page.command) : null,
    page.links.length ? html("p", { class: "links" }, page.links.map(({ text, href }) => html("a", { href }, text))) : null,
    page.notice ? html("p", { class: "notice", role: "alert" }, page.notice) : null,
    facts.length ? html("dl", { class: "facts" }, facts) : null,
  );
}

/** A bar for each latent. */

function bars() {
  if (!page.bars) return null;
  const { title, values, threshold, unit, note } = page.bars;
  const most = Math.max(...values.map(([, value]) => value), threshold);
  const columns = values.map(([name, value]) => {
    const height = `${Math.max(0.5, (100 * Math.max(value, 0)) / most).toFixed(2)}%`;
    const bar = html("div", { class: value < threshold ? "bar low" : "bar", style: `height: ${height}` });
    const text = `${name}: ${shown(value)} ${unit}`;
    const label = values.length <= 50 ? html("span", {}, name) : null;
    return html("div", { class: "column", title: text, role: "img", "aria-label": text }, html("div", { class: "room" }, bar), label);
  });
  const scale = html("div", { class: "scale", "aria-hidden": "true" }, html("span", {}, `${shown(most)} ${unit}`), html("span", {}, "0"));
  const chart = html("div", { class: "bars", role: "group", "aria-label": title }, scale, columns);
  return html("section", { id: "bars" }, heading(title), note ? html("p", { class: "verdict" }, note) : null, chart);
}

/** The settings that differ from those of the experiment, or of a run without one, and the whole config, folded. */
function config() {
  if (!page.config && !page.settings) return null;
  const changed = page.settings ? table({ ...page.settings, title: "" }) : null;
  const whole = page.config
    ? html("details", {}, html("summary", {}, "The whole configuration"), html("pre", {}, page.config))
    : null;
  return html("section", { id: "config" }, heading("Settings that differ"), changed, whole);
}

/** The page of the model, live. The browser loads it when it comes into view. */
function model() {
  if (!page.model) return null;
  const { text, href } = page.model;
  return html("section", { id: "model" }, heading(text), html("iframe", { src: href, title: text, loading: "lazy" }));
}

function machine() {
  if (!page.machine) return null;
  const { title, tables } = page.machine;
  const content = html("div", { class: "folded" }, tables.map(table));
  return html("section", { id: "machine" }, html("details", {}, html("summary", {}, title), content));
}

/** How to make the results again, and how to cite them. */
function reproduction() {
  if (!page.reproduction) return null;
  const { commands, note, citation, bibtex, source } = page.reproduction;
  return html(
    "section",
    { id: "reproduce" },
    heading("Reproduce and cite"),
    html("pre", { class: "copied" }, commands),
    html("p", { class: "note" }, note),
    source ? html("p", {}, source) : null,
    html("blockquote", {}, citation),
    html("details", {}, html("summary", {}, "BibTeX"), html("pre", { class: "copied" }, bibtex)),
  );
}

document.getElementById("page").replaceChildren(
  ...[
    head(),
    ...page.summary.map(table),
    bars(),
    curves(),
    pictures(),
    model(),
    ...page.tables.map(table),
    config(),
    reproduction(),
    machine(),
    page.origin && !page.reproduction ? html("footer", {}, page.origin) : null,
  ].filter((part) => part !== null),
);
