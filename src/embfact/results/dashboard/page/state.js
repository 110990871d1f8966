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
  keys: [], // by which runs can be told apart: see keys.js
  finished: new Map(), // finished runs of each row of the table, by "group data"
  compared: new Map(), // their comparison with dense, by "group data", then by figure
  dataset: null, // a label, or ALL
  figure: null, // index in data.figures
  axis: 0,
  mode: "means",
  modeChosen: false, // otherwise means as soon as there are several seeds
  color: "method", // a key
  group: "", // a key, or nothing
  curve: null,
  smoothing: 0,
  hidden: new Map(FILTERS.map(({ key }) => [key, new Set()])),
  text: "",
  ranges: new Map(), // quantity -> [least, most], null where open
  dropped: new Set(), // keys of columns
  added: new Set(), // keys of the configuration that are columns
  selected: new Set(), // ids of runs
  chosen: false, // whether the reader selected; otherwise the runs of the Pareto front are selected
  shown: null, // id of the run whose details are shown
  beside: null, // id of the run beside it
  sort: { key: "rank", down: false },
  page: 0,
  items: [], // rows of the table and points of the plot: see items.js
  palette: new Map(), // value of the chosen key -> colour
  later: 0, // timer of what is drawn last
};

/** Load new data, keeping choices that still exist. */
function load(data) {
  app.data = data;
  app.runs = data.runs.map((run) => ({ ...data.groups[run.group], ...run }));
  app.runs.sort((one, other) => one.group - other.group || one.seed - other.seed);
  app.byId = new Map(app.runs.map((run) => [run.id, run]));
  app.keys = findKeys();
  app.finished = new Map();
  for (const run of app.runs) {
    if (run.status === "finished") app.finished.set(rowOf(run), (app.finished.get(rowOf(run)) ?? 0) + 1);
  }
  app.compared = new Map();
  for (const found of data.compared) {
    if (!app.compared.has(rowOf(found))) app.compared.set(rowOf(found), new Map());
    app.compared.get(rowOf(found)).set(found.figure, found);
  }
  app.selected = new Set([...app.selected].filter((id) => app.byId.has(id)));
  const labels = datasets();
  // A live sweep has no data set before its first run has finished.
  if (app.dataset === null || (app.dataset !== ALL && !labels.includes(app.dataset))) app.dataset = labels[0] ?? null;
  chooseFigure();
  if (!app.modeChosen) app.mode = new Set(app.runs.map((run) => run.seed)).size > 1 ? "means" : "runs";
}

/** The row of the table in which a run is averaged. */
function rowOf({ group, data }) {
  return `${group} ${data}`;
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

function visible(run) {
  return ofData(run) && FILTERS.every(({ key }) => !app.hidden.get(key).has(textOf(run, key))) && matches(run);
}

function methodOf(run) {
  return run.storage === "float32" || !run.storage ? run.method : `${run.method} ${run.storage}`;
}

/** The method in running text and legends. */
function labelOf(run) {
  return run.dense ? "dense" : methodOf(run);
}

/** A row in running text: its method, rank and options. */
function nameOf(run) {
  return [labelOf(run), /^\d/.test(run.size) ? `r=${run.size}` : run.size, run.setting && `(${run.setting})`]
    .filter(Boolean)
    .join(" ");
}
