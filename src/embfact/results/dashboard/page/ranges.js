// Ranges of quantities: figures in percent, sizes, seconds, and numbers of the configuration.

/** The quantities of items: [{ key, label, of }], where `of` gives a number, or null. */
function quantities() {
  const runs = app.runs.filter(ofData);
  const numbers = differingKeys().filter(({ key }) => key !== "size" && isNumeric(key, runs));
  return [
    ...figures().map((place) => ({
      key: `figure ${place}`,
      label: `${figureName(place)} (%)`,
      of: (item) => (item.spreads.get(place)?.mean == null ? null : 100 * item.spreads.get(place).mean),
    })),
    { key: "rank", label: "rank", of: (item) => item.rank },
    ...AXES.map(({ label }, axis) => ({ key: `size ${axis}`, label, of: (item) => item.sizes?.[axis] ?? null })),
    { key: "seconds", label: "seconds", of: (item) => item.seconds },
    ...numbers.map(({ key, label }) => ({ key, label, of: (item) => numberOf(item.first, key) })),
  ];
}

/** A test of whether an item lies in all ranges; one without the quantity does not. */
function rangeTest() {
  const asked = quantities().filter(({ key }) => app.ranges.has(key));
  return (item) =>
    asked.every(({ key, of }) => {
      const [least, most] = app.ranges.get(key);
      const value = of(item);
      return value !== null && (least === null || value >= least) && (most === null || value <= most);
    });
}

function drawRanges() {
  const lines = quantities().map(({ key, label }) => {
    const range = app.ranges.get(key) ?? [null, null];
    const inputs = ["at least", "at most"].map((word, end) => {
      const change = (event) => {
        const text = event.target.value.trim();
        setRange(key, end, text === "" || !Number.isFinite(Number(text)) ? null : Number(text));
      };
      const name = `${label}, ${word}`;
      return el("input", { inputmode: "decimal", size: 6, "aria-label": name, placeholder: word, "data-range": key, change });
    });
    inputs.forEach((input, end) => (input.value = range[end] ?? ""));
    return el("label", {}, el("span", {}, label), ...inputs);
  });
  const text = app.ranges.size ? `ranges: ${app.ranges.size}` : "ranges";
  const summary = el("summary", { class: app.ranges.size && "active" }, text);
  return el("details", { name: "menu", class: "menu", "data-key": "ranges" }, summary, el("div", { class: "options" }, ...lines));
}

function setRange(key, end, value) {
  const range = app.ranges.get(key) ?? [null, null];
  range[end] = value;
  if (range.every((one) => one === null)) app.ranges.delete(key);
  else app.ranges.set(key, range);
  drawAll();
  document.querySelectorAll(`[data-range="${CSS.escape(key)}"]`)[end]?.focus();
}
