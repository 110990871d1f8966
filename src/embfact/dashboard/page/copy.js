// The table for a paper (LaTeX with booktabs) and for a spreadsheet (CSV with raw numbers).

const LATEX = new Map([..."&%$#_{}"].map((character) => [character, `\\${character}`]));
LATEX.set("\\", "\\textbackslash{}").set("~", "\\textasciitilde{}").set("^", "\\textasciicircum{}");
LATEX.set("<", "\\textless{}").set(">", "\\textgreater{}").set("±", "$\\pm$").set(UNDEFINED, "--").set("\n", " ");

function latex(text) {
  return [...String(text)].map((character) => LATEX.get(character) ?? character).join("");
}

function latexTable(columns, items) {
  const line = (cells) => `${cells.map(latex).join(" & ")} \\\\`;
  const data = app.dataset ? ` on ${app.dataset}` : "";
  const over = app.mode === "means" ? ", mean ± sample standard deviation over seeds" : ", single runs";
  return [
    "% needs \\usepackage{booktabs}",
    "\\begin{table}",
    "\\centering",
    `\\caption{${latex(`Metrics${data} x 100${over}.`)}}`,
    "\\label{tab:sweep}",
    `\\begin{tabular}{${columns.map((column) => (column.number ? "r" : "l")).join("")}}`,
    "\\toprule",
    line(columns.map((column) => column.head)),
    "\\midrule",
    ...items.map((item) => line(columns.map((column) => column.text(item) ?? ""))),
    "\\bottomrule",
    "\\end{tabular}",
    "\\end{table}",
    "",
  ].join("\n");
}

function csvTable(columns, items) {
  const cell = (value) => {
    const text = value == null ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const pairs = columns.flatMap((column) => column.csv);
  const lines = [pairs.map(([head]) => head), ...items.map((item) => pairs.map(([, value]) => value(item)))];
  return lines.map((line) => `${line.map(cell).join(",")}\n`).join("");
}

/** Copy the table in a form; where the browser forbids it, show the text to be copied by hand. */
async function copyTable(make, button) {
  const columns = makeColumns();
  const items = rowsToCopy(columns);
  const text = make(columns, items);
  try {
    await navigator.clipboard.writeText(text);
    tell(button, `copied ${plural(items.length, "row")}`);
  } catch {
    const dialog = byId("by-hand");
    dialog.querySelector("textarea").value = text;
    dialog.showModal();
    dialog.querySelector("textarea").select();
  }
}

function tell(button, words) {
  button.dataset.name ??= button.textContent;
  button.textContent = words;
  setTimeout(() => (button.textContent = button.dataset.name), 2000);
}
