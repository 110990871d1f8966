// The plot: a figure against size on a logarithmic axis, and the Pareto front.

const BUTTONS = ["toImage", "select2d", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"];
const CONFIG = { displaylogo: false, responsive: true, modeBarButtons: [BUTTONS] };
const MOST_RANKS = 60; // labels of points; more would cover each other

function drawScatter() {
  const found = points();
  const text = emptyText(found);
  byId("scatter-empty").hidden = !text;
  byId("scatter-empty").textContent = text;
  byId("scatter").hidden = byId("scatter-legend").hidden = byId("scatter-hint").hidden = Boolean(text);
  if (text) return;
  const places = placesOf(found);
  const byLabel = [...Map.groupBy(found, (item) => lookOf(item.first).label)];
  byLabel.sort(([one], [other]) => collator.compare(one, other));
  const traces = byLabel.map(([, items]) => labelTrace(items, places));
  const lines = [...denseLines(found), ...baselineLines()];
  const range = valueRange(found, lines);
  const title = `${figureName(app.figure)} on ${app.dataset} (%)`;
  const settings = layout({
    xaxis: { type: "log", title: { text: `${AXES[app.axis].label} (log scale)` }, ...sizeAxis(found) },
    yaxis: { title: { text: plain(cut(title, 50)) }, range },
    hovermode: "closest",
    dragmode: "select",
    shapes: lines.map(({ y, style }) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: style })),
    annotations: [...lineNames(lines, range, found, places), ...rankNames(found)],
    uirevision: [app.dataset, app.figure, app.axis].join(" "),
    selections: [],
  });
  Plotly.react("scatter", [frontTrace(found), ...traces, chosenTrace(found, places)], settings, CONFIG);
  const front = { label: "Pareto front", color: color("soft"), dash: "dot" };
  drawLegend("scatter-legend", [...byLabel.map(([, items]) => lookOf(items[0].first)), front]);
  const apart = found.some((item) => places.get(item.key) !== item.sizes[app.axis]);
  const chance = found.some((item) => item.chance.has(app.figure));
  byId("scatter-notes").textContent = [
    apart && "Points of equal size stand side by side.",
    chance && "Hollow: not above the majority class on any seed.",
  ].filter(Boolean).join(" ");
}

function emptyText(found) {
  if (!app.runs.length) return "There are no runs yet.";
  if (!app.items.length) return "No run matches the filters; clear some of them.";
  const several = app.dataset === ALL && datasets().length > 1;
  if (several) return "Choose a data set: figures of several data sets have no common axis.";
  return found.length ? "" : "None of these runs has finished with this metric.";
}

/** Points of one label, those of the same method and options joined by size; pale beside a selection. */
function labelTrace(items, places) {
  const marker = { size: 9, color: lookOf(items[0].first).color, line: { width: 1, color: color("paper") } };
  const lines = Map.groupBy(items, ({ first }) => JSON.stringify([first.model, methodOf(first), first.setting, first.data]));
  const ordered = [...lines.values()].flatMap((line) => [
    null, // a gap
    ...line.sort((one, other) => one.sizes[app.axis] - other.sizes[app.axis] || one.rank - other.rank),
  ]);
  const joined = app.mode === "means" || lines.size === items.length || new Set(items.map(({ first }) => first.seed)).size === 1;
  const trace = pointsTrace(joined ? ordered.slice(1) : items, marker, places);
  return {
    ...trace,
    mode: joined ? `lines+${trace.mode}` : trace.mode,
    line: { color: marker.color, width: 1.2 },
    opacity: app.chosen && app.selected.size ? 0.35 : 1,
  };
}

/** The selected points with a ring, above all others. */
function chosenTrace(found, places) {
  const items = found.filter(isSelected);
  const marker = { size: 13, line: { width: 2, color: color("ink") }, color: items.map(({ first }) => lookOf(first).color) };
  return { ...pointsTrace(items, marker, places), mode: "markers", error_y: { visible: false } };
}

function pointsTrace(items, marker, places) {
  const deviations = items.map((item) => item && 100 * (figureOf(item).std ?? 0));
  const ranks = items.length <= MOST_RANKS ? ranksToName(items.filter(Boolean)) : new Set();
  const symbols = items.map((item) => item && lookOf(item.first).symbol + (item.chance.has(app.figure) ? "-open" : ""));
  const widths = items.map((item) => (item?.chance.has(app.figure) ? 2 : marker.line.width));
  return {
    type: "scatter",
    mode: ranks.size ? "markers+text" : "markers",
    marker: { ...marker, symbol: symbols, line: { ...marker.line, width: widths } },
    x: items.map((item) => item && places.get(item.key)),
    y: items.map((item) => item && 100 * figureOf(item).mean),
    error_y: { type: "data", array: deviations, visible: app.mode === "means", thickness: 1.6, width: 4 },
    customdata: items.map((item) => item?.key),
    text: items.map((item) => (item ? hoverText(item) : "")),
    texttemplate: items.map((item) => (item && ranks.has(item.key) ? String(item.rank) : "")),
    textposition: "top center",
    hovertemplate: "%{text}<extra></extra>",
    unselected: { marker: { opacity: 1 } }, // a ring marks the selection instead
  };
}

function hoverText(item) {
  const { first } = item;
  const finished = item.runs.filter((run) => run.status === "finished");
  const seeds = finished.map((run) => run.seed).sort((one, other) => one - other);
  const size = /^\d/.test(first.size) ? `rank ${first.size}` : first.size;
  const asked = item.rank !== null && !/^\d/.test(first.size) && first.size ? `rank ${item.rank}` : "";
  const lines = [
    [labelOf(first), size, asked, first.setting].filter(Boolean).join(", "),
    app.color === "method" ? "" : `${keyOf(app.color).label} ${textOf(first, app.color)}`,
    `${figureName(app.figure)} ${percent(figureOf(item))}${item.chance.has(app.figure) ? " (chance)" : ""}`,
    differenceText(item) && `${differenceText(item)} against dense`,
    `embedding ${short(item.sizes[0])} parameters, ${short(item.sizes[2])}B`,
    `model ${short(item.sizes[1])} parameters, ${short(item.sizes[3])}B`,
    app.mode === "runs" ? first.name : `${plural(seeds.length, "seed")}: ${seeds.join(", ")}`,
  ];
  return lines.filter(Boolean).map((line) => plain(cut(line, 100))).join("<br>");
}

function frontTrace(found) {
  const best = paretoFront(found);
  return {
    type: "scatter",
    mode: "lines",
    x: best.map((item) => item.sizes[app.axis]),
    y: best.map((item) => 100 * figureOf(item).mean),
    line: { shape: "hv", color: color("soft"), width: 1.5, dash: "dot" },
    hoverinfo: "skip",
  };
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
