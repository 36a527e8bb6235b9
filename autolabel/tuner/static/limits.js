// Histograms of hue, saturation and value, and below them the ranges of the classes, with ends to drag.

import { AXES } from "./pixels.js";

const WRAPS = { hue: true };

export class Limits {
  /** Tracks for `state.profile`; `changed` is called when a person has moved an end. */
  constructor(state, changed) {
    this.state = state;
    this.changed = changed;
    this.canvases = {};
    for (const axis of Object.keys(AXES)) {
      this.canvases[axis] = document.getElementById(`${axis}-histogram`);
    }
    this.build();
  }

  /** Make the tracks again, for another profile. */
  build() {
    this.tracks = [];
    for (const axis of Object.keys(AXES)) {
      const parent = document.getElementById(`${axis}-tracks`);
      parent.replaceChildren();
      this.state.profile.ranges.forEach((range, number) => {
        this.tracks.push(this.makeTrack(parent, axis, range, number));
      });
    }
    this.buildNumbers();
    this.update();
  }

  makeTrack(parent, axis, range, number) {
    const track = document.createElement("div");
    track.className = "track";
    const title = document.createElement("span");
    title.className = "title";
    title.textContent = this.state.titleOf(range.class);
    const bars = [0, 1].map(() => {
      const bar = document.createElement("div");
      bar.className = "bar";
      bar.style.background = this.state.cssColor(range.class);
      track.append(bar);
      return bar;
    });
    const handles = ["low", "high"].map((end, at) => {
      const handle = document.createElement("div");
      handle.className = `handle ${end}`;
      handle.tabIndex = 0;
      handle.setAttribute("role", "slider");
      handle.setAttribute("aria-valuemin", "0");
      handle.setAttribute("aria-valuemax", String(AXES[axis] - 1));
      handle.setAttribute("aria-label",
        `${this.state.titleOf(range.class)}, ${axis}, ${at ? "last" : "first"}, range ${number + 1}`);
      this.listen(handle, track, axis, range, at);
      track.append(handle);
      return handle;
    });
    track.append(title);
    parent.append(track);
    return { axis, range, bars, handles, title };
  }

