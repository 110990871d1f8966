// The axes of the plot: ticks at the ends of the data, the ranks of equal sizes, and the lines to compare with.

const TICK = 52; // pixels that the label of a tick takes
const RANK = 26;

/** The range of the size axis, and ticks at both ends of the data and between them at halves of the dense size. */
function sizeAxis(found) {
  const dense = [...new Set(found.map((item) => item.denseSizes[app.axis]))];
  const base = Math.max(...dense);
  const sizes = found.map((item) => item.sizes[app.axis]);
  const [smallest, largest] = [Math.min(...sizes), Math.max(...sizes)];
  const powers = Array.from({ length: 64 }, (_, place) => base * 2 ** (20 - place));
  const inside = powers.filter((size) => size > smallest && size < largest);
  const tickvals = apart([smallest, largest, ...inside], found, TICK);
  const share = (size) => {
    const ratio = base / size;
    if (ratio === 1) return "dense";
    return ratio > 1 ? `1/${Number(ratio.toPrecision(ratio < 10 ? 2 : 3))}` : `${Number((1 / ratio).toPrecision(2))}x`;
  };
  const second = (size) => (dense.length === 1 ? `<br>${share(size)}` : "");
  const ticktext = tickvals.map((size) => short(size) + AXES[app.axis].unit + second(size));
  return { tickvals, ticktext, range: sizeRange(found).map(Math.log10), gridcolor: color("grid") };
}

/** The ends of the size axis: those of the data, and some room. */
function sizeRange(found) {
  const sizes = found.map((item) => item.sizes[app.axis]);
  const [smallest, largest] = [Math.min(...sizes), Math.max(...sizes)];
  const room = largest > smallest ? (largest / smallest) ** 0.06 : 2;
  return [smallest / room, largest * room];
}

/** The sizes that are so many pixels apart, the first ones preferred. */
function apart(sizes, found, pixels) {
  const [low, high] = sizeRange(found);
  const width = Math.max(byId("scatter").clientWidth - 110, 200);
  const place = (size) => (width * Math.log(size / low)) / Math.log(high / low);
  const kept = [];
  for (const size of sizes) {
    if (kept.every((other) => Math.abs(place(other) - place(size)) >= pixels)) kept.push(size);
  }
  return kept;
}

/** Where points are drawn: at their size; those of equal size side by side if they have error bars or ranks to name. */
function placesOf(found) {
  const columns = Map.groupBy(found, (item) => item.sizes[app.axis]);
  const sizes = [...columns.keys()].sort((one, other) => one - other);
  const [low, high] = sizeRange(found).map(Math.log);
  const places = new Map();
  sizes.forEach((size, number) => {
    const items = columns.get(size).sort((one, other) => collator.compare(nameOf(one.first), nameOf(other.first)));
    const gaps = [sizes[number - 1], sizes[number + 1]].filter(Boolean).map((other) => Math.abs(Math.log(other / size)));
    const named = differsInRank(items) && found.length <= MOST_RANKS;
    const width = Math.min(0.4 * Math.min(...gaps, high - low), (named ? 0.03 : 0.011) * (high - low) * items.length);
    const barred = app.mode === "means" && items.some((item) => figureOf(item).std !== null);
    const moved = items.length > 1 && (barred || named);
    items.forEach((item, place) => {
      const shift = moved ? width * ((place + 0.5) / items.length - 0.5) : 0;
      places.set(item.key, size * Math.exp(shift));
    });
  });
  return places;
}

/** Whether the points of a size differ in rank, as those of one budget do. */
function differsInRank(items) {
  return new Set(items.map((item) => item.rank)).size > 1;
}

/** The keys of the points that say their own rank, since others of their size have another. */
function ranksToName(items) {
  const columns = [...Map.groupBy(points(), (item) => item.sizes[app.axis]).values()];
  const mixed = new Set(columns.filter(differsInRank).flatMap((found) => found.map((item) => item.key)));
  return new Set(items.filter((item) => item.rank !== null && mixed.has(item.key)).map((item) => item.key));
}

/** The common rank of all points of a size, above the plot. */
function rankNames(found) {
  const columns = Map.groupBy(found.filter((item) => item.rank !== null), (item) => item.sizes[app.axis]);
  const sizes = [...columns.keys()].filter((size) => !differsInRank(columns.get(size))).sort((one, other) => one - other);
  return apart(sizes, found, RANK).map((size, place) => {
    const [{ rank }] = columns.get(size);
    const text = `${place ? "" : "rank "}${rank}`;
    const font = { size: 11, color: color("soft") };
    // The word stands left of the first rank, so that the numbers are centred on their sizes.
    const more = place ? { xanchor: "center" } : { xanchor: "right", xshift: 4 * String(rank).length };
    return { text, x: Math.log10(size), y: 1, yref: "paper", yanchor: "bottom", showarrow: false, font, ...more };
  });
}

