// Menus that filter the runs: one data set, and any values of the other properties; and the search.

function drawFilters() {
  const open = document.querySelector("#filters details[open]")?.dataset.key;
  const menus = [...FILTERS.map(drawFilter).filter(Boolean), drawRanges()];
  byId("menus").replaceChildren(drawDatasets(), ...menus);
  menus.forEach((menu) => (menu.open = menu.dataset.key === open));
  if (byId("search").value !== app.text) byId("search").value = app.text;
}

function drawDatasets() {
  const labels = datasets();
  const known = new Map(app.data.datasets.map(({ label, difference }) => [label, difference]));
  const options = labels.map((label) => el("option", { value: label, title: known.get(label) }, label));
  if (labels.length > 1) options.push(el("option", { value: ALL }, "all (table only)"));
  if (!labels.length) options.push(el("option", { value: ALL }, "unknown yet"));
  const menu = el("select", { id: "dataset", change: () => chooseDataset(menu.value) }, ...options);
  menu.value = app.dataset ?? ALL;
  return el("label", {}, "data set ", menu);
}

function chooseDataset(label) {
  app.dataset = label;
  chooseFigure();
  drawAll();
}

/** The menu of a property; null if all runs have the same value and none is hidden. */
function drawFilter({ key, label }) {
  const counts = new Map();
  for (const run of app.runs) {
    if (ofData(run)) counts.set(textOf(run, key), (counts.get(textOf(run, key)) || 0) + 1);
  }
  const hidden = app.hidden.get(key);
  if (counts.size < 2 && !hidden.size) return null;
  const values = [...counts.keys()].sort(collator.compare);
  const shown = values.filter((value) => !hidden.has(value)).length;
  const active = shown < values.length;
  const boxes = values.map((value) => {
    const box = el("input", { type: "checkbox", value, change: () => toggle(key, value, box.checked) });
    box.checked = !hidden.has(value);
    return el("label", {}, box, ` ${value} (${counts.get(value)})`);
  });
  const every = (word, checked) => {
    const click = () => values.forEach((value) => toggle(key, value, checked, value === values.at(-1)));
    return el("button", { type: "button", click }, word);
  };
  const both = el("p", {}, every("all", true), every("none", false));
  const text = active ? `${label}: ${shown} of ${values.length}` : label;
  const summary = el("summary", { class: active && "active" }, text);
  const options = el("div", { class: "options" }, both, ...boxes);
  return el("details", { name: "menu", class: "menu", "data-key": key }, summary, options);
}

function toggle(key, value, checked, draw = true) {
  if (checked) app.hidden.get(key).delete(value);
  else app.hidden.get(key).add(value);
  if (draw) filtered(key, value);
}

/** Draw what the filters leave; the menu is recreated, so the box in use needs focus again. */
function filtered(key, value) {
  drawAll();
  const boxes = document.querySelectorAll(`#filters details[data-key="${key}"] input`);
  [...boxes].find((box) => box.value === value)?.focus();
}

function clearFilters() {
  app.hidden.forEach((values) => values.clear());
  app.ranges.clear();
  app.text = "";
  drawAll();
}

/** Close the open menu on a click elsewhere or on Escape. */
function closeMenus(event) {
  const open = document.querySelector("details.menu[open]");
  if (!open || (event.type === "click" && event.composedPath().includes(open))) return;
  if (event.type === "keydown" && event.key !== "Escape") return;
  open.open = false;
  if (event.type === "keydown") open.querySelector("summary").focus();
}
