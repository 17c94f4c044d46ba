/* Tables: a click on a column's name sorts by it, a second click reverses the order. */

const textOf = (cell) => (cell !== null && typeof cell === "object" ? cell.text : cell);

/** The sort key of a cell: its number if it begins with one (1,000 or -104.2 \u00b1 0.3), or else its text. */
function valueOf(cell) {
  const value = textOf(cell);
  if (value === null || value === undefined || value === "") return null;
  if (typeof value === "number") return value;
  const number = /^([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?: \u00b1 .*)?$/i.exec(value.trim());
  return number ? Number(number[1].replaceAll(",", "")) : value;
}

/** Sort numbers before words. Empty cells stay at the end in both orders. */
function compare(one, other, sign) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one !== typeof other) return sign * (typeof one === "number" ? -1 : 1);
  return sign * (typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true }));
}

function table(spec) {
  const numeric = spec.columns.map((_, i) => {
    const values = spec.rows.map((row) => valueOf(row[i])).filter((value) => value !== null);
    return values.length > 0 && values.every((value) => typeof value === "number");
  });
  const kind = (cell, i) => (numeric[i] ? "number" : String(textOf(cell) ?? "").length > 60 ? "text" : null);
  const content = (cell) => (cell?.href ? html("a", { href: cell.href }, cell.text) : shown(textOf(cell)));
  const lines = spec.rows.map((row) => {
    const cells = row.map((cell, i) => html("td", { class: kind(cell, i) }, content(cell)));
    return { row, node: html("tr", {}, cells) };
  });
  const body = html("tbody", {}, lines.map(({ node }) => node));
  const headers = spec.columns.map((name, i) => {
    const sort = () => {
      const sign = headers[i].getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headers.forEach((header) => header.removeAttribute("aria-sort"));
      headers[i].setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      lines.sort((one, other) => compare(valueOf(one.row[i]), valueOf(other.row[i]), sign));
      body.replaceChildren(...lines.map(({ node }) => node));
    };
    const button = html("button", { type: "button", onclick: sort }, name);
    return html("th", { scope: "col", class: numeric[i] ? "number" : null }, button);
  });
  const whole = html("table", {}, html("thead", {}, html("tr", {}, headers)), body);
  const region = { class: "box", tabindex: 0, role: "region", "aria-label": spec.title || null };
  const box = spec.rows.length ? html("div", region, whole) : null;
  const note = spec.note ? html("p", { class: "note" }, spec.note) : null;
  return html("section", { class: "table" }, heading(spec.title), box, note);
}
