// The details of a run from its record; unfinished runs and their reasons; the notes of the table.

const MOST_BUTTONS = 30;
const MOST_LISTED = 200;

function drawDetails() {
  const chosen = selectedRuns();
  const run = app.byId.get(app.shown);
  if (!run) {
    byId("details").replaceChildren(el("p", { class: "empty" }, "Select a run to see its configuration and figures."));
    return;
  }
  byId("details").replaceChildren(drawSiblings(chosen), el("h3", {}, run.name), ...drawState(run), ...drawFacts(run));
}

/** Buttons for the selected runs, one of which is shown. */
function drawSiblings(chosen) {
  const buttons = chosen.slice(0, MOST_BUTTONS).map((run) => {
    const show = () => {
      app.shown = run.id;
      drawDetails();
      document.querySelector('#details [aria-pressed="true"]').focus();
    };
    const text = [methodOf(run), run.size, run.seed == null ? "" : `s${run.seed}`].filter(Boolean).join(" ");
    const pressed = String(run.id === app.shown);
    return el("button", { type: "button", "aria-pressed": pressed, title: run.name, click: show }, text);
  });
  const more = chosen.length > MOST_BUTTONS ? [`and ${chosen.length - MOST_BUTTONS} more`] : [];
  return el("div", { class: "runs", hidden: chosen.length < 2 }, ...buttons, ...more);
}

function drawState(run) {
  if (run.status === "finished") return [];
  return [el("p", { class: "alarm" }, `${run.status}${run.message ? `: ${run.message}` : ""}`)];
}

/** Facts by section; those that differ from most runs are bold. */
function drawFacts(run) {
  const sections = Map.groupBy(factsOf(run), ([key]) => (key.includes(".") ? key.slice(0, key.indexOf(".")) : "run"));
  const order = ["metrics", "seconds", "config"];
  const place = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
  const names = [...sections.keys()].sort((one, other) => place(one) - place(other));
  return names.map((name) => {
    const lines = sections.get(name).map(([key, value, apart]) => {
      const label = name === "run" ? key : key.slice(name.length + 1);
      const text = apart ? el("b", {}, readable(value)) : readable(value);
      return el("tr", {}, el("th", { scope: "row" }, label), el("td", {}, text));
    });
    const table = el("table", {}, el("tbody", {}, ...lines));
    return el("details", { open: order.includes(name) }, el("summary", {}, name), table);
  });
}

function drawUnfinished() {
  const found = app.runs.filter((run) => run.status !== "finished");
  found.sort((one, other) => STATES.indexOf(one.status) - STATES.indexOf(other.status));
  const lines = found.slice(0, MOST_LISTED).map((run) => {
    const show = () => {
      app.selected = new Set([run.id]);
      app.shown = run.id;
      drawSelection();
    };
    const name = el("button", { type: "button", click: show }, run.name);
    return el("li", {}, el("b", {}, run.status), " ", name, el("p", {}, run.message));
  });
  const more = found.length > MOST_LISTED ? el("p", {}, `and ${found.length - MOST_LISTED} more: see the table.`) : "";
  const none = app.runs.length ? "All runs have finished." : "There are no runs yet.";
  byId("failures").replaceChildren(found.length ? el("ul", {}, ...lines) : el("p", { class: "empty" }, none), more);
}

function drawNotes() {
  const { sources, warnings } = app.data;
  const notes = [...sources, ...warnings];
  const lines = notes.length ? notes : ["No notes yet."];
  byId("notes").replaceChildren(...lines.map((note) => el("li", {}, note)));
}
