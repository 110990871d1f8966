// Copying the table as LaTeX (booktabs) or CSV (raw numbers).

// The same escapes as in results/table/latex.py.
const LATEX = new Map([..."&%$#_{}"].map((character) => [character, `\\${character}`]));
LATEX.set("\\", "\\textbackslash{}").set("~", "\\textasciitilde{}").set("^", "\\textasciicircum{}");
LATEX.set("<", "\\textless{}").set(">", "\\textgreater{}").set("|", "\\textbar{}").set("`", "\\textasciigrave{}");
LATEX.set('"', "\\char34{}").set("±", "$\\pm$").set("†", "$\\dagger$").set(UNDEFINED, "--").set("\0", "{}");

function latex(text) {
  const visible = String(text).replace(/[\p{Cc}\p{Z}]/gu, " ").replace(/[\p{Cf}\p{Cs}]/gu, "");
  const apart = visible.replace(/([-,'])(?=\1)/g, "$1\0"); // against ligatures: dashes and quotation marks
  return [...apart].map((character) => LATEX.get(character) ?? character).join("");
}

function latexTable(columns, items) {
  const line = (cells) => {
    const row = `${cells.map(latex).join(" & ")} \\\\`;
    // The preceding rule or row end would take a leading bracket or asterisk as its argument.
    return /^\s*[[*]/.test(row) ? `{}${row}` : row;
  };
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

// Text that a spreadsheet would evaluate; the same as in results/table/numbers.py.
const FORMULA = /^[=+\-@\t\r]/;

function csvTable(columns, items) {
  const cell = (value) => {
    const text = value == null ? "" : String(value);
    const plain = typeof value === "string" && FORMULA.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  const pairs = columns.flatMap((column) => column.csv);
  const lines = [pairs.map(([head]) => head), ...items.map((item) => pairs.map(([, value]) => value(item)))];
  return lines.map((line) => `${line.map(cell).join(",")}\n`).join("");
}

/** Copy the table; if the browser forbids it, show the text for copying by hand. */
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

function tell(button, text) {
  button.dataset.name ??= button.textContent;
  button.textContent = text;
  setTimeout(() => (button.textContent = button.dataset.name), 2000);
}