  listen(handle, track, axis, range, at) {
    const valueAt = (event) => {
      const box = track.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      return Math.round(share * AXES[axis] - at);
    };
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      handle.focus();
      event.preventDefault();
    });
    handle.addEventListener("pointermove", (event) => {
      if (handle.hasPointerCapture(event.pointerId)) this.move(axis, range, at, valueAt(event));
    });
    handle.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 };
      const ends = { Home: 0, End: AXES[axis] - 1 };
      const wanted = ends[event.key] ?? range[axis][at] + (steps[event.key] ?? 0);
      if (!(event.key in steps) && !(event.key in ends)) return;
      event.preventDefault();
      this.move(axis, range, at, wanted);
    });
  }

  /** Move an end of a range; ends of neighbours that touch it move along, if they are linked. */
  move(axis, range, at, wanted) {
    const most = AXES[axis] - 1;
    const before = range[axis][at];
    // With hue as a circle, an end may pass the other.
    const [low, high] = WRAPS[axis] ? [0, most]
      : at ? [range[axis][0], most] : [0, range[axis][1]];
    let value = Math.max(low, Math.min(high, wanted));
    if (Number.isNaN(value) || value === before) return this.update();
    const beside = at ? before + 1 : before - 1;
    const moving = !this.state.linked ? [] : this.state.profile.ranges.filter((other) =>
      other !== range && other[axis][1 - at] === beside && this.touches(axis, range, other));
    for (const other of moving) {
      // A neighbour keeps at least one number.
      if (!WRAPS[axis]) value = at ? Math.min(value, other[axis][1] - 1) : Math.max(value, other[axis][0] + 1);
    }
    range[axis] = range[axis].with(at, value);
    for (const other of moving) {
      other[axis] = other[axis].with(1 - at, Math.max(0, Math.min(most, value + (at ? 1 : -1))));
    }
    this.update();
    return this.changed();
  }

  /** Whether two ranges share colours on the axes other than `axis`. */
  touches(axis, one, other) {
    const numbers = (range, of) => {
      const [low, high] = range[of];
      return low <= high ? [[low, high]] : [[0, high], [low, AXES[of] - 1]];
    };
    return Object.keys(AXES).filter((of) => of !== axis).every((of) =>
      numbers(one, of).some(([a, b]) => numbers(other, of).some(([c, d]) => a <= d && c <= b)));
  }

  /** Put bars, handles and numbers where the ranges are. */
  update() {
    for (const { axis, range, bars, handles, title } of this.tracks) {
      const [low, high] = range[axis];
      // The title stands where no handle is: behind the range, before it, or within.
      const [from, to] = [100 * low / AXES[axis], 100 * (high + 1) / AXES[axis]];
      const isBefore = to > 50 && from > 50;
      title.style.left = isBefore ? "auto" : `calc(${to > 50 ? from : to}% + 14px)`;
      title.style.right = isBefore ? `calc(${100 - from}% + 14px)` : "auto";
      const parts = low <= high ? [[low, high]] : [[low, AXES[axis] - 1], [0, high]];
      bars.forEach((bar, number) => {
        const [from, to] = parts[number] ?? [0, -1];
        bar.style.left = `${100 * from / AXES[axis]}%`;
        bar.style.width = `${100 * Math.max(0, to + 1 - from) / AXES[axis]}%`;
      });
      handles.forEach((handle, at) => {
        handle.style.left = `${100 * (range[axis][at] + at) / AXES[axis]}%`;
        handle.setAttribute("aria-valuenow", String(range[axis][at]));
      });
    }
    for (const { input, axis, range, at } of this.inputs) {
      if (document.activeElement !== input) input.value = String(range[axis][at]);
    }
  }

  // === Numbers ===

  buildNumbers() {
    this.inputs = [];
    const parent = document.getElementById("numbers");
    const frame = document.createElement("div");
    frame.className = "scroll";
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", "Limits as numbers");
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const text of ["Class", "Hue", "Saturation", "Value", ""]) {
      const cell = document.createElement("th");
      cell.textContent = text;
      head.append(cell);
    }
    if (!head.lastChild.textContent) head.lastChild.textContent = "Range";
    const body = table.createTBody();
    this.state.profile.ranges.forEach((range, number) => {
      const row = body.insertRow();
      row.insertCell().textContent = this.state.titleOf(range.class);
      for (const axis of Object.keys(AXES)) row.insertCell().append(...this.makeInputs(axis, range, number));
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Remove";
      button.setAttribute("aria-label", `Remove range ${number + 1}`);
      button.disabled = this.state.profile.ranges.length < 2;
      button.addEventListener("click", () => {
        this.state.profile.ranges.splice(number, 1);
        this.build();
        this.changed();
      });
      row.insertCell().append(button);
    });
    frame.append(table);
    parent.replaceChildren(frame, this.makeAdder());
  }

  makeInputs(axis, range, number) {
    return [0, 1].map((at) => {
      const input = document.createElement("input");
      Object.assign(input, { type: "number", min: 0, max: AXES[axis] - 1 });
      input.setAttribute("aria-label",
        `${this.state.titleOf(range.class)}, range ${number + 1}, ${axis}, ${at ? "last" : "first"}`);
      input.addEventListener("change", () => {
        this.move(axis, range, at, Math.round(Number(input.value)));
        input.value = String(range[axis][at]);
      });
      this.inputs.push({ input, axis, range, at });
      return input;
    });
  }

  makeAdder() {
    const row = document.createElement("div");
    row.className = "row";
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", "Class of a new range");
    for (const one of this.state.session.classes) choice.add(new Option(one.title, one.name));
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Add a range";
    button.disabled = this.state.profile.ranges.length >= this.state.session.most;
    button.addEventListener("click", () => {
      this.state.profile.ranges.push(
        { class: choice.value, hue: [0, 179], saturation: [0, 255], value: [0, 255] });
      this.build();
      this.changed();
    });
    row.append(choice, button);
    return row;
  }

  // === Histograms ===

  /** Draw how many pixels have each hue, saturation and value, in the colours of their classes. */
  drawHistograms(counts) {
    for (const [axis, size] of Object.entries(AXES)) {
      const canvas = this.canvases[axis];
      const context = canvas.getContext("2d");
      const { width, height } = canvas;
      context.clearRect(0, 0, width, height);
      const { bins, ranges } = counts[axis];
      const totals = new Float64Array(size);
      for (let i = 0; i < size; i++) {
        for (let range = 0; range < ranges; range++) totals[i] += bins[range * 256 + i];
      }
      // Roots, so that rare colours can be seen beside the commonest.
      const top = Math.sqrt(Math.max(1, ...totals));
      for (let i = 0; i < size; i++) {
        let done = 0;
        for (let range = 0; range < ranges && totals[i]; range++) {
          const part = bins[range * 256 + i] / totals[i] * Math.sqrt(totals[i]) / top * (height - 4);
          if (!part) continue;
          context.fillStyle = this.state.rangeColor(range);
          context.fillRect(i * width / size, height - done - part, width / size + 0.5, part);
          done += part;
        }
      }
      canvas.setAttribute("aria-label", `Histogram of ${axis}`);
    }
  }
}
