// What the pages do beyond links and forms, which work without it: they follow the log, open forms in a dialog, answer
// to keys, and copy.
"use strict";

const page = () => document.getElementById("page");
let place;
const here = () => location.pathname + location.search;

// Reload the page and morph it in place, so that focus and entered text stay. The header names the last revision that the
// stream has reported: the server may answer with a page that it has rendered for another viewer since then.
const renew = () => htmx.ajax("GET", here(), {
  source: "#page", target: "#page", swap: "outerMorph", headers: place ? { "Tallymark-Seen-Revision": place } : {},
});

// Show what was just done once, not at every reload.
const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done");
  history.replaceState(null, "", address);
}

// -- Following the log: the stream reports that something has changed, and the page then reloads itself.

const light = document.querySelector(".live");
let stream, asking = false, due = 0, pause = 120;

function shown(text, away) {
  light.hidden = !text;
  light.textContent = text;
  light.classList.toggle("away", Boolean(away));
}

function follow() {
  const { live, model, run, revision } = page().dataset;
  stream?.close();
  stream = undefined;
  if (!live || document.hidden) return;
  place ??= revision;
  const query = new URLSearchParams({ after: place, ...(model ? { model } : {}), ...(run ? { run } : {}) });
  stream = new EventSource(`${live}?${query}`);
  stream.onopen = () => shown("live");
  stream.onmessage = ({ data, lastEventId }) => {
    place = lastEventId || place;
    const { spread, revision } = JSON.parse(data);
    news.add(revision);
    pause = Math.max(120, spread);
    refresh(Math.random() * spread);
  };
  // The viewer may no longer read this page: the server answers a reload with what there is instead.
  stream.addEventListener("refused", () => location.reload());
  stream.onerror = () => {
    shown("away", true);
    // The browser does not reconnect once it has closed the stream, and hides why: the viewer may have signed out.
    if (stream?.readyState === EventSource.CLOSED) setTimeout(again, 1000, stream.url);
  };
}

async function again(address) {
  const stopped = new AbortController();
  const { status } = await fetch(address, { signal: stopped.signal }).catch(() => ({}));
  stopped.abort();
  if (status === 401) location.reload();
  else follow();
}

function refresh(wait) {
  const now = performance.now();
  if (due > now) return;
  due = Math.max(now + wait, last + pause);
  setTimeout(ask, due - now);
}

let last = -1000;

// Rows do not move while the mouse is over them: new rows wait until the viewer requests them.
const news = new Set();
function held() {
  if (!("feed" in page().dataset)) return false;
  return document.querySelector(".events:hover") !== null || scrollY > 120;
}
document.addEventListener("click", ({ target }) => {
  if (target.id !== "news") return;
  news.clear();
  scrollTo(0, 0);
  renew();
});

async function ask() {
  const button = document.getElementById("news");
  if (held() && button) {
    due = 0;
    button.hidden = false;
    button.textContent = `${news.size} new`;
    return;
  }
  news.clear();
  if (asking) { due = 0; return refresh(50); }
  asking = true;
  due = 0;
  last = performance.now();
  const before = new Set([...document.querySelectorAll("#page [id]")].map(({ id }) => id));
  try {
    await renew();
  } finally {
    asking = false;
    // A page that is slow to render is reloaded less often.
    pause = Math.max(pause, 4 * (performance.now() - last));
  }
  for (const row of document.querySelectorAll("#page tr[id], #page li[id]")) {
    if (!before.has(row.id)) row.classList.add("fresh");
  }
}

document.addEventListener("visibilitychange", follow);
window.addEventListener("pageshow", follow);
window.addEventListener("pagehide", () => stream?.close());

// -- Filters are applied while they are typed; the address always shows the state of the page.

let typing;
function filter(event) {
  const form = event.target.closest("form[data-filter]");
  if (!form) return;
  event.preventDefault();
  clearTimeout(typing);
  typing = setTimeout(async () => {
    const given = [...new FormData(form)].filter(([, value]) => value !== "");
    const query = new URLSearchParams(given).toString();
    history.replaceState(null, "", location.pathname + (query && `?${query}`));
    await renew();
  }, event.type === "submit" ? 0 : 250);
}
for (const kind of ["input", "submit"]) document.addEventListener(kind, filter);

// -- Forms, which are pages of their own, open in a dialog.

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const code = copy.parentElement.querySelector("code");
    await navigator.clipboard.writeText(code.dataset.whole ?? code.textContent);
    copy.textContent = "copied";
    return;
  }
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  await htmx.ajax("GET", link.href, { source: "#dialog", target: "#dialog", swap: "innerHTML" });
  document.getElementById("dialog").showModal();
});
document.addEventListener("click", ({ target }) => {
  if (target.closest("[data-close]")) target.closest("dialog")?.close();
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
});

// -- Keys.

const rows = () => [...document.querySelectorAll("#page [data-row]")];
const current = () => document.querySelector("#page [data-row][aria-current]");

function step(by) {
  const all = rows(), at = all.indexOf(current());
  const next = all[Math.min(all.length - 1, Math.max(0, at + by))];
  current()?.removeAttribute("aria-current");
  next?.setAttribute("aria-current", "true");
  next?.scrollIntoView({ block: "nearest" });
}

const keys = {
  j: () => step(1),
  k: () => step(-1),
  Enter: () => current()?.querySelector("[data-open]")?.click(),
  x: () => current()?.querySelector("input[type=checkbox]")?.click(),
  y: () => navigator.clipboard.writeText(location.href).then(() => shown("copied")),
  "?": () => document.getElementById("keys").showModal(),
  "g m": () => { location.href = document.querySelector(".mark").href; },
  "g r": () => { location.href = document.querySelectorAll(".top > nav a")[1].href; },
  "g a": () => { location.href = document.querySelectorAll(".top > nav a")[2].href; },
};

let prefix = "";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  // Checkboxes take no letters, and neither does an element of a dialog that has just closed.
  const typing = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select");
  if (typing?.checkVisibility() || document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && event.target.closest("a, button, summary, input")) return;
  const key = prefix + event.key;
  prefix = event.key === "g" ? "g " : "";
  const marked = [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
  if (!keys[key] && !marked) return;
  event.preventDefault();
  if (keys[key]) keys[key]();
  else if (marked.matches("input")) marked.select();
  else marked.click();
});

// -- Relative times are updated.

function relative(seconds) {
  if (seconds < 2) return "now";
  for (const [limit, unit, size] of [[60, "s", 1], [3600, "min", 60], [86400, "h", 3600], [5184000, "d", 86400]]) {
    if (seconds < limit) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
}
setInterval(() => {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const text = relative((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (text && text !== time.textContent) time.textContent = text;
  }
}, 10000);

function enable() {
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}
document.addEventListener("htmx:after:swap", enable);
enable();

// If a picture is wider than the window, scroll to its version.
document.querySelector(".lineage .here")?.scrollIntoView({ block: "nearest", inline: "center" });
