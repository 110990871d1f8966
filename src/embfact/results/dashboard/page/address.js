// The choices of the reader in the address of the page, after the #: a link shows what its sender saw.

const NARROW = "(max-width: 860px)";
const DIGITS = 10; // of the hash of a run: enough to tell runs apart

/** Write the choices that differ from those at first sight. */
function keepAddress() {
  const said = new URLSearchParams();
  const say = (name, value) => said.append(name, value);
  if (app.dataset !== (datasets()[0] ?? null)) say("data", app.dataset ?? ALL);
  if (app.figure !== null && app.figure !== figures()[0]) say("metric", app.data.figures[app.figure].join("/"));
  if (app.axis) say("against", app.axis);
  if (app.modeChosen) say("show", app.mode);
  if (app.color !== "method") say("color", app.color);
  if (app.group) say("group", app.group);
  if (app.text.trim()) say("search", app.text.trim());
  for (const [key, values] of app.hidden) values.forEach((value) => say(`without.${key}`, value));
  for (const [key, range] of app.ranges) say(`range.${key}`, range.map((end) => end ?? "").join("~"));
  app.dropped.forEach((key) => say("drop", key));
  app.added.forEach((key) => say("add", key));
  if (app.sort.key !== "rank" || app.sort.down) say("sort", `${app.sort.down ? "-" : ""}${app.sort.key}`);
  if (app.smoothing) say("smoothing", app.smoothing);
  if (app.chosen) {
    // A row stands for its runs.
    const items = app.items.filter(isSelected);
    say("selected", items.map((item) => item.runs.find(({ id }) => app.selected.has(id)).id.slice(0, DIGITS)).join(","));
    if (app.shown) say("shown", app.shown.slice(0, DIGITS));
    if (app.beside) say("beside", app.beside.slice(0, DIGITS));
  }
  const hash = `#${said}`;
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

/** Take over the choices of the address; what does not exist here is passed over. */
function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  if (![...said].length) return;
  const one = (name, fits, or) => (said.has(name) && fits(said.get(name)) ? said.get(name) : or);
  const isKey = (key) => Boolean(keyOf(key));
  app.dataset = one("data", (label) => label === ALL || datasets().includes(label), datasets()[0] ?? null);
  const figure = figures().find((place) => app.data.figures[place].join("/") === said.get("metric"));
  app.figure = figure ?? figures()[0] ?? null;
  app.axis = Number(one("against", (axis) => axis in AXES, 0));
  app.mode = one("show", (mode) => ["means", "runs"].includes(mode), app.mode);
  app.modeChosen = said.has("show");
  app.color = one("color", isKey, "method");
  app.group = one("group", isKey, "");
  app.text = said.get("search") ?? "";
  app.hidden.forEach((values, key) => {
    values.clear();
    said.getAll(`without.${key}`).forEach((value) => values.add(value));
  });
  app.ranges = new Map([...said].filter(([name]) => name.startsWith("range.")).map(readRange));
  app.dropped = new Set(said.getAll("drop"));
  app.added = new Set(said.getAll("add").filter(isKey));
  const sort = said.get("sort") ?? "rank";
  app.sort = { key: sort.replace(/^-/, ""), down: sort.startsWith("-") };
  app.smoothing = Math.min(Math.max(Number(said.get("smoothing")) || 0, 0), 0.99);
  app.chosen = said.has("selected");
  if (!app.chosen) return;
  const run = (start) => (start ? app.runs.find(({ id }) => id.startsWith(start)) : undefined);
  const found = said.get("selected").split(",").map(run).filter(Boolean);
  const rows = new Set(found.map(rowOf));
  const behind = app.mode === "means" ? app.runs.filter((other) => rows.has(rowOf(other))) : found;
  app.selected = new Set(behind.map(({ id }) => id));
  [app.shown, app.beside] = ["shown", "beside"].map((name) => run(said.get(name))?.id ?? null);
}

function readRange([name, text]) {
  const ends = text.split("~").map((end) => (end !== "" && Number.isFinite(Number(end)) ? Number(end) : null));
  return [name.slice("range.".length), [ends[0] ?? null, ends[1] ?? null]];
}
