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
  table.tBodies[0].replaceChildren(...shown.map((item) => row(item, columns)));
  const start = table.querySelector('[aria-selected="true"]') || table.tBodies[0].rows[0];
  if (start) start.tabIndex = 0;
  if (find && first >= 0) showRow(start);
  byId("table-empty").hidden = items.length > 0;
  byId("table-empty").textContent = items.length ? "" : emptyText([]);
  drawCount(items);
  drawPages(pages, items.length);
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
  document.querySelector(`#table th button[data-key="${key}"]`).focus();
}

function row(item, columns) {
  const cells = columns.map((column) => {
    const alarm = column.key === "status" && item.runs.some(({ status }) => BAD.includes(status));
    return el("td", { class: column.number ? "number" : alarm && "alarm" }, column.text(item) ?? "");
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

/** The rows to copy: the selected ones, or all visible ones. */
function rowsToCopy(columns) {
  const items = sortedItems(columns);
  const chosen = items.filter(isSelected);
  return chosen.length ? chosen : items;
}

function drawCount(items) {
  const chosen = items.filter(isSelected).length;
  const word = app.mode === "runs" ? "run" : "row";
  byId("count").textContent = plural(items.length, word) + (chosen ? `, ${chosen.toLocaleString("en")} selected` : "");
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
  body.addEventListener("click", (event) => choose(event.target.closest("tr"), event));
  body.addEventListener("keydown", (event) => {
    const line = event.target.closest("tr");
    const other = { ArrowDown: line.nextElementSibling, ArrowUp: line.previousElementSibling }[event.key];
    if (event.key === "Enter" || event.key === " ") choose(line, event);
    else if (other) [line.tabIndex, other.tabIndex] = [-1, 0];
    if (other) other.focus();
    if (["ArrowDown", "ArrowUp", "Enter", " "].includes(event.key)) event.preventDefault();
  });
}
