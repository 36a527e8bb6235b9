// The page of `polynya serve`: tiles of maps in a canvas, their legend, the values of a place.

import { listenTo } from "./gestures.js";

const MOST_TILES = 500;

// The token is in a cookie by now; in the address it could be passed on by mistake.
history.replaceState(null, "", location.pathname);

const find = (name) => document.querySelector(`#${name}`);
const make = (name, text = "") => Object.assign(document.createElement(name), { textContent: text });
const say = (text) => { find("status").textContent = text; };

class View {
  constructor(canvas, session) {
    this.canvas = canvas;
    this.session = session;
    this.tiles = new Map();
    this.waiting = 0;
    this.shown = new Set(session.maps.map((map) => map.id));
    this.opacity = 1;
    this.layer = session.layers[0].id;
    this.project(session.projection);
    listenTo(canvas, this);
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  // === What is shown ===

  project(name) {
    this.set = this.session.sets.find((set) => set.name === name);
    this.tiles.clear();
    this.marked = null;
    this.fit();
    this.draw();
  }

  maps() {
    return this.session.maps.filter((map) =>
      this.shown.has(map.id) && map.layers.includes(this.layer) && map.extents[this.set.name]);
  }

  /** Extent of all maps that have a place in this projection. */
  extent() {
    const boxes = this.session.maps.map((map) => map.extents[this.set.name]).filter((box) => box);
    const level = this.set.levels[0];
    const edge = this.set.tile * level.pixel;
    if (!boxes.length) {
      return [level.left, level.top - level.rows * edge, level.left + level.columns * edge, level.top];
    }
    return [0, 1, 2, 3].map((side) =>
      Math[side < 2 ? "min" : "max"](...boxes.map((box) => box[side])));
  }

  fit() {
    const [left, bottom, right, top] = this.extent();
    this.x = (left + right) / 2;
    this.y = (bottom + top) / 2;
    this.pixel = 1.04 * Math.max((right - left) / this.canvas.width, (top - bottom) / this.canvas.height);
    this.isFitted = true;
  }

  whole() {
    this.fit();
    this.draw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    if (this.isFitted) this.fit();
    this.draw();
  }

  // === Moving: sizes in units of the projection ===

  pan(right, down) {
    this.x += right * this.pixel;
    this.y -= down * this.pixel;
    this.isFitted = false;
    this.draw();
  }

  zoom(factor, x, y) {
    const [before, levels] = [this.place(x, y), this.set.levels];
    const finest = levels[levels.length - 1].pixel / 4;
    this.pixel = Math.min(levels[0].pixel * 2, Math.max(finest, this.pixel / factor));
    const after = this.place(x, y);
    this.x += before[0] - after[0];
    this.y += before[1] - after[1];
    this.isFitted = false;
    this.draw();
  }

  place(x, y) {
    return [this.x + (x - this.canvas.width / 2) * this.pixel,
      this.y - (y - this.canvas.height / 2) * this.pixel];
  }

  tell() {}

  leave() {}

  async pick(x, y) {
    const place = this.place(x, y);
    this.marked = place;
    this.draw();
    try {
      const answer = await fetch(`values/${this.set.name}?x=${place[0]}&y=${place[1]}`);
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.problem || `The server refused (${answer.status}).`);
      showValues(found, this.shown);
    } catch (error) {
      say(error instanceof TypeError ? "The server has ended; start the command again." : error.message);
    }
  }

