// The menu that picks the columns of the table.

function drawPicker() {
  const menu = byId("columns");
  const { open } = menu;
  const box = (key, label, checked, set) => {
    const change = (event) => {
      set(event.target.checked);
      drawTable();
      keepAddress();
      [...menu.querySelectorAll("input")].find((input) => input.value === key)?.focus();
    };
    const input = el("input", { type: "checkbox", value: key, change });
    input.checked = checked;
    return el("label", {}, input, ` ${label}`);
  };
  const put = (set, key, inside) => (inside ? set.add(key) : set.delete(key));
  const present = allColumns().filter(({ key }) => !app.added.has(key));
  const shown = present.map(({ key, head }) => box(key, head, !app.dropped.has(key), (on) => put(app.dropped, key, !on)));
  const options = differingKeys().filter(({ key }) => key.startsWith(CONFIG_PREFIX));
  const more = options.map(({ key, label }) => box(key, label, app.added.has(key), (on) => put(app.added, key, on)));
  const heading = more.length ? [el("p", {}, "configuration")] : [];
  menu.querySelector(".options").replaceChildren(...shown, ...heading, ...more);
  menu.open = open;
}
