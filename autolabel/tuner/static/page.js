// The page of `polynya thresholds`: what a person does, and what follows from it.

import { Limits } from "./limits.js";
import { Pane } from "./panes.js";
import { AXES, findRanges, makeTables, toCodes, toHsv } from "./pixels.js";

const $ = (id) => document.getElementById(id);
const POLL = 200;

// The token is in a cookie by now; in the address it could be passed on by mistake.
history.replaceState(null, "", "/");

async function ask(path, content) {
  const options = content === undefined ? {} : {
    method: "POST", body: JSON.stringify(content), headers: { "Content-Type": "application/json" },
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server has ended; start the command again.");
  }
  if (!answer.ok) throw new Error(`The server refused the request (${answer.status}); open its address again.`);
  const told = await answer.json();
  if (told.problem) throw new Error(told.problem);
  return told;
}

function say(text) {
  $("status").textContent = text;
}

const copy = (profile) => structuredClone(profile);

class State {
  constructor(session, progress) {
    this.session = session;
    this.progress = progress;
    this.profile = copy(session.profile);
    this.view = "original";
    this.opacity = 0.45;
    this.linked = true;
    this.version = 0;
    this.panes = [];
    this.byName = new Map(session.classes.map((one) => [one.name, one]));
    this.prepare();
  }

  titleOf(name) {
    return this.byName.get(name)?.title ?? name;
  }

  cssColor(name) {
    return `rgb(${this.byName.get(name).color.join(" ")})`;
  }

  rangeColor(number) {
    return number < this.profile.ranges.length ? this.cssColor(this.profile.ranges[number].class) : "#8a949e";
  }

  hasLabels(view) {
    return view === "original" || view === "filtered";
  }

  /** Tables and colours of the present profile. */
  prepare() {
    this.tables = makeTables(this.profile);
    this.colors = new Uint32Array(256);
    const bytes = new Uint8Array(this.colors.buffer);
    this.profile.ranges.forEach((range, number) => {
      bytes.set([...this.byName.get(range.class).color, 255], 4 * number);
    });
    this.version += 1;
  }

  coarseChanged() {
    later("counts", showCounts);
  }

  viewChanged() {
    later("shares", showShares);
  }
}

const waiting = new Map();

/** Do something once, soon, however often it is asked for meanwhile. */
function later(name, action, delay = 30) {
  if (!waiting.has(name)) {
    waiting.set(name, setTimeout(() => {
      waiting.delete(name);
      action();
    }, delay));
  }
}

let state, limits;

/** Ranges of the whole scenes and their histograms, from the coarsest level. */
function showCounts() {
  const ranges = state.profile.ranges.length + 1; // The last one is for pixels in no range.
  const counts = {};
  for (const axis of Object.keys(AXES)) counts[axis] = { bins: new Uint32Array(ranges * 256), ranges };
  for (const pane of state.panes) {
    if (!state.hasLabels(pane.view)) continue;
    for (const tile of pane.coarse()) {
      pane.label(tile);
      for (const axis of Object.keys(AXES)) {
        const numbers = tile.hsv[axis], bins = counts[axis].bins;
        for (let i = 0; i < numbers.length; i++) {
          if (tile.rgba[4 * i + 3]) bins[Math.min(tile.ranges[i], ranges - 1) * 256 + numbers[i]] += 1;
        }
      }
    }
  }
  limits.drawHistograms(counts);
  later("shares", showShares);
}

function countClasses(pane, tiles) {
  const counts = new Map([...state.byName.keys(), ""].map((name) => [name, 0]));
  const byRange = new Uint32Array(256);
  for (const tile of tiles) {
    pane.label(tile);
    for (let i = 0; i < tile.ranges.length; i++) {
      if (tile.rgba[4 * i + 3]) byRange[tile.ranges[i]] += 1;
    }
  }
  byRange.forEach((count, range) => {
    const name = state.profile.ranges[range]?.class ?? "";
    counts.set(name, counts.get(name) + count);
  });
  return counts;
}

function showShares() {
  const columns = [];
  for (const pane of state.panes) {
    if (!state.hasLabels(pane.view)) continue;
    const name = state.panes.length > 1 ? `${pane.number + 1}: ` : "";
    columns.push([`${name}scene`, countClasses(pane, pane.coarse())]);
    columns.push([`${name}in view`, countClasses(pane, pane.shown ?? [])]);
  }
  const frame = document.createElement("div");
  frame.className = "scroll";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "Shares of the classes");
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const [text] of [["class"], ...columns]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const name of [...state.byName.keys(), ""]) {
    if (!name && !columns.some(([, counts]) => counts.get(""))) continue;
    const row = body.insertRow();
    const title = row.insertCell();
    const mark = document.createElement("i");
    mark.style.background = name ? state.cssColor(name) : "transparent";
    title.append(mark, name ? state.titleOf(name) : "no class");
    for (const [, counts] of columns) {
      const sum = [...counts.values()].reduce((a, b) => a + b, 0);
      const cell = row.insertCell();
      cell.className = "number";
      cell.textContent = sum ? `${(100 * counts.get(name) / sum).toFixed(1)} %` : "";
    }
  }
  frame.append(table);
  $("share-table").replaceChildren(frame);
}

