// The page's behaviour: charts in the page's colours, tables that sort, filter and copy. It computes no number.
const root = document.documentElement;
const themes = JSON.parse(document.getElementById("themes").textContent);
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const paper = matchMedia("print");
root.classList.add("script");

// --- Colours -------------------------------------------------------------------------------------------------------

const THEME = "qbench-report-theme";

function remembered() {
  try {
    return localStorage.getItem(THEME) ?? "system";
  } catch {
    return "system"; // storage is refused to some local files
  }
}

function remember(choice) {
  try {
    localStorage.setItem(THEME, choice);
  } catch {
    // the choice then lasts as long as the page
  }
}

let printing = false;

function currentTheme() {
  const choice = root.dataset.theme ?? "system";
  if (printing) return "light";
  return choice === "system" ? (systemDark.matches ? "dark" : "light") : choice;
}

function choose(choice) {
  if (choice === "system") delete root.dataset.theme;
  else root.dataset.theme = choice;
  redrawAll();
}

for (const radio of document.querySelectorAll("input[name=theme]")) {
  radio.checked = radio.value === remembered();
  radio.addEventListener("change", () => {
    remember(radio.value);
    choose(radio.value);
  });
}

// --- Charts --------------------------------------------------------------------------------------------------------

const figures = [...document.querySelectorAll("figure[data-chart]")];
const views = new Map(); // a figure's Vega view
const waiting = new Set();
let busy = false;

const LETTER = 6.3; // pixels of a legend's letter, about; a symbol and the gap to the next take 44, labels end at 260

const longest = new Map(); // a figure's longest name in a legend, in letters

function legendColumns(figure) {
  const width = 44 + Math.min(260, LETTER * (longest.get(figure) ?? 20));
  return Math.max(1, Math.floor(figure.querySelector(".plot").clientWidth / width));
}

function specification(figure) {
  let most = 12;
  const spec = JSON.parse(figure.querySelector("script").textContent, (key, value) => {
    if (key === "domain" && Array.isArray(value)) most = Math.max(most, ...value.map((name) => String(name).length));
    return value;
  });
  longest.set(figure, most);
  return spec;
}

function options(theme, figure, more) {
  const config = { ...themes[theme], aria: false, ...more };
  config.legend = { ...config.legend, columns: legendColumns(figure) };
  return {
    mode: "vega-lite",
    renderer: "svg",
    ast: true, // expressions are interpreted: the page's policy has no eval
    actions: false,
    defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
    config,
  };
}

async function draw(figure) {
  const plot = figure.querySelector(".plot");
  const theme = currentTheme();
  plot.style.minHeight = `${plot.offsetHeight}px`; // the page does not jump while the old chart is gone
  views.get(figure)?.finalize();
  const spec = specification(figure);
  const drawn = await vegaEmbed(plot, spec, options(theme, figure));
  views.set(figure, drawn.view);
  figure.dataset.drawn = theme;
  figure.dataset.columns = legendColumns(figure);
  plot.style.minHeight = "";
}

function nextFigure() {
  const list = figures.filter((figure) => waiting.has(figure));
  const inSight = (figure) => {
    const box = figure.getBoundingClientRect();
    return box.bottom > -200 && box.top < innerHeight + 400;
  };
  return list.find(inSight) ?? list[0];
}

const whenIdle = window.requestIdleCallback
  ? (work) => requestIdleCallback(work, { timeout: 100 })
  : (work) => setTimeout(work, 20);

// One chart at a time, those in sight first: the page can be used from the start, and printed soon.
async function drawWaiting() {
  if (busy) return;
  busy = true;
  while (waiting.size) {
    const figure = nextFigure();
    waiting.delete(figure);
    await draw(figure);
    await new Promise(whenIdle);
  }
  busy = false;
  root.dataset.charts = "drawn";
}

function redrawAll(which = figures) {
  for (const figure of which) waiting.add(figure);
  root.dataset.charts = "waiting";
  drawWaiting();
}

systemDark.addEventListener("change", () => redrawAll());

let resizing;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => {
    const changed = (figure) =>
      figure.dataset.drawn && Number(figure.dataset.columns) !== legendColumns(figure);
    redrawAll(figures.filter(changed));
  }, 150);
});

// A saved picture is for paper: light, on white, with its title.
async function save(figure, kind) {
  const plot = figure.querySelector(".plot");
  const spec = specification(figure);
  if (spec.width === "container") spec.width = plot.clientWidth;
  spec.title = figure.closest("article").querySelector("h3").lastChild.textContent.trim();
  const place = document.createElement("div");
  const drawn = await vegaEmbed(place, spec, options("light", figure, { background: "#ffffff" }));
  const link = document.createElement("a");
  link.href = await drawn.view.toImageURL(kind, kind === "png" ? 3 : 1);
  link.download = `${figure.dataset.chart}.${kind}`;
  link.click();
  drawn.view.finalize();
}

