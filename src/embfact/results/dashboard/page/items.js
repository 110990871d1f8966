// Items: single runs, or runs averaged over seeds. An item is a row of the table and a point of the plot.

/** Group the visible runs; only runs of the same table row are averaged. */
function makeItems() {
  const groups = new Map();
  for (const run of app.runs) {
    if (!visible(run)) continue;
    const key = app.mode === "runs" ? run.id : rowOf(run);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(run);
  }
  // Ranges choose among means, not among the runs behind them, which would bias the means.
  app.items = [...groups].map(([key, runs]) => makeItem(key, runs)).filter(rangeTest());
  makePalette();
  if (!app.chosen) selectFront();
  const shown = new Set(app.items.flatMap((item) => item.runs.map((run) => run.id)));
  if (!shown.has(app.shown)) app.shown = null;
  if (!shown.has(app.beside)) app.beside = null;
}

function makeItem(key, runs) {
  const finished = runs.filter((run) => run.status === "finished");
  const values = new Map();
  for (const run of finished) {
    for (const [place, value] of Object.entries(run.values)) {
      if (!values.has(Number(place))) values.set(Number(place), []);
      values.get(Number(place)).push(value);
    }
  }
  const sized = finished.filter((run) => run.sizes);
  const states = new Set(runs.map((run) => run.status));
  const whole = finished.length === app.finished.get(rowOf(runs[0]));
  const atChance = (place) => finished.every((run) => !(place in run.values) || run.chance?.includes(place));
  return {
    key,
    runs,
    first: runs[0],
    finished: finished.length,
    spreads: new Map([...values].map(([place, list]) => [place, spreadOf(list)])),
    // A comparison is of all seeds of a row.
    compared: (whole && app.compared.get(rowOf(runs[0]))) || new Map(),
    chance: new Set([...values.keys()].filter(atChance)),
    sizes: sized.length ? AXES.map((_, axis) => spreadOf(sized.map((run) => run.sizes[axis])).mean) : null,
    denseSizes: sized.length ? app.data.dense[sized[0].dense_sizes] : null,
    rank: spreadOf(runs.map((run) => run.rank))?.mean ?? null,
    seconds: spreadOf((finished.length ? finished : runs).map((run) => run.seconds))?.mean ?? null,
    status: states.size === 1 ? runs[0].status : tally(runs),
  };
}

function isSelected(item) {
  return item.runs.some((run) => app.selected.has(run.id));
}

function figureOf(item) {
  return item.spreads.get(app.figure) ?? null;
}

/** Items with a size and a defined figure: the points of the plot. */
function points() {
  return app.items.filter((item) => item.sizes && figureOf(item)?.mean != null);
}

/** The points that no smaller or equally small point matches, by ascending size; one at chance is no choice. */
function paretoFront(found) {
  const learned = found.filter((item) => !item.chance.has(app.figure));
  const size = (item) => item.sizes[app.axis];
  const value = (item) => figureOf(item).mean;
  const ordered = (learned.length ? learned : [...found]).sort((one, other) => size(one) - size(other) || value(other) - value(one));
  let best = -Infinity;
  return ordered.filter((item) => {
    const better = value(item) > best;
    best = Math.max(best, value(item));
    return better;
  });
}

/** Until the reader selects, the runs of the Pareto front are selected, and the details are of its best method. */
function selectFront() {
  const front = app.dataset === ALL ? [] : paretoFront(points());
  app.selected = new Set(front.flatMap((item) => item.runs.map((run) => run.id)));
  const best = front.findLast((item) => !item.first.dense) ?? front.at(-1);
  [app.shown, app.beside] = [best?.first.id ?? null, null];
}

/** Select the runs of items, replacing or extending the selection. */
function select(items, { add = false } = {}) {
  const ids = items.flatMap((item) => item.runs.map((run) => run.id));
  if (!add || !app.chosen) app.selected = new Set(ids);
  // Selecting a single selected item again deselects it.
  else if (items.length === 1 && isSelected(items[0])) ids.forEach((id) => app.selected.delete(id));
  else ids.forEach((id) => app.selected.add(id));
  app.chosen = true;
  showSelected(ids.find((id) => app.selected.has(id)) ?? [...app.selected][0]);
  drawSelection();
}

/** Show the details of a selected run; of two selected items, those of both. */
function showSelected(id) {
  const items = app.items.filter(isSelected);
  const other = items.length === 2 ? items.find((item) => item.runs.every((run) => run.id !== id)) : null;
  const seed = app.byId.get(id)?.seed;
  app.shown = id ?? null;
  app.beside = (other?.runs.find((run) => run.seed === seed) ?? other?.first)?.id ?? null;
}
