/* What all parts of the page use: the content, elements and numbers as text. */

const page = JSON.parse(document.getElementById("data").textContent);

/** Set attributes and add children. Strings become text, never markup. */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null));
  return node;
}
const html = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const shape = (name, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

const distinct = (values) => [...new Set(values)];
const heading = (text) => (text ? html("h2", {}, text) : null);

/** Format a number: counts with thousands separators, others with digits that depend on their size. */
function shown(value) {
  if (typeof value !== "number") return String(value ?? "");
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e7) return value.toExponential(3);
  const digits = size < 1 ? 4 : size < 1000 ? 3 : 1;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
/** Format a value with its standard error: as many digits as the error allows, which gets one, or two after a 1. */
function withError(value, error) {
  const [digits, exponent] = error.toExponential(1).split("e");
  const decimals = Math.min(6, Math.max(0, (digits.startsWith("1") ? 1 : 0) - Number(exponent)));
  const format = (number) => number.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return `${format(value)} \u00b1 ${format(error)}`;
}
function compact(value) {
  if (Math.abs(value) >= 1e12) return value.toExponential(1);
  return value.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 });
}
