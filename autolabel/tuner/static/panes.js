// A scene in a canvas that pans and zooms: tiles of the level that fits, coarser ones until they come.

import { listenTo } from "./gestures.js";
import { findRanges, toHsv } from "./pixels.js";

const MOST_TILES = 240;
const NEAREST = 16; // Screen pixels for a pixel of the scene, at most.

export class Pane {
  /** A pane for scene `number`; `state` has session, tables, profile, colours, view and opacity. */
  constructor(parent, number, state, say) {
    this.number = number;
    this.state = state;
    this.say = say;
    this.scene = state.session.scenes[number];
    this.tiles = new Map();
    this.pending = new Set();
    this.run = 0;
    const box = document.createElement("div");
    box.className = "pane";
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "map");
    this.canvas.setAttribute("aria-label", `Scene ${this.scene.name} with its label`);
    const name = document.createElement("div");
    name.className = "name";
    name.textContent = (state.session.scenes.length > 1 ? `${number + 1}: ` : "") + this.scene.name;
    this.under = document.createElement("div");
    this.under.className = "under";
    box.append(this.canvas, name, this.under);
    parent.append(box);
    this.box = box;
    listenTo(this.canvas, this);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.canvas);
    this.fit();
    // All of the coarsest level is always here: for the histograms, and to draw at once.
    for (const [row, col] of this.coarseTiles()) this.load(this.scene.coarsest, row, col);
  }

  remove() {
    this.watcher.disconnect();
    this.box.remove();
    this.pending.clear();
    this.gone = true;
  }

  // === Tiles ===

  coarseTiles() {
    const size = this.state.session.tile * 2 ** this.scene.coarsest;
    const found = [];
    for (let row = 0; row * size < this.scene.height; row++) {
      for (let col = 0; col * size < this.scene.width; col++) found.push([row, col]);
    }
    return found;
  }

  /** View whose tiles are shown: the wanted one, or the original until there is such a one. */
  get view() {
    return this.state.progress[this.number].views[this.state.view] === undefined
      ? "original" : this.state.view;
  }

  key(level, row, col) {
    return `${this.view}/${level}/${row}/${col}`;
  }

  async load(level, row, col) {
    const key = this.key(level, row, col);
    if (this.pending.has(key) || this.tiles.get(key)?.whole) return;
    this.pending.add(key);
    const whole = this.state.progress[this.number].views[this.view] >= 1;
    try {
      const answer = await fetch(`tile/${this.number}/${key}`);
      if (!answer.ok) {
        const told = await answer.json().catch(() => ({}));
        throw new Error(told.problem || `The server refused a part of the scene (${answer.status}).`);
      }
      const rgba = new Uint8ClampedArray(await answer.arrayBuffer());
      const size = ["X-Width", "X-Height"].map((name) => Number(answer.headers.get(name)));
      if (this.gone) return;
      this.tiles.delete(key);
      this.tiles.set(key, { rgba, hsv: toHsv(rgba), size, picture: paint(rgba, size), whole, level,
        hasData: rgba.some((byte, i) => i % 4 === 3 && byte) });
      this.forget();
      if (level === this.scene.coarsest) this.state.coarseChanged();
      this.draw();
    } catch (error) {
      this.say(error instanceof TypeError ? "The server has ended; start the command again." : error.message);
    } finally {
      this.pending.delete(key);
    }
  }

  /** Drop the tiles that were not drawn for longest. */
  forget() {
    for (const [key, tile] of this.tiles) {
      if (this.tiles.size <= MOST_TILES) return;
      if (tile.level !== this.scene.coarsest) this.tiles.delete(key);
    }
  }

  /** Ask again for what was not whole, or belongs to an earlier run of the filter. */
  refresh(run) {
    for (const [key, tile] of this.tiles) {
      if (run !== this.run && !key.startsWith("original/")) this.tiles.delete(key);
      else if (!tile.whole && tile.level !== this.scene.coarsest) this.tiles.delete(key);
    }
    this.run = run;
    for (const [row, col] of this.coarseTiles()) this.load(this.scene.coarsest, row, col);
    this.draw();
  }

  /** Tiles of the whole scene at the coarsest level, as far as they are here. */
  coarse() {
    return this.coarseTiles()
      .map(([row, col]) => this.tiles.get(this.key(this.scene.coarsest, row, col)))
      .filter((tile) => tile);
  }

  // === Drawing ===

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio);
    const height = Math.round(this.canvas.clientHeight * ratio);
    if (width === this.canvas.width && height === this.canvas.height) return;
    const isFitted = this.isFitted;
    this.canvas.width = width;
    this.canvas.height = height;
    if (isFitted) this.fit();
    this.draw();
  }

  fit() {
    this.scale = Math.min(this.canvas.width / this.scene.width, this.canvas.height / this.scene.height);
    this.row = this.scene.height / 2;
    this.col = this.scene.width / 2;
    this.isFitted = true;
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      if (!this.gone) this.drawNow();
    });
  }

  drawNow() {
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    const level = Math.max(0, Math.min(this.scene.coarsest, Math.floor(Math.log2(1 / this.scale))));
    const size = this.state.session.tile * 2 ** level;
    const left = this.col - this.canvas.width / 2 / this.scale;
    const top = this.row - this.canvas.height / 2 / this.scale;
    const last = (from, extent, whole) => Math.min(Math.floor((from + extent / this.scale) / size),
      Math.ceil(whole / size) - 1);
    this.shown = [];
    for (let row = Math.max(0, Math.floor(top / size));
      row <= last(top, this.canvas.height, this.scene.height); row++) {
      for (let col = Math.max(0, Math.floor(left / size));
        col <= last(left, this.canvas.width, this.scene.width); col++) {
        this.drawTile(context, level, row, col, left, top);
      }
    }
    this.state.viewChanged();
  }

  drawTile(context, level, row, col, left, top) {
    const edge = this.state.session.tile;
    const step = 2 ** level;
    let key = this.key(level, row, col);
    let tile = this.tiles.get(key);
    if (!tile) this.load(level, row, col);
    // A part of the next coarser tile that is here stands for it.
    let up = 0;
    while (!tile && level + up < this.scene.coarsest) {
      up += 1;
      key = this.key(level + up, row >> up, col >> up);
      tile = this.tiles.get(key);
    }
    if (!tile) return;
    this.tiles.delete(key);
    this.tiles.set(key, tile); // Drawn last, so forgotten last.
    const part = edge / 2 ** up;
    const from = [(col % 2 ** up) * part, (row % 2 ** up) * part];
    const extent = [0, 1].map((axis) => Math.min(part, tile.size[axis] - from[axis]));
    if (extent[0] <= 0 || extent[1] <= 0) return;
    const whole = [this.scene.width, this.scene.height];
    const place = [col, row].map((number, axis) => number * edge * step);
    const until = place.map((start, axis) =>
      Math.min(start + extent[axis] * step * 2 ** up, whole[axis]));
    const at = (x, y) => [Math.round((x - left) * this.scale), Math.round((y - top) * this.scale)];
    const [x0, y0] = at(...place), [x1, y1] = at(...until);
    const where = [...from, ...extent, x0, y0, x1 - x0, y1 - y0];
    context.drawImage(tile.picture, ...where);
    if (up === 0) this.shown.push(tile);
    if (this.state.hasLabels(this.view) && this.state.opacity > 0) {
      this.label(tile);
      context.globalAlpha = this.state.opacity;
      context.drawImage(tile.overlay, ...where);
      context.globalAlpha = 1;
    }
    if (!this.marked && tile.hasData) {
      this.marked = true;
      performance.mark(`first picture ${this.number}`);
    }
  }

  /** Find the ranges of a tile's pixels under the present limits, and paint them. */
  label(tile) {
    if (tile.version === this.state.version) return;
    tile.ranges = findRanges(tile.hsv, tile.rgba, this.state.tables);
    const colors = this.state.colors;
    const pixels = new Uint32Array(tile.ranges.length);
    for (let i = 0; i < pixels.length; i++) pixels[i] = colors[tile.ranges[i]];
    tile.overlay = paint(new Uint8ClampedArray(pixels.buffer), tile.size, tile.overlay);
    tile.version = this.state.version;
  }

  // === Moving ===

  moved(action) {
    action();
    this.isFitted = false;
    const least = Math.min(this.canvas.width / this.scene.width, this.canvas.height / this.scene.height);
    this.scale = Math.min(NEAREST, Math.max(least * 0.8, this.scale));
    this.row = Math.min(this.scene.height, Math.max(0, this.row));
    this.col = Math.min(this.scene.width, Math.max(0, this.col));
    this.draw();
  }

  /** Zoom by a factor about a place of the canvas. */
  zoom(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    this.moved(() => {
      const before = this.place(x, y);
      const least = Math.min(this.canvas.width / this.scene.width, this.canvas.height / this.scene.height);
      this.scale = Math.min(NEAREST, Math.max(least * 0.8, this.scale * factor));
      const after = this.place(x, y);
      this.col += before[0] - after[0];
      this.row += before[1] - after[1];
    });
  }

  pan(right, down) {
    this.moved(() => {
      this.col += right / this.scale;
      this.row += down / this.scale;
    });
  }

  /** Column and row of the scene at a place of the canvas. */
  place(x, y) {
    return [this.col + (x - this.canvas.width / 2) / this.scale,
      this.row + (y - this.canvas.height / 2) / this.scale];
  }

  /** All of the scene in the canvas. */
  whole() {
    this.fit();
    this.draw();
  }

  leave() {
    this.under.textContent = "";
  }

  /** Say what is under the pointer. */
  tell(x, y) {
    const [col, row] = this.place(x, y).map(Math.floor);
    this.under.textContent = this.describe(row, col);
  }

  describe(row, col) {
    if (row < 0 || col < 0 || row >= this.scene.height || col >= this.scene.width) return "";
    const edge = this.state.session.tile;
    for (let level = 0; level <= this.scene.coarsest; level++) {
      const [r, c] = [row >> level, col >> level];
      const tile = this.tiles.get(this.key(level, Math.floor(r / edge), Math.floor(c / edge)));
      if (!tile) continue;
      const i = (r % edge) * tile.size[0] + (c % edge);
      const near = level ? `, of ${2 ** level} x ${2 ** level} pixels` : "";
      const place = `row ${row}, column ${col}${near}: `;
      if (!tile.rgba[4 * i + 3]) return `${place}no data`;
      if (!this.state.hasLabels(this.view)) return `${place}${(tile.rgba[4 * i] / 255).toFixed(2)}`;
      this.label(tile);
      const { hue, saturation, value } = tile.hsv;
      const range = this.state.profile.ranges[tile.ranges[i]];
      const title = range ? this.state.titleOf(range.class) : "no class";
      return `${place}H ${hue[i]} S ${saturation[i]} V ${value[i]}, ${title}`;
    }
    return "";
  }
}

function paint(rgba, size, canvas = document.createElement("canvas")) {
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  canvas.getContext("2d").putImageData(new ImageData(rgba, ...size), 0, 0);
  return canvas;
}
