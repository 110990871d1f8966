// Learning curves of the selected runs.

const MOST_CURVES = 40; // more lines are unreadable
const NO_RUN = "Select runs in the plot or the table to see their learning curves.";
const NO_CURVE = "The selected runs have no learning curve on this machine.";

function selectedRuns() {
  return app.runs.filter((run) => app.selected.has(run.id));
}

function drawCurves() {
  const chosen = selectedRuns();
  const names = [...new Set(chosen.flatMap((run) => Object.keys(run.curves || {})))];
  if (names.length && !names.includes(app.curve)) app.curve = names[0];
  const menu = byId("curve");
  menu.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  menu.disabled = !names.length;
  if (names.length) menu.value = app.curve;
  const found = chosen.filter((run) => run.curves && Object.hasOwn(run.curves, app.curve));
  const text = found.length ? "" : chosen.length ? NO_CURVE : NO_RUN;
  byId("curves-empty").textContent = text;
  byId("curves-empty").hidden = !text;
  byId("curves").hidden = Boolean(text);
  const drawn = found.slice(0, MOST_CURVES);
  const first = found.length > drawn.length ? `, the first of ${found.length}` : "";
  byId("curves-hint").textContent = text ? "" : `${plural(drawn.length, "run")}${first}; at most 100 points each.`;
  if (text) return;
  const settings = layout({
    xaxis: { title: { text: "optimizer step" } },
    yaxis: { title: { text: plain(cut(app.curve, 50)) } },
    hovermode: "closest",
    showlegend: drawn.length <= 8,
  });
  Plotly.react("curves", drawn.map(curve), settings, CONFIG);
}

function curve(run) {
  const [x, y] = run.curves[app.curve];
  const { color: hue, symbol } = styleOf(methodOf(run));
  const seed = run.seed == null ? "" : `seed ${run.seed}`;
  const name = [methodOf(run), run.size, run.setting, seed].filter(Boolean).join(" ");
  const hover = plain(cut(name, 100)).replaceAll("%", "&#37;"); // a percent sign would start a variable
  return {
    type: "scatter",
    mode: "lines+markers",
    name: plain(cut(name, 40)),
    x,
    y,
    // A few markers identify the method in greyscale; one per point would hide the line.
    marker: { symbol, size: 7, maxdisplayed: 6 },
    line: { color: hue, width: 1.5 },
    hovertemplate: `${hover}<br>step %{x}: %{y}<extra></extra>`,
  };
}
