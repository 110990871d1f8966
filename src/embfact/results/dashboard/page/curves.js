// Learning curves of what is selected: the mean over seeds with a band of one deviation, or single runs.

const MOST_CURVES = 40; // more lines are unreadable
const NO_RUN = "Select runs in the plot or the table to see their learning curves.";
const NO_CURVE = "The selected runs have no learning curve on this machine.";

function selectedRuns() {
  return app.items.flatMap((item) => item.runs).filter((run) => app.selected.has(run.id));
}

/** The runs behind each curve: those of a row, finished ones if there are any; or each by itself. */
function curveGroups() {
  const has = (run) => run.curves && Object.hasOwn(run.curves, app.curve);
  return app.items.filter(isSelected).flatMap((item) => {
    const runs = item.runs.filter((run) => app.selected.has(run.id) && has(run));
    const finished = runs.filter((run) => run.status === "finished");
    return runs.length ? [finished.length ? finished : runs] : [];
  });
}

function drawCurves() {
  const chosen = selectedRuns();
  const names = [...new Set(chosen.flatMap((run) => Object.keys(run.curves || {})))];
  if (names.length && !names.includes(app.curve)) app.curve = names[0];
  const menu = byId("curve");
  menu.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  menu.disabled = byId("smoothing").disabled = !names.length;
  if (names.length) menu.value = app.curve;
  byId("smoothing").value = app.smoothing;
  const found = curveGroups();
  const empty = !app.items.length ? emptyText([]) : chosen.length ? NO_CURVE : NO_RUN;
  const text = found.length ? "" : empty;
  byId("curves-empty").textContent = text;
  byId("curves-empty").hidden = !text;
  byId("curves").hidden = byId("curves-legend").hidden = Boolean(text);
  const drawn = found.slice(0, MOST_CURVES);
  byId("curves-hint").textContent = text ? "" : curvesHint(drawn, found.length);
  if (text) return;
  const settings = layout({
    xaxis: { title: { text: "optimizer step", standoff: 6 } },
    yaxis: { title: { text: plain(cut(app.curve, 50)) } },
    hovermode: "closest",
  });
  const seen = new Map(); // of curves that look alike, the dashes differ
  const looks = drawn.map((runs) => {
    const look = lookOf(runs[0]);
    const kind = look.color + look.symbol;
    seen.set(kind, (seen.get(kind) ?? -1) + 1);
    return { ...look, label: curveName(runs), dash: DASHES[seen.get(kind) % DASHES.length] };
  });
  Plotly.react("curves", drawn.flatMap((runs, place) => curveTraces(runs, looks[place])), settings, CONFIG);
  drawLegend("curves-legend", looks);
}

function curvesHint(drawn, all) {
  const first = all > drawn.length ? `, the first of ${all}` : "";
  const several = drawn.some((runs) => runs.length > 1);
  const what = several ? "Mean over seeds; the band is one standard deviation. " : "";
  return `${app.chosen ? "" : "The Pareto front. "}${what}${plural(drawn.length, "curve")}${first}; at most 100 points each.`;
}

function curveName(runs) {
  const seed = runs.length === 1 && runs[0].seed != null ? `seed ${runs[0].seed}` : "";
  return [nameOf(runs[0]), seed].filter(Boolean).join(" ");
}

/** A line, and the band of its deviations if there are several runs. */
function curveTraces(runs, { label, color: shade, symbol, dash }) {
  const { x, mean, std } = averaged(runs.map((run) => run.curves[app.curve]));
  const y = smoothed(mean);
  const hover = plain(cut(label, 100)).replaceAll("%", "&#37;"); // a percent sign would start a variable
  const line = {
    type: "scatter",
    mode: "lines+markers",
    x,
    y,
    // A few markers identify the method in greyscale; one per point would hide the line.
    marker: { symbol, size: 7, maxdisplayed: 6 },
    line: { color: shade, width: 1.5, dash },
    hovertemplate: `${hover}<br>step %{x}: %{y}<extra></extra>`,
  };
  if (runs.length === 1) return [line];
  const half = smoothed(std);
  const edge = { type: "scatter", mode: "lines", x, line: { width: 0 }, hoverinfo: "skip" };
  const low = { ...edge, y: y.map((value, place) => value - half[place]) };
  const high = { ...edge, y: y.map((value, place) => value + half[place]), fill: "tonexty", fillcolor: faint(shade, 0.15) };
  return [low, high, line];
}

/** Mean and deviation of curves at the steps of the first, as far as all of them go. */
function averaged(curves) {
  const known = curves.map(([steps, values]) => [app.data.steps[steps], values]);
  const end = Math.min(...known.map(([steps]) => steps.at(-1)));
  const x = known[0][0].filter((step) => step <= end);
  const all = known.map(([steps, values]) => (steps === known[0][0] ? values : x.map((step) => between(steps, values, step))));
  const spreads = x.map((_, place) => spreadOf(all.map((values) => values[place])));
  return { x, mean: spreads.map(({ mean }) => mean), std: spreads.map(({ std }) => std ?? 0) };
}

/** The value of a curve at a step, on the line between its neighbours. */
function between(steps, values, step) {
  const next = steps.findIndex((other) => other >= step);
  if (next <= 0) return values[0];
  const share = (step - steps[next - 1]) / (steps[next] - steps[next - 1]);
  return values[next - 1] + share * (values[next] - values[next - 1]);
}

/** The exponential moving average, corrected at its start (Kingma and Ba, 2015), as in W&B and TensorBoard. */
function smoothed(values) {
  if (!app.smoothing) return values;
  let [last, weight] = [0, 0];
  return values.map((value) => {
    last = app.smoothing * last + (1 - app.smoothing) * value;
    weight = app.smoothing * weight + (1 - app.smoothing);
    return last / weight;
  });
}
