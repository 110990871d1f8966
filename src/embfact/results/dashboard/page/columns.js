// The columns of the table: their text, sort key, and CSV values.

/** All columns for the shown items, without words that are the same everywhere; those of the configuration if asked for. */
function allColumns() {
  const several = (key) => new Set(app.items.map((item) => item.first[key])).size > 1;
  const word = (key, head) => several(key) && textColumn(key, head, (item) => item.first[key]);
  const compared = app.items.some((item) => item.compared.has(app.figure));
  return [
    word("model", "backbone"),
    textColumn("method", "method", (item) => item.first.method),
    word("storage", "storage"),
    rankColumn(),
    word("setting", "options"),
    !app.dataset && textColumn("data", "data", (item) => item.first.data),
    ...app.keys.filter(({ key }) => app.added.has(key)).map(keyColumn),
    app.mode === "runs" ? seedColumn() : seedsColumn(),
    app.items.some((item) => item.status !== "finished") && textColumn("status", "status", (item) => item.status),
    ...figures().map(figureColumn),
    compared && differenceColumn(),
    compared && shareColumn(),
    ...AXES.map(sizeColumn),
    numberColumn("seconds", "seconds", (item) => item.seconds, seconds),
    app.mode === "runs" && textColumn("name", "run", (item) => item.first.name),
  ].filter(Boolean);
}

function makeColumns() {
  return allColumns().filter(({ key }) => !app.dropped.has(key));
}

function textColumn(key, head, text) {
  return { key, head, text, order: text, csv: [[head, text]] };
}

function numberColumn(key, head, value, format, csv = head) {
  const text = (item) => (value(item) == null ? "" : format(value(item)));
  return { key, head, text, order: value, number: true, csv: [[csv, value]] };
}

function rankColumn() {
  const size = (item) => item.first.size;
  const text = (item) => size(item) || UNDEFINED;
  return { key: "rank", head: "rank", text, order: (item) => item.rank, number: true, csv: [["rank", size]] };
}

/** An option of the configuration; of several runs that differ, all values. */
function keyColumn({ key, label }) {
  const text = (item) => cut([...new Set(item.runs.map((run) => textOf(run, key)))].join(", "), 60);
  const value = (item) => (text(item) === UNDEFINED ? "" : text(item));
  const number = isNumeric(key, app.runs.filter(ofData));
  const order = number ? (item) => numberOf(item.first, key) : value;
  return { key, head: label, text, order, number, csv: [[label, value]] };
}

function seedColumn() {
  return numberColumn("seed", "seed", (item) => item.first.seed, String);
}

/** The number of seeds, relative to the largest number of any item. */
function seedsColumn() {
  const usual = Math.max(...app.items.map((item) => item.finished));
  const text = (item) => (item.finished < usual ? `${item.finished} of ${usual}` : String(item.finished));
  const order = (item) => item.finished;
  return { key: "seeds", head: "seeds", text, order, number: true, csv: [["seeds", order]] };
}

/** A figure, with the sign of its difference from dense; the best of each backbone and data set is bold. */
function figureColumn(place) {
  const head = figureName(place);
  const spread = (item) => item.spreads.get(place);
  const csv = [[head, (item) => spread(item)?.mean]];
  const more = [[`${head} std`, (item) => spread(item)?.std], [`${head} n`, (item) => spread(item)?.count]];
  if (app.mode === "means") csv.push(...more);
  const mark = (item) => (item.compared.get(place)?.sign ?? "") + (item.chance.has(place) ? " (chance)" : "");
  const text = (item) => (spread(item) ? percent(spread(item)) + mark(item) : "");
  const best = bestOf(place);
  const bold = (item) => best.has(item.key);
  return { key: `figure ${place}`, head, text, bold, order: (item) => spread(item)?.mean, number: true, csv };
}

/** The keys of the items with the best figure, dense excluded, including ties after rounding. */
function bestOf(place) {
  const rivals = app.items.filter((item) => !item.first.dense && item.spreads.get(place)?.mean != null);
  const rounded = (item) => Number((100 * item.spreads.get(place).mean).toFixed(1));
  const best = [...Map.groupBy(rivals, ({ first }) => `${first.model} ${first.data}`).values()].flatMap((items) => {
    const top = items.reduce((most, item) => Math.max(most, rounded(item)), -Infinity);
    return items.length > 1 ? items.filter((item) => rounded(item) === top) : [];
  });
  return new Set(best.map((item) => item.key));
}

function differenceColumn() {
  const head = `${figureName(app.figure)} - dense`;
  const found = (item) => item.compared.get(app.figure);
  const csv = ["difference", "low", "high"].map((name) => [`${head} ${name}`, (item) => found(item)?.[name]]);
  return { key: "difference", head, text: differenceText, order: (item) => found(item)?.difference, number: true, csv };
}

/** The difference from dense in points, with its interval if there are predictions: -1.20 [-2.03, -0.37]. */
function differenceText(item) {
  const found = item.compared.get(app.figure);
  if (!found) return "";
  const points = (value) => `${value > 0 ? "+" : ""}${(100 * value).toFixed(2)}`;
  return points(found.difference) + ("low" in found ? ` [${points(found.low)}, ${points(found.high)}]` : "");
}

function shareColumn() {
  const share = (item) => item.compared.get(app.figure)?.share;
  return numberColumn("share", "% of dense", share, (value) => (100 * value).toFixed(1), "share of dense");
}

/** A size, and its share of dense. */
function sizeColumn({ label, unit }, axis) {
  const head = label.replace("embedding", "emb.").replace("parameters", "params");
  const size = (item) => item.sizes?.[axis];
  const share = (item) => `(${((100 * size(item)) / item.denseSizes[axis]).toFixed(1)}%)`;
  const text = (item) => (size(item) == null ? "" : `${short(size(item))}${unit} ${share(item)}`);
  return { key: `size ${axis}`, head, text, order: size, number: true, csv: [[label, size]] };
}

/** The items in the chosen order, by group; missing values come last either way. */
function sortedItems(columns) {
  const { order } = columns.find(({ key }) => key === app.sort.key) || columns[0] || { order: (item) => item.rank };
  const sign = app.sort.down ? -1 : 1;
  const missing = (value) => value == null || value === "";
  const compare = (one, other) => (typeof one === "number" ? one - other : collator.compare(one, other));
  return app.items
    .map((item) => [order(item), item, app.group && textOf(item.first, app.group)])
    .sort(([one, , group], [other, , another]) => {
      if (group !== another) return collator.compare(group, another);
      if (missing(one) || missing(other)) return missing(one) - missing(other);
      return sign * compare(one, other);
    })
    .map(([, item]) => item);
}
