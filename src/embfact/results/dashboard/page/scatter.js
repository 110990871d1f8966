// The plot: a figure against size on a logarithmic axis, the Pareto front, and a line for each dense row.

// The colours and markers of the plots (results/plots/style.py), by the number of a method.
const COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255"];
const SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "pentagon"];
const BUTTONS = ["toImage", "select2d", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"];
const CONFIG = { displaylogo: false, responsive: true, modeBarButtons: [BUTTONS] };

/** The look of a method, the same on every page and in every plot; the dense model has the text colour. */
function styleOf(label) {
  if (label === "none") return { color: color("ink"), symbol: "star" };
  const number = app.data.looks[label.split(" ")[0]];
  return { color: COLORS[number % COLORS.length], symbol: SHAPES[number % SHAPES.length] };
}

function layout(changes) {
  const ink = color("ink");
  const axis = { gridcolor: color("grid"), linecolor: color("line"), zeroline: false, automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: color("paper"),
    font: { color: ink, size: 12 },
    margin: { l: 55, r: 45, t: 25, b: 45 },
    hoverlabel: { bgcolor: color("panel"), bordercolor: color("line"), font: { color: ink }, align: "left" },
    modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: color("soft"), activecolor: color("mark") },
    legend: { itemclick: false, itemdoubleclick: false, orientation: "h", y: 1.02, yanchor: "bottom" },
    ...changes,
    xaxis: { ...axis, ...changes.xaxis },
    yaxis: { ...axis, ...changes.yaxis },
  };
}

function drawScatter() {
  const found = points();
  const text = emptyText(found);
  byId("scatter-empty").hidden = !text;
  byId("scatter-empty").textContent = text;
  byId("scatter").hidden = Boolean(text);
  if (text) return;
  const byLabel = [...Map.groupBy(found, (item) => methodOf(item.first))];
  byLabel.sort(([one], [other]) => collator.compare(one, other));
  const traces = byLabel.map(([label, items]) => methodTrace(label, items));
  const { shapes, annotations } = denseLines(found);
  const ticks = sizeTicks(found);
  const title = `${figureName(app.figure)} on ${app.dataset} (%)`;
  const settings = layout({
    xaxis: { type: "log", title: { text: `${AXES[app.axis].label} (log scale)` }, ...ticks },
    yaxis: { title: { text: plain(cut(title, 50)) } },
    hovermode: "closest",
    dragmode: "select",
    shapes,
    annotations,
    showlegend: true,
    uirevision: [app.dataset, app.figure, app.axis].join(" "),
    selections: [],
  });
  Plotly.react("scatter", [frontTrace(found), ...traces, chosenTrace(found)], settings, CONFIG);
}

function emptyText(found) {
  if (found.length) return "";
  if (!app.runs.length) return "There are no runs yet.";
  const several = app.dataset === ALL && datasets().length > 1;
  if (several) return "Choose a data set to plot it: figures of several data sets have no common axis.";
  if (!app.items.length) return "No run matches the filters; clear some of them.";
  return "None of these runs has finished with this metric.";
}

/** Points of one method; pale while there is a selection. */
function methodTrace(label, items) {
  const marker = { ...styleOf(label), size: 9, line: { width: 1, color: color("paper") } };
  return { ...pointsTrace(items, marker), name: plain(cut(label, 40)), opacity: app.selected.size ? 0.35 : 1 };
}

/** The selected points with a ring, above all others. */
function chosenTrace(found) {
  const items = found.filter(isSelected);
  const styles = items.map((item) => styleOf(methodOf(item.first)));
  const ring = { size: 13, line: { width: 2, color: color("ink") } };
  const marker = { color: styles.map((style) => style.color), symbol: styles.map((style) => style.symbol), ...ring };
  return { ...pointsTrace(items, marker), showlegend: false };
}

function pointsTrace(items, marker) {
  const deviations = items.map((item) => 100 * (figureOf(item).std ?? 0));
  return {
    type: "scatter",
    mode: "markers",
    marker,
    x: items.map((item) => item.sizes[app.axis]),
    y: items.map((item) => 100 * figureOf(item).mean),
    error_y: { type: "data", array: deviations, visible: app.mode === "means", thickness: 1.2, width: 3 },
    customdata: items.map((item) => item.key),
    text: items.map(hoverText),
    hovertemplate: "%{text}<extra></extra>",
    unselected: { marker: { opacity: 1 } }, // a ring marks the selection instead
  };
}

