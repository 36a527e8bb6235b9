// Of the page of `polynya report`: dividers over scenes, tabs of scenes, the palette, printing.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("live");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- Dividers: the same layers and place for all scenes, so that scenes can be compared.
  const chosen = { left: "Image", right: "Prediction" };
  let at = 50;
  const stages = [];

  function makeStage(stage) {
    const figures = all("figure[data-layer]", stage);
    const names = figures.map((figure) => figure.dataset.layer);
    const first = figures[0].querySelector("img");
    stage.style.setProperty("--ratio", first.getAttribute("width") / first.getAttribute("height"));
    if (figures.length < 2) {
      figures[0].classList.add("right");
      return;
    }
    const selects = {};
    for (const side of ["left", "right"]) {
      const select = document.createElement("select");
      select.className = `of-${side}`;
      select.setAttribute("aria-label", `Layer on the ${side}`);
      for (const name of names) select.append(new Option(name, name));
      select.addEventListener("change", () => {
        chosen[side] = select.value;
        stages.forEach((one) => one.show());
      });
      selects[side] = select;
    }
    const divider = document.createElement("div");
    divider.className = "divider";
    divider.tabIndex = 0;
    divider.setAttribute("role", "slider");
    divider.setAttribute("aria-label", "Divider between the layers");
    divider.setAttribute("aria-valuemin", 0);
    divider.setAttribute("aria-valuemax", 100);
    stage.append(selects.left, selects.right, divider);

    const show = () => {
      const shown = {
        left: names.includes(chosen.left) ? chosen.left : names[0],
        right: names.includes(chosen.right) ? chosen.right : names[names.length - 1],
      };
      for (const figure of figures) {
        figure.classList.toggle("left", figure.dataset.layer === shown.left);
        figure.classList.toggle("right", figure.dataset.layer === shown.right);
      }
      selects.left.value = shown.left;
      selects.right.value = shown.right;
      stage.style.setProperty("--at", `${at}%`);
      divider.setAttribute("aria-valuenow", Math.round(at));
      divider.setAttribute("aria-valuetext", `${Math.round(at)} % ${shown.left}, then ${shown.right}`);
    };
    const move = (share) => {
      at = Math.min(100, Math.max(0, share));
      show();
    };
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest("select")) return;
      stage.setPointerCapture(event.pointerId);
      divider.focus({ preventScroll: true });
      event.preventDefault();
      drag(event);
    });
    const drag = (event) => {
      const box = stage.getBoundingClientRect();
      move((100 * (event.clientX - box.left)) / box.width);
    };
    stage.addEventListener("pointermove", (event) => {
      if (stage.hasPointerCapture(event.pointerId)) drag(event);
    });
    const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 };
    divider.addEventListener("keydown", (event) => {
      if (event.key in steps) move(at + steps[event.key]);
      else if (event.key === "Home") move(0);
      else if (event.key === "End") move(100);
      else return;
      event.preventDefault();
    });
    stages.push({ show });
    show();
  }

  all(".stage").filter((stage) => stage.querySelector("figure")).forEach(makeStage);

  // --- Scenes: one at a time, chosen by its small picture, by a link of the map, or by an address.
  const lists = all(".scenes").map((box) => {
    const tabs = all(".strip a", box);
    const panels = tabs.map((tab) => document.getElementById(tab.hash.slice(1)));
    const strip = box.querySelector(".strip");
    strip.setAttribute("role", "tablist");
    strip.removeAttribute("tabindex");
    const choose = (number, focus) => {
      tabs.forEach((tab, other) => {
        const is = other === number;
        tab.setAttribute("aria-selected", is);
        tab.tabIndex = is ? 0 : -1;
        panels[other].classList.toggle("away", !is);
      });
      stages.forEach((one) => one.show());
      const tab = tabs[number];
      if (focus) tab.focus({ preventScroll: true });
      strip.scrollTo({ left: tab.offsetLeft - strip.offsetLeft - 60 });
    };
    tabs.forEach((tab, number) => {
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panels[number].id);
      panels[number].setAttribute("role", "tabpanel");
      tab.addEventListener("click", (event) => {
        event.preventDefault();
        choose(number, true);
      });
      tab.addEventListener("keydown", (event) => {
        const last = tabs.length - 1;
        const next = {
          ArrowRight: number === last ? 0 : number + 1, ArrowLeft: number === 0 ? last : number - 1,
          Home: 0, End: last,
        }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        choose(next, true);
      });
    });
    choose(0, false);
    return { panels, choose, box };
  });

  function follow() {
    for (const { panels, choose, box } of lists) {
      const number = panels.findIndex((panel) => `#${panel.id}` === location.hash);
      if (number >= 0) {
        choose(number, false);
        box.scrollIntoView();
      }
    }
  }
  addEventListener("hashchange", follow);
  follow();

  // --- Palette: the colours of labels stand in the palette of their PNG files, at byte 41.
  const sums = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const PALETTE = 33, HEAD = 8;

  function repaint(image, colors) {
    const [kind, text] = image.src.split(",");
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const start = PALETTE + HEAD, view = new DataView(bytes.buffer), size = view.getUint32(PALETTE);
    for (let n = 0; n < colors.length / 2; n++)
      bytes[start + n] = parseInt(colors.slice(2 * n, 2 * n + 2), 16);
    let sum = 0xffffffff;
    for (let n = PALETTE + 4; n < start + size; n++) sum = sums[(sum ^ bytes[n]) & 255] ^ (sum >>> 8);
    view.setUint32(start + size, ~sum >>> 0);
    let made = "";
    for (let n = 0; n < bytes.length; n += 0x8000)
      made += String.fromCharCode(...bytes.subarray(n, n + 0x8000));
    image.src = `${kind},${btoa(made)}`;
  }

  all("#palette input").forEach((input) => {
    input.addEventListener("change", () => {
      root.dataset.palette = input.value;
      all("img[data-safe]").forEach((image) => repaint(image, image.dataset[input.value]));
    });
  });

  // --- Paper shows what is folded away.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    opened.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));
})();
