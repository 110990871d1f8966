// Start: unpack the plotting library, load the data, draw everything, add listeners.

/** Draw everything after a change. */
function drawAll() {
  drawFirst();
  drawCurves();
  drawLater();
}

/** Draw what is seen first: filters, plot and table. */
function drawFirst() {
  makeItems();
  drawFilters();
  drawChoices();
  drawSummary();
  drawPicker();
  drawUnfinished();
  drawNotes();
  drawImportance();
  drawScatter();
  listenToScatter();
  drawTable();
  drawDetails();
  keepAddress();
}

/** Draw after a change of the selection only. */
function drawSelection() {
  drawScatter();
  drawTable({ find: true });
  drawCurves();
  drawDetails();
  keepAddress();
  drawLater();
}

/** Draw what is below the rest once the browser has shown that. */
function drawLater(done = () => {}) {
  clearTimeout(app.later);
  app.later = setTimeout(() => (drawParallel(), listenToParallel(), done()));
}

function drawChoices() {
  byId("figure").replaceChildren(...figures().map((place) => el("option", { value: place }, figureName(place))));
  byId("figure").value = app.figure ?? "";
  byId("figure").disabled = app.figure === null;
  byId("axis").value = app.axis;
  byId("mode").value = app.mode;
  drawKeyMenus();
}

function drawSummary() {
  const states = tally(app.runs);
  const made = new Date(app.data.made).toLocaleString();
  const count = plural(app.runs.length, "run") + (states && `: ${states}`);
  byId("name").textContent = app.data.name;
  byId("summary").textContent = `${count}; ${app.data.places.join(", ")}; ${made}`;
  document.title = `${app.data.name} - embfact`;
}

function listen() {
  const on = (id, change) => byId(id).addEventListener("change", (event) => (change(event.target.value), drawAll()));
  on("figure", (value) => (app.figure = Number(value)));
  on("axis", (value) => (app.axis = Number(value)));
  on("mode", (value) => ([app.mode, app.modeChosen] = [value, true]));
  on("curve", (value) => (app.curve = value));
  on("color", (value) => (app.color = value));
  on("group", (value) => ([app.group, app.page] = [value, 0]));
  let waiting;
  byId("search").addEventListener("input", (event) => {
    app.text = event.target.value;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150); // not for every letter
  });
  byId("smoothing").addEventListener("input", (event) => {
    app.smoothing = Number(event.target.value);
    drawCurves();
    keepAddress();
  });
  byId("clear").addEventListener("click", () => select([]));
  byId("front").addEventListener("click", () => ((app.chosen = false), drawAll()));
  byId("clear-filters").addEventListener("click", clearFilters);
  byId("copy-latex").addEventListener("click", (event) => copyTable(latexTable, event.currentTarget));
  byId("copy-csv").addEventListener("click", (event) => copyTable(csvTable, event.currentTarget));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", closeMenus, true); // before the click recreates the menu
  document.addEventListener("keydown", closeMenus);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  matchMedia(NARROW).addEventListener("change", drawAll);
  addEventListener("hashchange", () => (readAddress(), drawAll()));
  listenToTable();
}

/** Run the plotting library, which the page holds compressed; its policy allows this code only, by its hash. */
async function unpack() {
  const bytes = Uint8Array.from(atob(byId("plotly").textContent), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = el("script", {}, await new Response(stream).text());
  document.head.append(script);
  script.remove();
}

async function start() {
  await unpack();
  byId("axis").replaceChildren(...AXES.map(({ label }, place) => el("option", { value: place }, label)));
  load(JSON.parse(byId("data").textContent));
  readAddress();
  listen();
  drawFirst();
  const mark = (name) => (document.documentElement.dataset[name] = Math.round(performance.now()));
  requestAnimationFrame(() =>
    setTimeout(() => {
      mark("opened"); // milliseconds from navigation to the plot and the table, which the tests limit
      drawCurves();
      drawLater(() => mark("drawn"));
    }),
  );
  if (app.data.follow) follow();
}

start();
