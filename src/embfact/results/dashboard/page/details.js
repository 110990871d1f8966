// The details of a run from its record, or of two side by side; unfinished runs and their reasons; the notes.

const MOST_LISTED = 200;

function drawDetails() {
  const run = app.byId.get(app.shown);
  byId("details-hint").hidden = !run;
  if (!run) {
    const text = app.items.length ? "Select a run to see its configuration and figures." : emptyText([]);
    byId("details").replaceChildren(el("p", { class: "empty" }, text));
    return;
  }
  const other = app.byId.get(app.beside);
  const content = other ? drawBeside(run, other) : [el("h3", {}, run.name), ...drawState(run), ...drawFacts(run)];
  byId("details").replaceChildren(drawSiblings(run, other), ...content);
  byId("details-hint").textContent = other
    ? "Only what differs."
    : "Bold: differs from most runs on this page. Select two rows, or choose another run, to see what differs.";
}

/** Menus of the selected runs: the one that is shown, and one beside it. */
function drawSiblings(run, other) {
  const chosen = selectedRuns().slice(0, MOST_LISTED);
  for (const one of [run, other]) if (one && !chosen.includes(one)) chosen.push(one);
  const label = (one) => [nameOf(one), one.seed == null ? "" : `seed ${one.seed}`].filter(Boolean).join(", ");
  const menu = (id, word, value, none) => {
    const options = chosen.map((one) => el("option", { value: one.id }, label(one)));
    const change = (event) => {
      app[id] = event.target.value || null;
      drawDetails();
      keepAddress();
      byId(id).focus();
    };
    const made = el("select", { id, change }, ...(none ? [el("option", { value: "" }, none)] : []), ...options);
    made.value = value?.id ?? "";
    return el("label", {}, `${word} `, made);
  };
  return el("p", { class: "bar", hidden: chosen.length < 2 }, menu("shown", "run", run), menu("beside", "beside", other, "nothing"));
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

/** Two runs side by side: the facts in which they differ. */
function drawBeside(run, other) {
  const [one, another] = [run, other].map((known) => new Map(factsOf(known).map(([key, value]) => [key, readable(value)])));
  const keys = [...new Set([...one.keys(), ...another.keys()])].filter((key) => one.get(key) !== another.get(key));
  const order = ["metrics", "config", "method", "size"];
  const place = (key) => (order.indexOf(key.split(".")[0]) + order.length + 1) % (order.length + 1);
  keys.sort((a, b) => place(a) - place(b));
  const lines = keys.map((key) => {
    const cells = [one, another].map((facts) => el("td", {}, facts.get(key) ?? UNDEFINED));
    return el("tr", {}, el("th", { scope: "row" }, key), ...cells);
  });
  const head = el("tr", {}, el("th", {}), ...[run, other].map(({ name }) => el("th", { scope: "col" }, name)));
  const table = el("table", { class: "beside" }, el("thead", {}, head), el("tbody", {}, ...lines));
  return [...drawState(run), ...drawState(other), table];
}

function drawUnfinished() {
  const found = app.items.flatMap((item) => item.runs).filter((run) => run.status !== "finished");
  found.sort((one, other) => STATES.indexOf(one.status) - STATES.indexOf(other.status));
  const lines = found.slice(0, MOST_LISTED).map((run) => {
    const show = () => {
      app.selected = new Set([run.id]);
      app.chosen = true;
      [app.shown, app.beside] = [run.id, null];
      drawSelection();
    };
    const name = el("button", { type: "button", click: show }, run.name);
    return el("li", {}, el("b", {}, run.status), " ", name, el("p", {}, run.message));
  });
  const more = found.length > MOST_LISTED ? el("p", {}, `and ${found.length - MOST_LISTED} more: see the table.`) : "";
  const none = app.items.length ? "All runs have finished." : emptyText([]);
  byId("failures").replaceChildren(found.length ? el("ul", {}, ...lines) : el("p", { class: "empty" }, none), more);
}

function drawNotes() {
  const { sources, warnings } = app.data;
  const notes = [...sources, ...warnings];
  const lines = notes.length ? notes : ["No notes yet."];
  byId("notes").replaceChildren(...lines.map((note) => el("li", {}, note)));
}
