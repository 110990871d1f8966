// The table, in pages: a browser lays out 100 rows instantly, but 2,000 slowly.

const ROWS = 100;

function drawTable({ find = false } = {}) {
  const columns = makeColumns();
  const items = sortedItems(columns);
  const pages = Math.max(1, Math.ceil(items.length / ROWS));
  const first = items.findIndex(isSelected);
  if (find && first >= 0) app.page = Math.floor(first / ROWS);
  app.page = Math.min(app.page, pages - 1);
  const shown = items.slice(app.page * ROWS, (app.page + 1) * ROWS);
  const table = byId("table");
  table.tHead.replaceChildren(el("tr", {}, ...columns.map(heading)));
  table.tBodies[0].replaceChildren(...shown.flatMap((item, place) => [
    ...groupHead(item, shown[place - 1], columns),
    row(item, columns),
  ]));
  const start = (app.chosen && table.querySelector('[aria-selected="true"]')) || table.tBodies[0].querySelector("[data-key]");
  if (start) start.tabIndex = 0;
  if (find && first >= 0) showRow(start);
  byId("table-empty").hidden = items.length > 0;
  byId("table-empty").textContent = items.length ? "" : emptyText([]);
  byId("table").parentElement.hidden = !items.length;
  drawCount(items);
  drawPages(pages, items.length);
  byId("table-notes").textContent = tableNotes(columns);
}

/** A line above the first row of each group: its value, and how many rows have it. */
function groupHead(item, before, columns) {
  if (!app.group || (before && textOf(before.first, app.group) === textOf(item.first, app.group))) return [];
  const text = textOf(item.first, app.group);
  const count = app.items.filter((other) => textOf(other.first, app.group) === text).length;
  const head = `${keyOf(app.group).label}: ${text}`;
  const cell = el("th", { colspan: columns.length, scope: "rowgroup" }, head, el("span", {}, ` (${plural(count, "row")})`));
  return [el("tr", { class: "group" }, cell)];
}

/** How to read the marks that occur. */
function tableNotes(columns) {
  const has = (key) => columns.some((column) => column.key === key);
  const found = app.items.map((item) => item.compared.get(app.figure)).filter(Boolean);
  const chance = app.items.some((item) => item.chance.size);
  return [
    "Bold: the best, dense excluded.",
    found.some(({ sign }) => sign) && "\u2020 worse, * better than dense: p < 0.05 after Holm's correction over the whole sweep.",
    has("difference") && "Differences from dense in points, with the 95 % interval over seeds and examples where predictions are on this machine; of all seeds of a row, so empty where a filter leaves some of them out.",
    chance && "(chance): not above the majority class.",
  ].filter(Boolean).join(" ");
}

function heading(column) {
  const here = app.sort.key === column.key;
  const sort = here ? (app.sort.down ? "descending" : "ascending") : "none";
  const mark = here ? (app.sort.down ? " \u25be" : " \u25b4") : "";
  const click = () => sortBy(column);
  const button = el("button", { type: "button", "data-key": column.key, click }, column.head + mark);
  return el("th", { scope: "col", "aria-sort": sort, class: column.number && "number" }, button);
}

/** Sort figures in descending order first, words and sizes in ascending order. */
function sortBy({ key }) {
  const here = app.sort.key === key;
  app.sort = { key, down: here ? !app.sort.down : key.startsWith("figure") };
  app.page = 0;
  drawTable();
  keepAddress();
  document.querySelector(`#table th button[data-key="${key}"]`).focus();
}

function row(item, columns) {
  const cells = columns.map((column) => {
    const alarm = column.key === "status" && item.runs.some(({ status }) => BAD.includes(status));
    const text = column.text(item) ?? "";
    const shown = column.bold?.(item) ? el("b", {}, text) : text;
    return el("td", { class: column.number ? "number" : alarm && "alarm" }, shown);
  });
  const selected = String(isSelected(item));
  return el("tr", { tabindex: -1, "data-key": item.key, "aria-selected": selected }, ...cells);
}

function showRow(line) {
  const box = line.closest(".scroll");
  const head = byId("table").tHead.offsetHeight;
  const above = line.offsetTop - head < box.scrollTop;
  const below = line.offsetTop + line.offsetHeight > box.scrollTop + box.clientHeight;
  if (above || below) box.scrollTop = line.offsetTop - head;
}

/** The rows to copy: those that the reader selected, or all visible ones. */
function rowsToCopy(columns) {
  const items = sortedItems(columns);
  const chosen = app.chosen ? items.filter(isSelected) : [];
  return chosen.length ? chosen : items;
}

function drawCount(items) {
  const chosen = items.filter(isSelected).length;
  const word = app.mode === "runs" ? "run" : "row";
  const which = app.chosen ? "selected" : "on the Pareto front, selected";
  byId("count").textContent = plural(items.length, word) + (chosen ? `, ${chosen.toLocaleString("en")} ${which}` : "");
  byId("clear").disabled = !app.selected.size;
  byId("copy-latex").disabled = byId("copy-csv").disabled = !items.length;
}

function drawPages(pages, count) {
  const turn = (by) => () => {
    app.page += by;
    drawTable();
    document.querySelector(".scroll").scrollTop = 0;
  };
  const last = Math.min(count, (app.page + 1) * ROWS);
  byId("pages").hidden = pages === 1;
  byId("pages").replaceChildren(
    el("button", { type: "button", disabled: app.page === 0, click: turn(-1) }, "previous"),
    `${app.page * ROWS + 1} to ${last} of ${count.toLocaleString("en")}`,
    el("button", { type: "button", disabled: app.page === pages - 1, click: turn(1) }, "next"),
  );
}

function listenToTable() {
  const body = byId("table").tBodies[0];
  const itemOf = (line) => app.items.find((item) => item.key === line.dataset.key);
  const choose = (line, event) => {
    select([itemOf(line)], { add: event.shiftKey || event.ctrlKey || event.metaKey });
    [...body.rows].find((other) => other.dataset.key === line.dataset.key)?.focus();
  };
  body.addEventListener("click", (event) => {
    const line = event.target.closest("tr[data-key]");
    if (line) choose(line, event);
  });
  body.addEventListener("keydown", (event) => {
    const line = event.target.closest("tr");
    const lines = [...body.querySelectorAll("tr[data-key]")];
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const other = by && lines[lines.indexOf(line) + by];
    if (event.key === "Enter" || event.key === " ") choose(line, event);
    else if (other) [line.tabIndex, other.tabIndex] = [-1, 0];
    if (other) other.focus();
    if (["ArrowDown", "ArrowUp", "Enter", " "].includes(event.key)) event.preventDefault();
  });
}