/** What follows when limits have changed. */
function changed() {
  state.prepare();
  for (const pane of state.panes) pane.draw();
  later("counts", showCounts);
  clearTimeout(changed.check);
  changed.check = setTimeout(check, 250);
}

function sent() {
  return { ...state.profile, name: $("name").value.trim(), allow_gaps: $("gaps").checked };
}

async function check() {
  try {
    await ask("check", { profile: { ...sent(), name: "x" } });
    $("problem").textContent = "";
  } catch (error) {
    $("problem").textContent = error.message;
  }
}

function setProfile(profile) {
  state.profile = copy(profile);
  limits.build();
  changed();
}

// === Scenes ===

function showScenes(numbers) {
  for (const pane of state.panes) pane.remove();
  const parent = $("panes");
  parent.classList.toggle("many", numbers.length > 1);
  parent.style.setProperty("--columns", numbers.length > 1 ? 2 : 1);
  state.panes = [];
  for (const number of numbers) state.panes.push(new Pane(parent, number, state, say));
  later("counts", showCounts);
}

function makePicker() {
  const boxes = state.session.scenes.map((scene, number) => {
    const label = document.createElement("label");
    label.className = "toggle";
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = number < (window.innerWidth > 860 ? 2 : 1);
    label.append(box, `${number + 1}: ${scene.name}`);
    $("pick").append(label);
    return box;
  });
  const chosen = () => boxes.flatMap((box, number) => (box.checked ? [number] : []));
  for (const box of boxes) {
    box.addEventListener("change", () => {
      if (!chosen().length) box.checked = true;
      showScenes(chosen());
    });
  }
  $("pick").hidden = boxes.length < 2;
  return chosen;
}

// === Views and progress ===

const TITLES = { original: "Scene", filtered: "Filtered scene", gain: "Shadow gain (black 0, white 1)",
  haze: "Haze opacity (black 0, white 1)" };

function showViews() {
  const names = Object.keys(TITLES).filter((name) => name in state.progress[0].views);
  const select = $("view");
  if ([...select.options].map((one) => one.value).join() === names.join()) return;
  select.replaceChildren(...names.map((name) => new Option(TITLES[name], name)));
  select.value = names.includes(state.view) ? state.view : "original"; // Until the wanted one is there.
}

async function poll() {
  const before = state.progress;
  try {
    state.progress = await ask("progress");
  } catch (error) {
    say(error.message);
    return;
  }
  showViews();
  for (const pane of state.panes) {
    const [old, now] = [before[pane.number], state.progress[pane.number]];
    if (JSON.stringify(old) !== JSON.stringify(now)) pane.refresh(now.run);
  }
  const busy = state.progress.findIndex((one) => one.doing);
  const problem = state.progress.find((one) => one.problem)?.problem;
  $("filter").disabled = busy >= 0;
  if (busy >= 0) {
    const { doing, views } = state.progress[busy];
    const done = Math.min(...Object.values(views));
    const share = done < 1 ? `: ${Math.floor(100 * done)} %` : "";
    say(`${doing}${share} (${state.session.scenes[busy].name})`);
    poll.wasBusy = true;
    setTimeout(poll, POLL);
  } else {
    if (problem) say(problem);
    else if (poll.wasBusy !== false) say("Ready.");
    poll.wasBusy = false;
  }
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    say(error.message);
  }
}

// === Start ===

function listen(chosen) {
  $("opacity").addEventListener("input", () => {
    state.opacity = $("opacity").value / 100;
    for (const pane of state.panes) pane.draw();
  });
  $("view").addEventListener("change", () => {
    state.view = $("view").value;
    for (const pane of state.panes) pane.refresh(pane.run);
    later("counts", showCounts);
  });
  $("link").addEventListener("change", () => { state.linked = $("link").checked; });
  $("gaps").addEventListener("change", check);
  $("reset").addEventListener("click", () => setProfile(state.session.profile));
  $("suggest").addEventListener("click", () => attempt(async () => {
    say("Looking for limits ...");
    const found = await ask("suggest", { scenes: chosen() });
    setProfile(found.profile);
    say(found.said);
  }));
  $("filter").addEventListener("click", () => attempt(async () => {
    await ask("filter", { profile: { ...sent(), name: "x" }, method: $("method").value });
    state.view = $("method").value === "none" ? "original" : "filtered";
    $("view").replaceChildren();
    poll.wasBusy = true;
    await poll();
  }));
  $("save-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const { said } = await ask("save", { profile: sent(), method: $("method").value });
      say(said);
    });
  });
}

async function start() {
  const [session, progress] = await Promise.all([ask("session"), ask("progress")]);
  state = new State(session, progress);
  for (const [name, title] of session.methods) $("method").add(new Option(title, name));
  $("method").value = session.method;
  $("opacity").value = 100 * state.opacity;
  $("gaps").checked = session.profile.allow_gaps;
  $("name").value = session.name;
  limits = new Limits(state, changed);
  const chosen = makePicker();
  showViews();
  showScenes(chosen());
  listen(chosen);
  say("Ready.");
  poll.wasBusy = false;
  await poll();
}

// For tests: the same arithmetic on any pixels.
window.polynya = {
  codes: (rgba, profile) => toCodes(findRanges(toHsv(rgba), rgba, makeTables(profile)), profile,
    state.session.classes, state.session.nodata),
};

await attempt(start);
