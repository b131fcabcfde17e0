// What HTML and htmx do not do by themselves: Airflow's pages from within its frame, "try again", plots, the live sign.
"use strict";

// Airflow frames the board in a sandbox that may not lead the page around it away, nor open another. A link in that
// page may, and it is of the same origin.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-airflow]");
  if (!link || parent === self) return;
  event.preventDefault();
  const outside = parent.document.createElement("a");
  outside.href = link.href;
  outside.rel = "noopener noreferrer";
  outside.target = event.ctrlKey || event.metaKey ? "_blank" : link.target;
  outside.click();
});

const answer = (sentence, bad) => {
  const told = document.createElement("p");
  told.className = bad ? "late" : "done";
  told.textContent = sentence;
  document.getElementById("answer").replaceChildren(told);
};

// "Try again" is Airflow's own clear, asked of its API with this session: its rights and its audit log hold.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-again]");
  if (!button) return;
  button.disabled = true;
  const { dag_id: dag, ...which } = JSON.parse(button.dataset.again);
  const asked = { dry_run: false, include_downstream: true, only_failed: false, reset_dag_runs: true };
  try {
    const got = await fetch(`${button.dataset.url}/${dag}/clearTaskInstances`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...asked, ...which }),
    });
    if (got.ok) return answer("It is tried again.", false);
    const why = (await got.json().catch(() => ({}))).detail;
    answer(`Airflow refused (${got.status}): ${typeof why === "string" ? why : "see its log"}.`, true);
  } catch {
    answer("Airflow gave no answer: try once more.", true);
  }
  button.disabled = false;
});

document.addEventListener("htmx:responseError", (event) => {
  answer(`This was refused (${event.detail.xhr.status}).`, true);
});

const live = (state, text) => {
  const sign = document.getElementById("live");
  sign.dataset.state = state;
  sign.textContent = text;
};
// The server ends each stream after a while and the browser opens the next: only what lasts is worth a word.
let lost;
document.addEventListener("htmx:sseOpen", () => {
  clearTimeout(lost);
  lost = undefined;
  live("live", "live");
});
document.addEventListener("htmx:sseError", () => {
  lost ??= setTimeout(() => live("lost", "connecting again…"), 4000);
});

// A section that is what it was stays untouched; in one that changes the keyboard stays where it was.
const shown = new WeakMap();
const KEYS = "a, button, summary, input";
const nameOf = (element) => [element.tagName, element.id, element.href, element.name, element.textContent].join("|");
let focused;
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const section = event.target;
  if (shown.get(section) === event.detail.data) return event.preventDefault();
  shown.set(section, event.detail.data);
  const here = document.activeElement;
  focused = here?.matches(KEYS) && section.contains(here) ? nameOf(here) : undefined;
});
document.addEventListener("htmx:sseMessage", (event) => {
  if (focused === undefined || event.target.contains(document.activeElement)) return;
  const same = [...event.target.querySelectorAll(KEYS)].find((element) => nameOf(element) === focused);
  same?.focus({ preventScroll: true });
});

// Plots: bars for the first series, points for what it is compared with.
const drawn = new Set();
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function draw(place) {
  const { labels, series } = JSON.parse(place.querySelector("script").textContent);
  const x = labels.map((_, number) => number);
  const ink = colour("--pico-muted-color");
  const colours = ["--bar", "--point", "--point-2"].map(colour);
  const named = (split) => split.map((at) => (Number.isInteger(at) ? labels[at] ?? "" : ""));
  const axis = { stroke: ink, grid: { stroke: colour("--pico-muted-border-color"), width: 1 }, ticks: { show: false } };
  const longest = Math.max(...labels.map((label) => label.length));
  const crowded = labels.length * (longest * 6.2 + 8) > place.clientWidth - 60;
  const options = {
    width: place.clientWidth,
    height: crowded ? 300 : 220,
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: false, range: [-0.6, labels.length - 0.4] }, y: { range: (_, __, most) => [0, most * 1.1 || 1] } },
    axes: [
      { ...axis, grid: { show: false }, splits: () => x, values: (_, at) => named(at), rotate: crowded ? -60 : 0, size: crowded ? Math.min(170, longest * 6 + 20) : 40 },
      { ...axis, size: 60, values: (_, at) => at.map((value) => `${value} ${place.dataset.unit}`) },
    ],
    series: [
      { value: (_, at) => labels[at] ?? "" },
      ...series.map(([name], number) => ({
        label: name,
        value: (_, value) => (value == null ? "–" : `${value} ${place.dataset.unit}`),
        stroke: colours[number],
        fill: number ? undefined : colours[number],
        paths: number ? () => null : uPlot.paths.bars({ size: [0.5, 48] }),
        points: { show: number > 0, size: 9, fill: colours[number], stroke: colours[number] },
      })),
    ],
  };
  place.plot?.destroy();
  place.plot = new uPlot(options, [x, ...series.map(([, values]) => values)], place);
  drawn.add(place);
}

function redraw() {
  for (const place of drawn) place.isConnected ? draw(place) : drawn.delete(place);
}

const drawAll = (within) => within.querySelectorAll(".plot").forEach((place) => place.plot || draw(place));
drawAll(document);
document.addEventListener("htmx:afterSwap", (event) => drawAll(event.target));
document.addEventListener("htmx:sseMessage", () => drawAll(document));
document.documentElement.addEventListener("theme", redraw);
let width = innerWidth;
addEventListener("resize", () => {
  if (width !== innerWidth) {
    width = innerWidth;
    redraw();
  }
});
