// Parallel coordinates: a line for each row of the table through its options, its size and its figure.

const MOST_AXES = 8;
const MOST_WORDS = 12; // values of an axis that are named

/** The axes: [{ label, place, ticks }], where `place` puts an item between 0 and 1, or is null. */
function parallelAxes() {
  const ranked = importanceOf()?.options.map(([name]) => name) ?? [];
  const rank = ({ label }) => (ranked.includes(label) ? ranked.indexOf(label) : ranked.length);
  const own = ["model", "method", "storage", "size", "data"];
  const keys = [...own.map(keyOf), ...app.keys.filter(({ key }) => key.startsWith(CONFIG_PREFIX)).sort((a, b) => rank(a) - rank(b))];
  const seen = new Set();
  const axes = [];
  for (const { key, label } of keys) {
    const texts = app.items.map((item) => textOf(item.first, key));
    const places = new Map([...new Set(texts)].map((text, place) => [text, place]));
    const alike = texts.map((text) => places.get(text)).join();
    if (places.size < 2 || seen.has(alike)) continue; // nothing new
    seen.add(alike);
    axes.push(isNumeric(key, app.items.map((item) => item.first)) ? numberAxis(label, key) : wordAxis(label, key));
  }
  const figure = (item) => (figureOf(item)?.mean == null ? null : 100 * figureOf(item).mean);
  const last = [
    spanAxis(AXES[app.axis].label, (item) => item.sizes?.[app.axis] ?? null, (value) => short(value) + AXES[app.axis].unit, true),
    app.figure !== null && spanAxis(`${figureName(app.figure)} (%)`, figure, (value) => value.toFixed(1), false),
  ];
  return [...axes.slice(0, MOST_AXES - last.length), ...last].filter(Boolean);
}

/** An axis with its values at equal distances. */
function wordAxis(label, key, sort = collator.compare) {
  const texts = [...new Set(app.items.map((item) => textOf(item.first, key)))].sort(sort);
  const places = new Map(texts.map((text, place) => [text, texts.length > 1 ? place / (texts.length - 1) : 0.5]));
  const step = Math.ceil(texts.length / MOST_WORDS);
  const ticks = texts.filter((_, place) => place % step === 0).map((text) => [places.get(text), text]);
  return { label, ticks, place: (item) => places.get(textOf(item.first, key)) };
}

/** Numbers as words, by size: options are tried at a few values, often of very different size. */
function numberAxis(label, key) {
  const number = (text) => (Number.isFinite(Number(text)) ? Number(text) : Infinity);
  return wordAxis(label, key, (one, other) => number(one) - number(other));
}

/** An axis from the least to the largest value. */
function spanAxis(label, of, format, log) {
  const values = app.items.map(of).filter((value) => value !== null);
  if (!values.length) return null;
  const scale = log ? Math.log : (value) => value;
  const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const place = (item) => {
    if (of(item) === null) return null;
    return high > low ? (scale(of(item)) - scale(low)) / (scale(high) - scale(low)) : 0.5;
  };
  return { label, place, ticks: high > low ? [[0, format(low)], [1, format(high)]] : [[0.5, format(low)]] };
}

function drawParallel() {
  const axes = app.items.length ? parallelAxes() : [];
  const enough = app.items.length > 1 && axes.length > 1;
  const text = emptyText(app.items) || (enough ? "" : "There is nothing to compare yet.");
  byId("parallel-empty").textContent = text;
  byId("parallel-empty").hidden = !text;
  byId("parallel").hidden = byId("parallel-hint").hidden = Boolean(text);
  if (text) return;
  const chosen = app.chosen && app.selected.size > 0;
  const groups = Map.groupBy(app.items, (item) => JSON.stringify([chosen && isSelected(item), lookOf(item.first).label]));
  const ordered = [...groups.values()].sort(([one], [other]) => isSelected(one) - isSelected(other)); // selected ones above
  byId("parallel").style.minWidth = `${96 * axes.length}px`; // a narrow screen scrolls
  const traces = ordered.map((items) => {
    const strong = !chosen || isSelected(items[0]);
    const line = { color: lookOf(items[0].first).color, width: chosen && strong ? 2.5 : 1.2 };
    const x = items.flatMap(() => [...axes.keys(), null]);
    const y = items.flatMap((item) => [...axes.map(({ place }) => place(item)), null]);
    const customdata = items.flatMap((item) => [...axes.map(() => item.key), null]);
    const text = items.flatMap((item) => [...axes.map(() => plain(cut(nameOf(item.first), 100))), ""]);
    const opacity = strong ? 0.8 : 0.2;
    return { type: "scatter", mode: "lines", x, y, text, customdata, line, opacity, hovertemplate: "%{text}<extra></extra>" };
  });
  const ink = { size: 11, color: color("ink") };
  const halo = { bgcolor: faintPaper(), borderpad: 1 };
  const annotations = axes.flatMap(({ label, ticks }, place) => [
    { x: place, y: 1.1, text: plain(cut(label.split(".").at(-1), 15)), hovertext: plain(label), showarrow: false, font: { ...ink, size: 12 } },
    ...ticks.map(([y, word]) => ({ x: place, y, text: plain(cut(word, 14)), showarrow: false, font: ink, ...halo })),
  ]);
  const shapes = axes.map((_, x) => ({ type: "line", x0: x, x1: x, y0: 0, y1: 1, line: { color: color("line"), width: 1 }, layer: "below" }));
  const hidden = { showgrid: false, showticklabels: false, fixedrange: true };
  const settings = layout({
    xaxis: { ...hidden, range: [-0.35, axes.length - 0.65] },
    yaxis: { ...hidden, range: [-0.08, 1.16] },
    margin: { l: 5, r: 5, t: 5, b: 5 },
    hovermode: "closest",
    dragmode: false,
    shapes,
    annotations,
  });
  Plotly.react("parallel", traces, settings, { ...CONFIG, displayModeBar: false });
}

function faintPaper() {
  return faint(color("paper"), 0.75);
}

function listenToParallel() {
  const plot = byId("parallel");
  if (plot.dataset.listens || !plot.on) return;
  plot.dataset.listens = "yes";
  plot.on("plotly_click", (event) => {
    const add = event.event.shiftKey || event.event.ctrlKey || event.event.metaKey;
    const keys = new Set(event.points.map((point) => point.customdata));
    setTimeout(() => select(app.items.filter((item) => keys.has(item.key)), { add }), 0);
  });
}
