// The importance of options for the chosen figure, computed when the page was made: see dashboard/importance.py.

const MOST_OPTIONS = 12;

function importanceOf() {
  if (app.figure === null) return null;
  const [split, metric] = app.data.figures[app.figure];
  return app.data.importance.find((one) => one.data === app.dataset && one.split === split && one.metric === metric) ?? null;
}

function drawImportance() {
  const found = app.items.length ? importanceOf() : null;
  byId("importance-title").textContent = `Importance of options${found ? ` for ${figureName(app.figure)}` : ""}`;
  byId("importance-hint").hidden = !found?.options.length;
  if (!found?.options.length) {
    byId("importance").replaceChildren(el("p", { class: "empty" }, noImportance(found)));
    return;
  }
  const { options, runs, score } = found;
  const most = Math.max(...options.map(([, mean]) => mean), 1e-9);
  const rows = options.slice(0, MOST_OPTIONS).map(([name, mean, std]) => {
    const bar = el("span", { class: "bar-of" });
    bar.style.width = `${Math.max(0, (100 * mean) / most)}%`;
    const value = el("td", { class: "number" }, `${mean.toFixed(2).replace(/^-(0\.00)$/, "$1")} ± ${std.toFixed(2)}`);
    return el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "bars" }, bar), value);
  });
  byId("importance").replaceChildren(el("table", {}, el("tbody", {}, ...rows)));
  byId("importance-hint").textContent =
    `Permutation importance of a random forest, as W&B shows it: how much worse (R²) it predicts runs that it has not ` +
    `seen once the values of an option are shuffled; mean ± deviation over folds. It explains ${(100 * score).toFixed(0)} % ` +
    `of the variance of ${plural(runs, "run")}, whatever the filters. Not a test: options that vary together share it.`;
}

function noImportance(found) {
  if (emptyText(app.items)) return emptyText(app.items);
  if (found) return "A random forest cannot predict this metric from the options of these runs.";
  return "Too few finished runs, or only one option that varies: a random forest needs 8 runs and two options.";
}
