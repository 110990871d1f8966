// A served page asks for news every few seconds, and says so when nobody answers any more.

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
    drawFollowing(`following; last change ${clock(app.data.made)}`);
  } catch (error) {
    const why = error instanceof TypeError ? "The server has stopped" : `The sweep cannot be read (${error.message})`;
    drawFollowing(`${why}; shown is what was known at ${clock(app.data.made)}`, true);
  }
  setTimeout(() => follow(tag), EVERY);
}

function clock(time) {
  return new Date(time).toLocaleTimeString();
}

function drawFollowing(words, lost = false) {
  const line = byId("following");
  line.hidden = false;
  line.classList.toggle("lost", lost);
  if (line.textContent !== words) line.textContent = words; // a screen reader tells every change
}
