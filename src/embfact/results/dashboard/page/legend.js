// Legends below the plots, which wrap on any screen: a line, its marker and its name.

const MOST_ENTRIES = 60;
// The markers of the plotting library, around the origin.
const MARKERS = {
  circle: "M4,0A4,4 0 1,1 -4,0A4,4 0 1,1 4,0Z",
  square: "M-4,-4H4V4H-4Z",
  "triangle-up": "M-5,3.5L0,-5L5,3.5Z",
  "triangle-down": "M-5,-3.5L0,5L5,-3.5Z",
  diamond: "M0,-5.5L5.5,0L0,5.5L-5.5,0Z",
  cross: "M-5,-2H-2V-5H2V-2H5V2H2V5H-2V2H-5Z",
  x: "M-5,-2L-2,-5L0,-3L2,-5L5,-2L3,0L5,2L2,5L0,3L-2,5L-5,2L-3,0Z",
  pentagon: "M0,-5L4.8,-1.5L2.9,4L-2.9,4L-4.8,-1.5Z",
  star: "M0,-6L1.4,-1.9L5.7,-1.9L2.3,0.7L3.5,4.9L0,2.4L-3.5,4.9L-2.3,0.7L-5.7,-1.9L-1.4,-1.9Z",
};
const STROKES = { solid: "", dash: "7 4", dashdot: "7 3 2 3", dot: "2 3", longdash: "10 4", longdashdot: "10 3 2 3" };

/** Fill a legend: [{ label, color, symbol, dash }]; without a symbol it is a line only. */
function drawLegend(id, entries) {
  const shown = entries.slice(0, MOST_ENTRIES).map(({ label, ...look }) => el("li", {}, sample(look), " ", cut(label, 60)));
  const more = entries.length > MOST_ENTRIES ? [el("li", {}, `and ${entries.length - MOST_ENTRIES} more`)] : [];
  byId(id).replaceChildren(...shown, ...more);
}

function sample({ color: shade, symbol, dash = "solid" }) {
  const made = draw("svg", { width: 30, height: 14, viewBox: "-15 -7 30 14", "aria-hidden": "true" });
  made.append(draw("path", { d: "M-14,0H14", stroke: shade, "stroke-width": 1.5, "stroke-dasharray": STROKES[dash] }));
  if (symbol) made.append(draw("path", { d: MARKERS[symbol], fill: shade }));
  return made;
}

function draw(tag, attributes) {
  const made = document.createElementNS(byId("drawing").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