  // === Drawing ===

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.drawNow();
    });
  }

  drawNow() {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.imageSmoothingEnabled = false;
    // The coarsest level that is at least as fine as the screen.
    const at = this.set.levels.findIndex((level) => level.pixel <= this.pixel * 1.001);
    const number = at < 0 ? this.set.levels.length - 1 : at;
    context.globalAlpha = this.opacity;
    for (const map of this.maps()) this.drawMap(context, map, number);
    context.globalAlpha = 1;
    if (this.marked) this.drawMark(context);
    drawScale(this.pixel * (this.canvas.width / this.canvas.clientWidth), this.set.crs);
    this.forget();
    find("view").dataset.waiting = this.waiting;
  }

  drawMap(context, map, number) {
    const level = this.set.levels[number];
    const edge = this.set.tile * level.pixel;
    const [left, top] = this.place(0, 0);
    const [right, bottom] = this.place(this.canvas.width, this.canvas.height);
    const [west, south, east, north] = map.extents[this.set.name];
    const first = [Math.max(left, west), Math.min(top, north)];
    const last = [Math.min(right, east), Math.max(bottom, south)];
    if (first[0] >= last[0] || first[1] <= last[1]) return;
    const column = (x) => Math.min(level.columns - 1, Math.max(0, Math.floor((x - level.left) / edge)));
    const row = (y) => Math.min(level.rows - 1, Math.max(0, Math.floor((level.top - y) / edge)));
    for (let r = row(first[1]); r <= row(last[1]); r++) {
      for (let c = column(first[0]); c <= column(last[0]); c++) this.drawTile(context, map, number, c, r);
    }
  }

  drawTile(context, map, number, column, row) {
    let tile = this.tile(map, number, column, row, true);
    // A part of the next coarser tile that is here stands for it.
    let up = 0;
    while (!tile?.picture && number - up > 0) {
      if (tile?.isEmpty) return;
      up += 1;
      tile = this.tile(map, number - up, column >> up, row >> up, false);
    }
    if (!tile?.picture) return;
    const level = this.set.levels[number];
    const edge = this.set.tile * level.pixel;
    const part = this.set.tile / 2 ** up;
    const from = [(column % 2 ** up) * part, (row % 2 ** up) * part];
    const at = (x, y) => [
      Math.round((x - this.x) / this.pixel + this.canvas.width / 2),
      Math.round((this.y - y) / this.pixel + this.canvas.height / 2)];
    const [x0, y0] = at(level.left + column * edge, level.top - row * edge);
    const [x1, y1] = at(level.left + (column + 1) * edge, level.top - (row + 1) * edge);
    context.drawImage(tile.picture, ...from, part, part, x0, y0, x1 - x0, y1 - y0);
  }

  tile(map, number, column, row, wanted) {
    const key = `${map.id}/${this.layer}/tiles/${this.set.name}/${this.set.levels[number].id}/${column}/${row}`;
    let tile = this.tiles.get(key);
    if (!tile && wanted) {
      tile = {};
      this.load(key, tile);
    }
    if (tile) {
      this.tiles.delete(key);
      this.tiles.set(key, tile); // Asked for last, so forgotten last.
    }
    return tile;
  }

  async load(key, tile) {
    this.waiting += 1;
    try {
      const answer = await fetch(`maps/${key}.png?tilesize=${this.set.tile}`);
      if (!answer.ok) throw new Error(`The server refused a tile (${answer.status}).`);
      tile.picture = await createImageBitmap(await answer.blob());
    } catch (error) {
      tile.isEmpty = true;
      say(error instanceof TypeError ? "The server has ended; start the command again." : error.message);
    }
    this.waiting -= 1;
    this.draw();
  }

  /** Drop the tiles that were not drawn for longest. */
  forget() {
    for (const [key, tile] of this.tiles) {
      if (this.tiles.size <= MOST_TILES) return;
      tile.picture?.close();
      this.tiles.delete(key);
    }
  }

  drawMark(context) {
    const x = (this.marked[0] - this.x) / this.pixel + this.canvas.width / 2;
    const y = (this.y - this.marked[1]) / this.pixel + this.canvas.height / 2;
    for (const [color, width] of [["#000", 5], ["#fff", 2]]) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, 8, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}

/** A bar of a round length, in the units of the projection. */
function drawScale(pixel, crs) {
  const most = 140 * pixel;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((times) => times * power).find((one) => one <= most) ?? power;
  const bar = make("i");
  bar.style.width = `${length / pixel}px`;
  const text = length >= 1000 ? `${length / 1000} km` : `${length} m`;
  find("scale").replaceChildren(make("span", crs === "EPSG:3857" ? `${text} on the map` : text), bar);
}

function showValues(found, shown) {
  const parts = [];
  if (found.place) {
    const [lon, lat] = found.place;
    const side = (value, names) => `${Math.abs(value).toFixed(4)}° ${names[value < 0 ? 1 : 0]}`;
    parts.push(make("p", `${side(lat, "NS")}, ${side(lon, "EW")}`));
  }
  const maps = found.maps.filter((map) => shown.has(map.id));
  for (const map of maps) {
    parts.push(make("h3", map.title));
    const list = make("dl");
    const { labels, ...rest } = map.values;
    const pairs = [["Class", labels.join(", ") || "no data"], ...Object.entries(rest)];
    for (const [name, value] of pairs) list.append(make("dt", name), make("dd", String(value)));
    parts.push(list);
  }
  if (!maps.length) parts.push(make("p", "No map here."));
  find("values").replaceChildren(...parts);
}

function showLegend(layer) {
  find("legend").replaceChildren(...layer.legend.map(([color, title]) => {
    const entry = make("li");
    const patch = make("i");
    patch.style.background = color;
    entry.append(patch, title);
    return entry;
  }));
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => Object.assign(make("option", text), { value })));
  select.value = chosen;
}

async function start() {
  const answer = await fetch("session");
  if (!answer.ok) throw new Error(`The server refused (${answer.status}).`);
  const session = await answer.json();
  const view = new View(find("view"), session);
  fill(find("layer"), session.layers.map((layer) => [layer.id, layer.title]), view.layer);
  fill(find("projection"), session.sets.map((set) => [set.name, set.title]), view.set.name);
  showLegend(session.layers[0]);
  find("layer").addEventListener("change", (event) => {
    view.layer = event.target.value;
    showLegend(session.layers.find((layer) => layer.id === view.layer));
    view.draw();
  });
  find("projection").addEventListener("change", (event) => view.project(event.target.value));
  find("opacity").addEventListener("input", (event) => {
    view.opacity = event.target.value / 100;
    view.draw();
  });
  find("maps").replaceChildren(...session.maps.map((map) => {
    const label = make("label");
    const box = Object.assign(make("input"), { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      view.shown[box.checked ? "add" : "delete"](map.id);
      view.draw();
    });
    label.append(box, map.title);
    return label;
  }));
  find("values").replaceChildren(make("p", "Click on the map."));
  say("Ready.");
}

start().catch((error) => say(error.message));
