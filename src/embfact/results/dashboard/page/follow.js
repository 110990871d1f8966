// A served page polls its server, and reports if the server no longer answers.

const EVERY = 3000; // milliseconds

async function follow(tag = "") {
  try {
    const answer = await fetch("data.json", { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 200) {
      load(await answer.json());
      drawAll();
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

function clock(time) {
  return new Date(time).toLocaleTimeString();
}

function drawFollowing(text, lost = false) {
  const line = byId("following");
  line.hidden = false;
  line.classList.toggle("lost", lost);
  if (line.textContent !== text) line.textContent = text; // screen readers announce every change
}