/** A line at the mean of each dense row; rows are not averaged, since they differ in options. */
function denseLines(found) {
  const rows = Map.groupBy(found.filter((item) => item.first.dense), (item) => item.first.group).values();
  const several = new Set(found.map((item) => item.first.model)).size > 1;
  const style = { color: color("soft"), width: 1.2, dash: "dash" };
  const lines = [...rows].map((items) => {
    const { model, setting } = items[0].first;
    const y = 100 * spreadOf(items.map((item) => figureOf(item).mean)).mean;
    return { y, style, text: ["dense", several && model, y.toFixed(1), setting && `(${setting})`].filter(Boolean).join(" ") };
  });
  return lines.sort((one, other) => one.y - other.y);
}

/** What a model has to beat: the majority class and a bag of tokens. */
function baselineLines() {
  const known = app.data.baselines.filter(({ data, figure }) => data === app.dataset && figure === app.figure);
  const style = { color: color("soft"), width: 1, dash: "dot" };
  return known.map(({ name, value }) => ({ y: 100 * value, style, baseline: true, text: `${name} ${(100 * value).toFixed(1)}` }));
}

/** The range of the figure: all points with their deviations, dense, and baselines unless they squeeze the points. */
function valueRange(found, lines) {
  const ends = found.flatMap((item) => {
    const { mean, std } = figureOf(item);
    return [mean - (std ?? 0), mean + (std ?? 0)].map((value) => 100 * value);
  });
  ends.push(...lines.filter(({ baseline }) => !baseline).map(({ y }) => y));
  let [low, high] = [ends.reduce((one, other) => Math.min(one, other)), ends.reduce((one, other) => Math.max(one, other))];
  const span = Math.max(high - low, 1);
  const near = lines.filter(({ baseline, y }) => baseline && y > low - 1.5 * span && y < high + 1.5 * span);
  low = Math.min(low, ...near.map(({ y }) => y));
  high = Math.max(high, ...near.map(({ y }) => y));
  const room = 0.06 * Math.max(high - low, 1);
  return [low - room, high + room];
}

/** Names of lines where they cover the fewest points; lines below the plot are named at its edge. */
function lineNames(lines, range, found, places) {
  const [low, high] = range;
  const [left, right] = sizeRange(found).map(Math.log);
  const [width, height] = [Math.max(byId("scatter").clientWidth - 110, 200), 270]; // pixels, about
  const dots = found.map((item) => ({
    x: (width * (Math.log(places.get(item.key)) - left)) / (right - left),
    y: (height * (100 * figureOf(item).mean - low)) / (high - low),
  }));
  const font = { size: 11, color: color("soft") };
  const name = (text, more) => ({ text: plain(cut(text, 60)), xref: "paper", xanchor: "left", showarrow: false, font, ...more });
  const named = lines.filter(({ y }) => y >= low && y <= high).map(({ text, y }) => {
    const base = (height * (y - low)) / (high - low);
    const long = 6 * text.length;
    const covered = ({ x, up }) =>
      dots.filter((dot) => dot.x > x - 8 && dot.x < x + long + 8 && Math.abs(dot.y - base - (up ? 10 : -10)) < 16).length;
    // Inside the plot: the ranks stand above it.
    const sides = [true, false].filter((up) => (up ? base + 18 < height : base > 18));
    const options = [0, 0.2, 0.4, 0.6].flatMap((share) => sides.map((up) => ({ x: share * width, share, up })));
    const fitting = options.filter(({ x }) => x === 0 || x + long < width);
    const best = fitting.reduce((one, other) => (covered(other) < covered(one) ? other : one));
    for (let x = best.x; x < best.x + long; x += 16) dots.push({ x, y: base + (best.up ? 10 : -10) }); // it is taken now
    return name(text, { x: best.share, y, yanchor: best.up ? "bottom" : "top" });
  });
  const below = lines.filter(({ y }) => y < low);
  if (!below.length) return named;
  const text = `below: ${below.map((line) => line.text).join(", ")}`;
  return [...named, name(text, { x: 0, y: 0, yref: "paper", yanchor: "bottom" })];
}
