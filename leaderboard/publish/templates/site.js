"use strict";
// Tables that sort and filter; the address's fragment keeps their state, so that a view can be shared.
(async () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark", dark.matches);
  dark.addEventListener("change", follow);
  follow();
  // A page opened from a file may not import a module's file, but it may import from memory.
  const bytes = Uint8Array.from(atob(window.tablesModule), (letter) => letter.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  const { default: DataTable } = await import(address);
  URL.revokeObjectURL(address);
  const kept = new URLSearchParams(location.hash.slice(1));
  const tables = new Map();
  const chosen = new Map();
  const keep = () => {
    const state = new URLSearchParams();
    for (const [id, table] of tables) {
      const search = table.search();
      const order = table.order();
      if (search) state.set(`${id}.search`, search);
      if (order.length) state.set(`${id}.order`, order.map(([column, way]) => `${column}-${way}`).join("."));
    }
    for (const [key, value] of chosen) if (value) state.set(key, value);
    const text = state.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  };
  // A menu for each column that has few values.
  const addMenus = (element, table) => {
    const menus = document.createElement("div");
    menus.className = "filters";
    [...element.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.dataset.filter) return;
      const cells = table.rows().nodes().toArray().map((row) => row.cells[column]);
      const values = [...new Set(cells.map((cell) => cell.dataset.search || cell.textContent.trim()))].sort();
      if (values.length < 2) return;
      const menu = document.createElement("select");
      for (const value of ["", ...values]) menu.add(new Option(value || `every ${head.dataset.filter}`, value));
      menu.setAttribute("aria-label", `Only this ${head.dataset.filter}`);
      const key = `${element.id}.${head.dataset.filter}`;
      const choose = () => {
        chosen.set(key, menu.value);
        const exact = menu.value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
        table.column(column).search(menu.value ? `^${exact}$` : "", true, false).draw();
      };
      if (values.includes(kept.get(key))) menu.value = kept.get(key);
      menu.addEventListener("change", () => { choose(); keep(); });
      if (menu.value) choose();
      menus.append(menu);
    });
    if (menus.children.length) element.closest(".scroll").before(menus);
  };
  for (const element of document.querySelectorAll("table.data")) {
    const columns = element.tHead.rows[0].cells.length;
    const order = (kept.get(`${element.id}.order`) || "")
      .split(".")
      .map((part) => part.split("-"))
      .filter(([column, way]) => column !== "" && Number(column) < columns && (way === "asc" || way === "desc"))
      .map(([column, way]) => [Number(column), way]);
    const many = element.tBodies[0].rows.length > 60;
    const few = element.tBodies[0].rows.length < 12;
    const table = new DataTable(element, {
      order,
      paging: many,
      pageLength: 50,
      autoWidth: false,
      layout: { topStart: many ? "pageLength" : null, topEnd: few ? null : "search", bottomStart: few ? null : "info", bottomEnd: many ? "paging" : null },
      language: { search: "Filter:", emptyTable: "None yet" },
      search: { search: kept.get(`${element.id}.search`) || "" },
    });
    tables.set(element.id, table);
    addMenus(element, table);
    table.on("order", keep);
    table.on("search", keep);
  }
  document.documentElement.dataset.ready = "yes";
})();
