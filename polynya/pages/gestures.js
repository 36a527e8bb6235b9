// Moving a picture in a canvas: mouse, wheel, fingers and keys.

/**
 * Listen to what people do with a canvas. `view` has pan(right, down), zoom(factor, x, y), whole(),
 * tell(x, y) for what is under the pointer, leave(), and perhaps pick(x, y) for a click; all places
 * are in pixels of the canvas.
 */
export function listenTo(canvas, view) {
  const pointers = new Map();
  let travelled = 0;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const ratio = canvas.width / box.width;
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (!pointers.size) travelled = 0;
    pointers.set(event.pointerId, at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    const now = at(event);
    view.tell(...now);
    if (!before) return;
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, now);
    travelled += Math.hypot(before[0] - now[0], before[1] - now[1]);
    if (!other) {
      view.pan(before[0] - now[0], before[1] - now[1]);
      return;
    }
    const far = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
    view.zoom(far(now) / far(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  });
  canvas.addEventListener("pointerup", (event) => {
    pointers.delete(event.pointerId);
    if (!pointers.size && travelled < 6) view.pick?.(...at(event));
  });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => view.leave());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...at(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 0.15 * canvas.width;
    const middle = [canvas.width / 2, canvas.height / 2];
    const actions = {
      ArrowLeft: () => view.pan(-step, 0), ArrowRight: () => view.pan(step, 0),
      ArrowUp: () => view.pan(0, -step), ArrowDown: () => view.pan(0, step),
      "+": () => view.zoom(1.5, ...middle), "=": () => view.zoom(1.5, ...middle),
      "-": () => view.zoom(1 / 1.5, ...middle),
      0: () => view.whole(),
    };
    if (view.pick) actions.Enter = () => view.pick(...middle);
    if (!actions[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    actions[event.key]();
  });
}
