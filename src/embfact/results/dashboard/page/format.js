// Formatting of figures, and creation of elements from text: data never becomes markup.

const UNDEFINED = "\u2013";
// Unfinished runs that need attention come before running ones, and those before pending ones.
const STATES = ["finished", "failed", "diverged", "damaged", "interrupted", "running", "pending"];
const BAD = ["failed", "diverged", "damaged", "interrupted"];
const collator = new Intl.Collator("en", { numeric: true });

/** An element; attributes whose value is a function are listeners, children are elements or text. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

/** Three digits and a decimal prefix: 11720448 is 11.7M. */
function short(count) {
  const found = [0, 1, 2].find((power) => count < 999.5 * 1000 ** power);
  const power = found === undefined ? 3 : found;
  const value = count / 1000 ** power;
  const digits = !power || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return value.toFixed(digits) + ["", "k", "M", "G"][power];
}

/** A mean in percent with its deviation: 89.8 ± 0.4. */
function percent(spread) {
  if (!spread) return "";
  if (spread.mean === null) return UNDEFINED;
  return (100 * spread.mean).toFixed(1) + (spread.std === null ? "" : ` ± ${(100 * spread.std).toFixed(1)}`);
}

function seconds(value) {
  if (value == null) return "";
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

/** The number of runs by status: "3 finished, 1 failed". */
function tally(runs) {
  const counts = new Map(STATES.map((state) => [state, 0]));
  for (const { status } of runs) counts.set(status, counts.get(status) + 1);
  const found = [...counts].filter(([, count]) => count);
  return found.map(([state, count]) => `${count.toLocaleString("en")} ${state}`).join(", ");
}

/** Escaped text for the plotting library, which supports some markup in labels. */
function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Text truncated to a number of characters. */
function cut(text, most) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** A value of a record: integers in full, other numbers with six digits. */
function readable(value) {
  if (typeof value === "string") return value;
  if (typeof value !== "number") return JSON.stringify(value);
  return String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));
}

/** Mean and sample standard deviation of the defined values; null without values. */
function spreadOf(values) {
  if (!values.length) return null;
  const defined = values.filter((value) => value !== null);
  const count = defined.length;
  if (!count) return { mean: null, std: null, count };
  const mean = defined.reduce((sum, value) => sum + value, 0) / count;
  const squares = defined.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: count > 1 ? Math.sqrt(squares / (count - 1)) : null, count };
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