function hoverText(item) {
  const { first } = item;
  const finished = item.runs.filter((run) => run.status === "finished");
  const seeds = finished.map((run) => run.seed).sort((one, other) => one - other);
  const size = /^\d/.test(first.size) ? `rank ${first.size}` : first.size;
  const lines = [
    [methodOf(first), size, first.setting].filter(Boolean).join(", "),
    `${figureName(app.figure)} ${percent(figureOf(item))}`,
    `embedding ${short(item.sizes[0])} parameters, ${short(item.sizes[2])}B`,
    `model ${short(item.sizes[1])} parameters, ${short(item.sizes[3])}B`,
    app.mode === "runs" ? first.name : `${plural(seeds.length, "seed")}: ${seeds.join(", ")}`,
  ];
  return lines.map((line) => plain(cut(line, 100))).join("<br>");
}

function frontTrace(found) {
  const best = paretoFront(found);
  return {
    type: "scatter",
    mode: "lines",
    name: "Pareto front",
    x: best.map((item) => item.sizes[app.axis]),
    y: best.map((item) => 100 * figureOf(item).mean),
    line: { shape: "hv", color: color("soft"), width: 1.5, dash: "dot" },
    hoverinfo: "skip",
  };
}

/** A line at the mean of each dense row; rows are not averaged, since they differ in options. */
function denseLines(found) {
  const rows = Map.groupBy(found.filter((item) => item.first.dense), (item) => item.first.group).values();
  const lines = [...rows].map((items) => [items[0].first, 100 * spreadOf(items.map((item) => figureOf(item).mean)).mean]);
  lines.sort(([, one], [, other]) => one - other);
  const several = new Set(found.map((item) => item.first.model)).size > 1;
  const style = { color: color("soft"), width: 1.2, dash: "dash" };
  const shapes = lines.map(([, y]) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: style }));
  const annotations = lines.map(([{ model, setting }, y], place) => {
    const text = ["dense", several && model, y.toFixed(1), setting && `(${setting})`].filter(Boolean).join(" ");
    // Away from the dense points on the right and from neighbouring labels.
    const x = place % 2 ? 0.4 : 0;
    const yanchor = place || lines.length === 1 ? "bottom" : "top";
    return { text: plain(cut(text, 60)), xref: "paper", x, xanchor: "left", y, yanchor, showarrow: false };
  });
  return { shapes, annotations };
}

/** Ticks at the dense size divided by powers of two; of several dense sizes, the largest. */
function sizeTicks(found) {
  const dense = [...new Set(found.map((item) => item.denseSizes[app.axis]))];
  const base = Math.max(...dense);
  const sizes = found.map((item) => item.sizes[app.axis]);
  const smallest = Math.floor(Math.log2(Math.min(...sizes) / base)) - 1;
  const largest = Math.ceil(Math.log2(Math.max(...sizes) / base)) + 1;
  const powers = Array.from({ length: largest - smallest + 1 }, (_, place) => smallest + place);
  const share = (power) => (power > 0 ? `${2 ** power}x` : power ? `1/${2 ** -power}` : "dense");
  const second = (power) => (dense.length === 1 ? `<br>${share(power)}` : "");
  const label = (power) => short(base * 2 ** power) + AXES[app.axis].unit + second(power);
  return { tickvals: powers.map((power) => base * 2 ** power), ticktext: powers.map(label) };
}

/** Select by clicks and boxes in the plot; listeners can be added once the plot exists. */
function listenToScatter() {
  const plot = byId("scatter");
  if (plot.dataset.listens || !plot.on) return;
  plot.dataset.listens = "yes";
  const itemsOf = (event) => {
    const keys = new Set(event.points.map((point) => point.customdata));
    return app.items.filter((item) => keys.has(item.key));
  };
  // Later: the plot must not be redrawn while it dispatches an event.
  const later = (action) => setTimeout(action, 0);
  plot.on("plotly_click", (event) => {
    const add = event.event.shiftKey || event.event.ctrlKey || event.event.metaKey;
    later(() => select(itemsOf(event), { add }));
  });
  plot.on("plotly_selected", (event) => event?.points.length && later(() => select(itemsOf(event))));
  plot.on("plotly_deselect", () => later(() => select([])));
}
