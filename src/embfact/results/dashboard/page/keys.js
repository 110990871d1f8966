// Keys: properties of runs, and options of their configuration that vary. Runs are coloured, grouped and searched by them.

const CONFIG_PREFIX = "config.";

/** All keys: [{ key, label, of }], where `of` gives the value of a run, or undefined. */
function findKeys() {
  const own = [...FILTERS.filter(({ key }) => key !== "status"), { key: "data", label: "data set" }];
  const known = own.map(({ key, label }) => ({ key, label, of: (run) => run[key] }));
  const { keys, usual } = app.data.facts;
  const varying = new Set(app.runs.flatMap((run) => Object.keys(run.facts ?? {})).map(Number));
  for (const place of [...varying].sort((one, other) => one - other)) {
    if (!keys[place].startsWith(CONFIG_PREFIX)) continue;
    const label = keys[place].slice(CONFIG_PREFIX.length);
    if (label === "rank" || known.some(({ key }) => key === label)) continue; // it is a property already
    const of = (run) => (run.facts ? (run.facts[place] ?? usual[place])[0] : undefined);
    known.push({ key: keys[place], label, of });
  }
  return known;
}

function keyOf(key) {
  return app.keys.find((known) => known.key === key);
}

/** The value of a run as text. */
function textOf(run, key) {
  const value = key === "status" ? run.status : keyOf(key)?.of(run);
  return value === "" || value == null ? UNDEFINED : readable(value);
}

/** The value of a run as a number; null if it is none. */
function numberOf(run, key) {
  const text = textOf(run, key);
  return /^[-+]?[\d.]/.test(text) && Number.isFinite(Number(text)) ? Number(text) : null;
}

/** Whether all values that runs have are numbers. */
function isNumeric(key, runs) {
  const defined = runs.filter((run) => ![UNDEFINED, "null"].includes(textOf(run, key)));
  return defined.length > 0 && defined.every((run) => numberOf(run, key) !== null);
}

/** The keys whose values differ between the runs on the chosen data. */
function differingKeys() {
  const runs = app.runs.filter(ofData);
  return app.keys.filter(({ key }) => runs.some((run) => textOf(run, key) !== textOf(runs[0], key)));
}

/** Whether a run has all words of the search, in its name or in a value that varies, as in "lr=0.001". */
function matches(run) {
  if (!app.text.trim()) return true;
  run.words ??= [run.name, run.status, nameOf(run), ...app.keys.map(({ key, label }) => `${label}=${textOf(run, key)}`)]
    .join("\n")
    .toLowerCase();
  return app.text.toLowerCase().split(/\s+/).every((word) => run.words.includes(word));
}

/** The facts of a run: [key, value, whether it differs from most runs]. */
function factsOf(run) {
  const { keys, usual } = app.data.facts;
  const own = run.facts || {};
  if (!run.facts) return [];
  return keys
    .map((key, place) => [key, own[place] || usual[place], place in own])
    .filter(([, leaf]) => leaf.length)
    .map(([key, [value], apart]) => [key, value, apart]);
}

/** Fill the menus that choose a key. */
function drawKeyMenus() {
  const keys = differingKeys();
  for (const [id, none] of [["color", "method"], ["group", ""]]) {
    const options = keys.filter(({ key }) => key !== none).map(({ key, label }) => el("option", { value: key }, label));
    byId(id).replaceChildren(el("option", { value: none }, none || "nothing"), ...options);
    if (app[id] !== none && !keys.some(({ key }) => key === app[id])) app[id] = none;
    byId(id).value = app[id];
  }
}
