// Start: load the data, draw everything, add listeners.

/** Draw everything after a change. */
function drawAll() {
  makeItems();
  drawFilters();
  drawChoices();
  drawSummary();
  drawScatter();
  listenToScatter();
  drawTable();
  drawCurves();
  drawDetails();
  drawUnfinished();
  drawNotes();
}

/** Draw after a change of the selection only. */
function drawSelection() {
  drawScatter();
  drawTable({ find: true });
  drawCurves();
  drawDetails();
}

function drawChoices() {
  byId("figure").replaceChildren(...figures().map((place) => el("option", { value: place }, figureName(place))));
  byId("figure").value = app.figure ?? "";
  byId("figure").disabled = app.figure === null;
  byId("mode").value = app.mode;
}

function drawSummary() {
  const states = tally(app.runs);
  const made = new Date(app.data.made).toLocaleString();
  const count = plural(app.runs.length, "run") + (states && `: ${states}`);
  byId("summary").textContent = `${count}; ${app.data.places.join(", ")}; ${made}`;
  document.title = `embfact: ${app.data.places.join(", ")}`;
}

function listen() {
  const on = (id, change) => byId(id).addEventListener("change", (event) => (change(event.target.value), drawAll()));
  on("figure", (value) => (app.figure = Number(value)));
  on("axis", (value) => (app.axis = Number(value)));
  on("mode", (value) => (app.mode = value));
  on("curve", (value) => (app.curve = value));
  byId("clear").addEventListener("click", () => select([]));
  byId("copy-latex").addEventListener("click", (event) => copyTable(latexTable, event.currentTarget));
  byId("copy-csv").addEventListener("click", (event) => copyTable(csvTable, event.currentTarget));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", closeMenus, true); // before the click recreates the menu
  document.addEventListener("keydown", closeMenus);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  listenToTable();
}

byId("axis").replaceChildren(...AXES.map(({ label }, place) => el("option", { value: place }, label)));
load(JSON.parse(byId("data").textContent));
listen();
drawAll();
if (app.data.follow) follow();
// Milliseconds from navigation to the first drawing; the tests limit them to two seconds.
const opened = () => (document.documentElement.dataset.opened = Math.round(performance.now()));
requestAnimationFrame(() => setTimeout(opened));
