// The data of the sweep, and what the reader has chosen.

const AXES = [
  { label: "embedding parameters", unit: "" },
  { label: "model parameters", unit: "" },
  { label: "embedding bytes", unit: "B" },
  { label: "model bytes", unit: "B" },
];
const FILTERS = [
  { key: "model", label: "backbone" },
  { key: "method", label: "method" },
  { key: "size", label: "rank" },
  { key: "storage", label: "storage" },
  { key: "setting", label: "options" },
  { key: "seed", label: "seed" },
  { key: "status", label: "status" },
];
const ALL = "";

const app = {
  data: null,
  runs: [],
  byId: new Map(),
  dataset: null, // a label, or ALL
  figure: null, // index in data.figures
  axis: 0,
  mode: "means",
  curve: null,
  hidden: new Map(FILTERS.map(({ key }) => [key, new Set()])),
  selected: new Set(), // ids of runs
  shown: null, // id of the run whose details are shown
  sort: { key: "rank", down: false },
  page: 0,
  items: [], // rows of the table and points of the plot: see items.js
};

/** Load new data, keeping choices that still exist. */
function load(data) {
  const first = app.data === null;
  app.data = data;
  app.runs = data.runs.map((run) => ({ ...data.groups[run.group], ...run }));
  app.runs.sort((one, other) => one.group - other.group || one.seed - other.seed);
  app.byId = new Map(app.runs.map((run) => [run.id, run]));
  app.selected = new Set([...app.selected].filter((id) => app.byId.has(id)));
  if (!app.byId.has(app.shown)) app.shown = null;
  const labels = datasets();
  // A live sweep has no data set before its first run has finished.
  if (app.dataset === null || (app.dataset !== ALL && !labels.includes(app.dataset))) app.dataset = labels[0] ?? null;
  chooseFigure();
  if (first) app.mode = new Set(app.runs.map((run) => run.seed)).size > 1 ? "means" : "runs";
}

function datasets() {
  return [...new Set(app.runs.map((run) => run.data).filter(Boolean))].sort(collator.compare);
}

/** Indices of the figures that runs on the chosen data have. */
function figures() {
  const found = new Set();
  for (const run of app.runs) {
    if (ofData(run)) for (const place of Object.keys(run.values)) found.add(Number(place));
  }
  return [...found].sort((one, other) => one - other);
}

function chooseFigure() {
  const found = figures();
  if (!found.includes(app.figure)) app.figure = found[0] ?? null;
}

/** The name of a figure: its metric, and its split if the data set has several. */
function figureName(place) {
  const [split, metric] = app.data.figures[place];
  const splits = new Set(figures().map((other) => app.data.figures[other][0]));
  return splits.size > 1 ? `${split} ${metric}` : metric;
}

/** Whether a run is on the chosen data; a run with unknown data always is. */
function ofData(run) {
  return !app.dataset || !run.data || run.data === app.dataset;
}

function optionOf(run, key) {
  return run[key] === "" || run[key] == null ? UNDEFINED : String(run[key]);
}

function visible(run) {
  return ofData(run) && FILTERS.every(({ key }) => !app.hidden.get(key).has(optionOf(run, key)));
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

function methodOf(run) {
  return run.storage === "float32" || !run.storage ? run.method : `${run.method} ${run.storage}`;
}
