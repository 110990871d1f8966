// Colours and markers: of methods as in every picture, or by the value of any key.

// The colours and markers of the plots (results/plots/style.py), by the number of a method.
const COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255"];
const SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "pentagon"];
const DASHES = ["solid", "dash", "dashdot", "dot", "longdash", "longdashdot"];
// For numbers, from small to large; legible on light and on dark.
const RAMP = [[126, 79, 201], [59, 139, 208], [33, 165, 140], [127, 191, 63], [224, 168, 0]];

/** The look of a method, the same on every page and in every plot; the dense model has the text colour. */
function styleOf(label) {
  if (label === "none") return { color: color("ink"), symbol: "star" };
  const number = app.data.looks[label.split(" ")[0]];
  return { color: COLORS[number % COLORS.length], symbol: SHAPES[number % SHAPES.length] };
}

/** The look of a run, and the label that it has in a legend. The marker is always that of the method. */
function lookOf(run) {
  const own = styleOf(methodOf(run));
  if (app.color === "method") return { ...own, label: labelOf(run) };
  const label = textOf(run, app.color);
  return { symbol: own.symbol, color: app.palette.get(label), label };
}

/** A colour for each value of the chosen key; of all runs on the data, so that filters do not change it. */
function makePalette() {
  const runs = app.runs.filter(ofData);
  const texts = [...new Set(runs.map((run) => textOf(run, app.color)))].sort(collator.compare);
  const numeric = isNumeric(app.color, runs);
  const pick = (place) => (numeric ? ramp(texts.length > 1 ? place / (texts.length - 1) : 0) : COLORS[place % COLORS.length]);
  if (numeric) texts.sort((one, other) => Number(one) - Number(other));
  app.palette = new Map(texts.map((text, place) => [text, pick(place)]));
}

function ramp(share) {
  const place = Math.min(share * (RAMP.length - 1), RAMP.length - 1.001);
  const [below, above] = [RAMP[Math.floor(place)], RAMP[Math.floor(place) + 1]];
  const mixed = below.map((value, part) => Math.round(value + (above[part] - value) * (place % 1)));
  return `rgb(${mixed.join(",")})`;
}

/** A colour with an opacity. */
function faint(shade, opacity) {
  const parts = shade.startsWith("#") ? shade.slice(1).match(/../g).map((part) => parseInt(part, 16)) : shade.match(/\d+/g);
  return `rgba(${parts.slice(0, 3).join(",")},${opacity})`;
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
    showlegend: false, // the legends of the page wrap, and leave the plot its height
    ...changes,
    xaxis: { ...axis, ...changes.xaxis },
    yaxis: { ...axis, ...changes.yaxis },
  };
}
