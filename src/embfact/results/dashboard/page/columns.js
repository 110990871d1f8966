// The columns of the table: their text, sort key, and CSV values.

/** The columns for the shown items, without words that are the same everywhere. */
function makeColumns() {
  const several = (key) => new Set(app.items.map((item) => item.first[key])).size > 1;
  const word = (key, head) => several(key) && textColumn(key, head, (item) => item.first[key]);
  return [
    word("model", "backbone"),
    textColumn("method", "method", (item) => item.first.method),
    word("storage", "storage"),
    rankColumn(),
    word("setting", "options"),
    !app.dataset && textColumn("data", "data", (item) => item.first.data),
    app.mode === "runs" ? seedColumn() : seedsColumn(),
    app.items.some((item) => item.status !== "finished") && textColumn("status", "status", (item) => item.status),
    ...figures().map(figureColumn),
    ...AXES.map(sizeColumn),
    numberColumn("seconds", "seconds", (item) => item.seconds, seconds),
    app.mode === "runs" && textColumn("name", "run", (item) => item.first.name),
  ].filter(Boolean);
}

function textColumn(key, head, text) {
  return { key, head, text, order: text, csv: [[head, text]] };
}

function numberColumn(key, head, value, format, csv = head) {
  const text = (item) => (value(item) == null ? "" : format(value(item)));
  return { key, head, text, order: value, number: true, csv: [[csv, value]] };
}

function rankColumn() {
  const text = (item) => item.first.size || UNDEFINED;
  return { key: "rank", head: "rank", text, order: (item) => item.rank, number: true, csv: [["rank", text]] };
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

function figureColumn(place) {
  const head = figureName(place);
  const spread = (item) => item.spreads.get(place);
  const csv = [[head, (item) => spread(item)?.mean]];
  const more = [[`${head} std`, (item) => spread(item)?.std], [`${head} n`, (item) => spread(item)?.count]];
  if (app.mode === "means") csv.push(...more);
  const text = (item) => percent(spread(item));
  return { key: `figure ${place}`, head, text, order: (item) => spread(item)?.mean, number: true, csv };
}

function sizeColumn({ label, unit }, axis) {
  const head = label.replace("embedding", "emb.").replace("parameters", "params");
  const format = (size) => short(size) + unit;
  return numberColumn(`size ${axis}`, head, (item) => item.sizes?.[axis], format, label);
}

/** The items in the chosen order; missing values come last either way. */
function sortedItems(columns) {
  const { order } = columns.find(({ key }) => key === app.sort.key) || columns[0];
  const sign = app.sort.down ? -1 : 1;
  const missing = (value) => value == null || value === "";
  const compare = (one, other) => (typeof one === "number" ? one - other : collator.compare(one, other));
  return app.items
    .map((item) => [order(item), item])
    .sort(([one], [other]) => {
      if (missing(one) || missing(other)) return missing(one) - missing(other);
      return sign * compare(one, other);
    })
    .map(([, item]) => item);
}
