// Items: single runs, or runs averaged over seeds. An item is a row of the table and a point of the plot.

/** Group the visible runs; only runs of the same table row are averaged. */
function makeItems() {
  const groups = new Map();
  for (const run of app.runs) {
    if (!visible(run)) continue;
    const key = app.mode === "runs" ? run.id : `${run.group} ${run.data}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(run);
  }
  app.items = [...groups].map(([key, runs]) => makeItem(key, runs));
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
  return {
    key,
    runs,
    first: runs[0],
    finished: finished.length,
    spreads: new Map([...values].map(([place, list]) => [place, spreadOf(list)])),
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

/** The points that no smaller or equally small point matches, by ascending size. */
function paretoFront(found) {
  const size = (item) => item.sizes[app.axis];
  const value = (item) => figureOf(item).mean;
  const ordered = [...found].sort((one, other) => size(one) - size(other) || value(other) - value(one));
  let best = -Infinity;
  return ordered.filter((item) => {
    const better = value(item) > best;
    best = Math.max(best, value(item));
    return better;
  });
}

/** Select the runs of items, replacing or extending the selection. */
function select(items, { add = false } = {}) {
  const ids = items.flatMap((item) => item.runs.map((run) => run.id));
  if (!add) app.selected = new Set(ids);
  // Selecting a single selected item again deselects it.
  else if (items.length === 1 && isSelected(items[0])) ids.forEach((id) => app.selected.delete(id));
  else ids.forEach((id) => app.selected.add(id));
  app.shown = ids.find((id) => app.selected.has(id)) ?? [...app.selected][0] ?? null;
  drawSelection();
}
