// A served page polls its server, and reports if the server no longer answers.

const EVERY = 3000; // milliseconds

async function follow(tag = "") {
  try {
    const answer = await fetch("data.json", { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 200) {
      load(await answer.json());
      drawAll();
      drawProgress();
    }
    if (!answer.ok && answer.status !== 304) throw new Error(await answer.text());
    tag = answer.headers.get("ETag") || tag;
    drawFollowing(`live; last change ${clock(app.data.made)}`);
  } catch (error) {
    const why = error instanceof TypeError ? "The server has stopped" : `The sweep cannot be read (${error.message})`;
    drawFollowing(`${why}; showing the state of ${clock(app.data.made)}`, true);
  }
  setTimeout(() => follow(tag), EVERY);
}

/** The bar of the sweep, and what each running run is doing. */
function drawProgress() {
  const { running, ...sweep } = app.data.progress;
  byId("progress").hidden = !running.length && sweep.done === app.runs.length;
  byId("sweep").replaceChildren(...bar(sweep, "runs that have ended"));
  const lines = running.map((run) => el("li", {}, ...bar(run, `steps of ${run.name}`, el("b", {}, run.name))));
  byId("running").replaceChildren(...lines);
}

function bar({ done, of, text }, label, ...title) {
  // Without a value, a bar would move although nothing is known.
  return [el("progress", { value: of ? done : 0, max: of || 1, "aria-label": label }), ...title, el("span", {}, text)];
}

function clock(time) {
  return new Date(time).toLocaleTimeString();
}

function drawFollowing(text, lost = false) {
  const line = byId("following");
  line.hidden = false;
  line.classList.toggle("lost", lost);
  if (line.textContent !== text) line.textContent = text; // screen readers announce every change
}