for (const button of document.querySelectorAll("button[data-save]")) {
  const figure = button.closest("article").querySelector("figure");
  button.addEventListener("click", () => save(figure, button.dataset.save));
}

// --- Print ---------------------------------------------------------------------------------------------------------

// Paper is light and shows every table; a table that is cut stays closed, because the file in CSV has it all.
function preparePrint() {
  if (printing) return;
  printing = true;
  for (const details of document.querySelectorAll("details:not([open])")) {
    if (details.querySelector(".cut")) continue;
    details.open = true;
    details.dataset.opened = "";
  }
  // All at once: a browser lays the paper out when this function and its promises are done.
  for (const figure of figures) {
    if (figure.dataset.drawn !== "light") draw(figure);
  }
}

function endPrint() {
  if (!printing) return;
  printing = false;
  for (const details of document.querySelectorAll("details[data-opened]")) {
    details.open = false;
    delete details.dataset.opened;
  }
  redrawAll(figures.filter((figure) => figure.dataset.drawn !== currentTheme()));
}

addEventListener("beforeprint", preparePrint);
addEventListener("afterprint", endPrint);
paper.addEventListener("change", () => (paper.matches ? preparePrint() : endPrint()));

// --- Tables --------------------------------------------------------------------------------------------------------

const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function compareCells(first, second) {
  if (first.dataset.key !== undefined && second.dataset.key !== undefined) {
    return Number(first.dataset.key) - Number(second.dataset.key);
  }
  return first.textContent.localeCompare(second.textContent, "en", { numeric: true });
}

function isEmpty(cell) {
  return cell.textContent === "-" && cell.dataset.key === undefined;
}

function sortBy(heading) {
  const table = heading.closest("table");
  const body = table.tBodies[0];
  const order = NEXT[heading.getAttribute("aria-sort")];
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", order);
  const rows = [...body.rows].sort((a, b) => a.dataset.row - b.dataset.row);
  if (order !== "none") {
    const at = heading.cellIndex;
    const sign = order === "ascending" ? 1 : -1;
    // A row without a value comes last in both directions.
    rows.sort(
      ({ cells: { [at]: a } }, { cells: { [at]: b } }) =>
        isEmpty(a) - isEmpty(b) || (isEmpty(a) ? 0 : sign * compareCells(a, b)),
    );
  }
  body.append(...rows);
}

for (const button of document.querySelectorAll("button.sort")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}

function filterRows(rows, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const content = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
    row.hidden = !words.every((word) => content.includes(word));
  }
  return rows.filter((row) => !row.hidden).length;
}

async function copy(text, tools, said) {
  const area = tools.querySelector("textarea");
  const output = tools.querySelector("output");
  area.hidden = true;
  try {
    await navigator.clipboard.writeText(text);
    output.textContent = `Copied: ${said}.`;
  } catch {
    // Some browsers give a local file no clipboard: the text is there to be copied by hand.
    area.hidden = false;
    area.value = text;
    area.focus();
    area.select();
    output.textContent = `This browser lets no local file write to the clipboard. The text is selected: copy it (${said}).`;
  }
}

for (const tools of document.querySelectorAll("[data-tools]")) {
  const table = tools.parentElement.querySelector("table");
  const texts = JSON.parse(tools.querySelector("script").textContent);
  const rows = () => [...table.tBodies[0].rows];
  const output = tools.querySelector("output");
  tools.querySelector("input").addEventListener("input", ({ target }) => {
    const shown = filterRows(rows(), target.value);
    output.textContent = target.value ? `${shown} of ${rows().length} rows` : "";
  });
  tools.querySelector("[data-copy=csv]").addEventListener("click", () => {
    const shown = rows().filter((row) => !row.hidden);
    const text = texts.csv.head + shown.map((row) => texts.csv.rows[row.dataset.row]).join("");
    copy(text, tools, `${shown.length} row${shown.length === 1 ? "" : "s"} as CSV`);
  });
  tools.querySelector("[data-copy=latex]").addEventListener("click", () => {
    copy(texts.latex, tools, "the whole table as LaTeX");
  });
}

// --- Contents ------------------------------------------------------------------------------------------------------

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const inView = new Set();
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) inView[isIntersecting ? "add" : "delete"](target.id);
    const first = [...links.keys()].find((id) => inView.has(id) && document.getElementById(id).matches("article, .verdict"));
    for (const [id, link] of links) {
      if (id === first) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  },
  { rootMargin: "-10% 0px -60% 0px" },
);
for (const id of links.keys()) watcher.observe(document.getElementById(id));

choose(remembered());
