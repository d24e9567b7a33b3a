"use strict";
(() => {
  const $ = (query) => document.querySelector(query);
  const root = document.documentElement;
  root.classList.add("js");

  const theme = $("#theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = getComputedStyle(root).colorScheme === "dark" ||
      (getComputedStyle(root).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = dark ? "light" : "dark";
    theme.setAttribute("aria-pressed", String(!dark));
    document.dispatchEvent(new Event("redraw"));
  });

  for (const table of document.querySelectorAll("table.sort")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "descending" ||
          (!head.hasAttribute("aria-sort") && column === 0);
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falling ? "ascending" : "descending");
        const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
        const sign = falling ? 1 : -1;
        const order = (a, b) => {
          const [x, y] = [value(a), value(b)];
          if (x === "" || y === "") return (x === "") - (y === "");
          return sign * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
        };
        table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
      });
    });
  }

  const store = $("#page-data");
  if (!store) return;
  const data = JSON.parse(store.textContent);
  const { width, height, names, colours } = data;
  const canvas = $("#view"), context = canvas.getContext("2d");
  const left = $("#left"), right = $("#right"), swipe = $("#swipe");
  const view = { zoom: 1, x: 0, y: 0 };
  const pictures = {}, dimmed = new Map(), planes = {};
  let cube = null, selected = null, isolated = 0, box = { scale: 1, left: 0, top: 0 };

  const context2d = (w, h) => {
    const made = document.createElement("canvas");
    [made.width, made.height] = [w, h];
    return made.getContext("2d", { willReadFrequently: true });
  };
  const reds = (image) => {
    const [w, h] = [image.naturalWidth, image.naturalHeight];
    const drawn = context2d(w, h);
    drawn.drawImage(image, 0, 0);
    const rgba = drawn.getImageData(0, 0, w, h).data, found = new Uint8Array(w * h);
    for (let i = 0; i < found.length; i++) found[i] = rgba[4 * i];
    return { values: found, line: w };
  };
  const decoded = async (png) => {
    const image = new Image();
    image.src = "data:image/png;base64," + png;
    await image.decode();
    return reds(image);
  };
  const planeOf = (sheet, layout, k) => {
    const found = new Uint8Array(layout.width * layout.height);
    const top = Math.floor(k / layout.columns) * layout.height, from = (k % layout.columns) * layout.width;
    for (let r = 0; r < layout.height; r++) {
      const start = (top + r) * sheet.line + from;
      found.set(sheet.values.subarray(start, start + layout.width), r * layout.width);
    }
    return found;
  };

  const planeFrom = ({ image, palette }) => {
    const drawn = context2d(width, height), numbers = new Map();
    palette.forEach((colour, number) => numbers.set(parseInt(colour.slice(1), 16), number));
    drawn.drawImage(image, 0, 0);
    const rgba = drawn.getImageData(0, 0, width, height).data, found = new Uint8Array(width * height);
    for (let i = 0; i < found.length; i++) {
      found[i] = numbers.get(rgba[4 * i] << 16 | rgba[4 * i + 1] << 8 | rgba[4 * i + 2]);
    }
    return found;
  };

  const shown = (key) => {
    const picture = pictures[key];
    const plane = planes[picture.plane];
    if (!isolated || !plane) return picture.image;
    const name = key + isolated;
    if (!dimmed.has(name)) {
      const drawn = context2d(width, height);
      drawn.drawImage(picture.image, 0, 0);
      const content = drawn.getImageData(0, 0, width, height), rgba = content.data;
      for (let i = 0; i < plane.length; i++) {
        if (plane[i] !== isolated) {
          for (let c = 0; c < 3; c++) rgba[4 * i + c] = 0.12 * rgba[4 * i + c] + 30;
        }
      }
      drawn.putImageData(content, 0, 0);
      dimmed.set(name, drawn.canvas);
    }
    return dimmed.get(name);
  };

  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    if (!w) return;
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const scale = Math.min(w / width, h / height) * view.zoom;
    const clamp = (at, size, whole) => size >= whole ? (whole - size) / 2 : Math.max(0, Math.min(whole - size, at));
    view.x = clamp(view.x, w / scale, width);
    view.y = clamp(view.y, h / scale, height);
    box = { scale, left: -view.x * scale, top: -view.y * scale };
    context.imageSmoothingEnabled = false;
    const border = Math.round(w * swipe.value / 100);
    const half = (key, from, to) => {
      context.save();
      context.beginPath();
      context.rect(from, 0, to - from, h);
      context.clip();
      context.drawImage(shown(key), box.left, box.top, width * scale, height * scale);
      context.restore();
    };
    half(left.value, 0, border);
    half(right.value, border, w);
    context.fillStyle = "#fff";
    context.fillRect(border - 1, 0, 2, h);
    context.beginPath();
    context.arc(border, h / 2, 9, 0, 7);
    context.fill();
    context.fillStyle = "#14508c";
    context.font = "bold 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText("⇔", border, h / 2 + 4);
    if (selected) mark(scale);
    scaleBar(w, h, scale);
    $("#left-name").style.visibility = border > 60 ? "" : "hidden";
    $("#right-name").style.visibility = w - border > 60 ? "" : "hidden";
    $("#left-name").textContent = pictures[left.value].title;
    $("#right-name").textContent = pictures[right.value].title;
    canvas.style.touchAction = view.zoom > 1 ? "none" : "pan-y";
  };

  const explain = () => {
    const captions = $("#captions");
    captions.replaceChildren();
    for (const key of new Set([left.value, right.value])) {
      const caption = pictures[key].image.parentElement.querySelector("figcaption");
      const line = element("span", "");
      if (caption.childNodes.length > 1) line.append(...caption.cloneNode(true).childNodes);
      captions.append(line);
    }
  };

  const mark = (scale) => {
    const side = Math.max(scale, 9), away = (side - scale) / 2;
    const x = box.left + selected.column * scale - away, y = box.top + selected.row * scale - away;
    context.lineWidth = 4;
    context.strokeStyle = "#000";
    context.strokeRect(x, y, side, side);
    context.lineWidth = 2;
    context.strokeStyle = "#fff";
    context.strokeRect(x, y, side, side);
  };

  const scaleBar = (w, h, scale) => {
    if (!data.metres) return;
    const metres = data.metres * data.step / scale, longest = metres * w / 4;
    const power = 10 ** Math.floor(Math.log10(longest));
    const length = [5, 2, 1].map((f) => f * power).find((l) => l <= longest);
    const dots = length / metres;
    context.fillStyle = "rgb(0 0 0 / .7)";
    context.fillRect(8, h - 34, dots + 16, 27);
    context.fillStyle = "#fff";
    context.fillRect(16, h - 14, dots, 3);
    context.textAlign = "left";
    context.fillText(length >= 1000 ? `${length / 1000} km` : `${length} m`, 16, h - 19);
  };

  const zoomBy = (factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) => {
    const zoom = Math.max(1, Math.min(32, view.zoom * factor));
    const [column, row] = [view.x + x / box.scale, view.y + y / box.scale];
    const scale = box.scale * zoom / view.zoom;
    view.zoom = zoom;
    [view.x, view.y] = [column - x / scale, row - y / scale];
    draw();
  };
  const isolate = (number) => {
    isolated = isolated === number ? 0 : number;
    for (const button of document.querySelectorAll("#legend button")) {
      button.setAttribute("aria-pressed", String(Number(button.value) === isolated));
    }
    dimmed.clear();
    draw();
  };

  const select = (row, column) => {
    selected = {
      row: Math.max(0, Math.min(height - 1, row)),
      column: Math.max(0, Math.min(width - 1, column)),
    };
    const [x, y] = [box.left + selected.column * box.scale, box.top + selected.row * box.scale];
    if (x < 0 || x + box.scale > canvas.clientWidth) view.x = selected.column - canvas.clientWidth / box.scale / 2;
    if (y < 0 || y + box.scale > canvas.clientHeight) view.y = selected.row - canvas.clientHeight / box.scale / 2;
    draw();
    describe();
  };
  const named = (number) => number ? names[number - 1] : "none";
  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };

  const describe = () => {
    const at = selected.row * width + selected.column;
    const [row, column] = [selected.row * data.step, selected.column * data.step];
    const found = planes.main ? planes.main[at] : 0, truth = planes.truth ? planes.truth[at] : 0;
    $("#pixel-place").textContent = `Row ${row}, column ${column}` + coordinates(row, column);
    const facts = $("#pixel-facts");
    facts.replaceChildren();
    const add = (label, text, number) => {
      facts.append(element("dt", label));
      const value = element("dd", text);
      if (number) {
        const swatch = element("span", "", { class: "swatch" });
        swatch.style.background = colours[number - 1];
        value.prepend(swatch);
      }
      facts.append(value);
    };
    if (planes.main) add(data.main, named(found), found);
    if (planes.cnn) add(data.cnn, named(planes.cnn[at]), planes.cnn[at]);
    if (planes.smoothed) add("Smoothed", named(planes.smoothed[at]), planes.smoothed[at]);
    add("Ground truth", truth ? named(truth) : "no label", truth);
    if (truth && found) add("Verdict", truth === found ? "✓ right" : "✗ wrong");
    if (planes.split) add("Split", data.roles[planes.split[at]]);
    scores(at);
    growth(at);
    spectrum(found, truth);
  };

  const coordinates = (row, column) => {
    if (!data.transform) return "";
    const [a, b, c, d, e, f] = data.transform, [u, v] = [column + 0.5, row + 0.5];
    const digits = data.degrees ? 5 : 1;
    const text = (value) => value.toFixed(digits);
    return ` · ${text(a * u + b * v + c)}, ${text(d * u + e * v + f)}`;
  };

  const scores = (at) => {
    const list = $("#pixel-scores");
    list.replaceChildren();
    for (let k = 0; planes[`best${k}`]; k++) {
      const number = planes[`best${k}`][at], share = planes[`share${k}`][at] / 100;
      if (!number) continue;
      const line = element("li", "");
      const bar = element("span", "", { class: "share" }), filled = element("span", "");
      filled.style.width = `${100 * share}%`;
      filled.style.background = colours[number - 1];
      bar.append(filled);
      line.append(element("span", named(number)), bar, element("span", `${Math.round(100 * share)} %`));
      list.append(line);
    }
  };
  const growth = (at) => {
    const chain = [];
    for (let k = 1; planes[`step${k}`]; k++) chain.push(`${k}: ${named(planes[`step${k}`][at])}`);
    $("#pixel-steps").textContent = chain.length > 1 ? `After each step — ${chain.join(" → ")}` : "";
  };

  const spectrum = (found, truth) => {
    const bands = data.x.length, layout = data.cube, lines = [];
    const place = [selected.row * data.step, selected.column * data.step]
      .map((value, k) => Math.min(Math.floor(value / layout.step), (k ? layout.width : layout.height) - 1));
    const values = [];
    for (let b = 0; b < bands; b++) {
      const top = Math.floor(b / layout.columns) * layout.height + place[0];
      const raw = cube.values[top * cube.line + (b % layout.columns) * layout.width + place[1]];
      values.push(data.low + raw * (data.high - data.low) / 255);
    }
    for (const number of new Set([found, truth])) {
      if (number && data.mean[number - 1]) {
        lines.push({ mean: data.mean[number - 1], sd: data.sd[number - 1], colour: colours[number - 1], name: named(number) });
      }
    }
    const all = values.concat(...lines.map((l) => l.mean.flatMap((m, b) => [m - l.sd[b], m + l.sd[b]])));
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const [first, last] = [data.x[0], data.x[bands - 1]];
    const px = (b) => 52 + 338 * (data.x[b] - first) / (last - first || 1);
    const py = (v) => 190 - 178 * (v - low) / (high - low || 1);
    const svg = $("#spectrum"), space = "http://www.w3.org/2000/svg";
    svg.replaceChildren();
    const put = (tag, attributes, text = "") => {
      const made = document.createElementNS(space, tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      made.textContent = text;
      svg.append(made);
    };
    for (const [from, to] of data.gaps) {
      put("rect", { class: "gap", x: px(from), y: 12, width: Math.max(1, px(to) - px(from)), height: 178 });
    }
    for (let k = 0; k <= 4; k++) {
      const value = low + k * (high - low) / 4;
      put("line", { class: "grid", x1: 52, x2: 390, y1: py(value), y2: py(value) });
      put("text", { x: 46, y: py(value) + 4, "text-anchor": "end" }, Math.abs(high) >= 100 ? value.toFixed(0) : value.toPrecision(2));
      const at = Math.round(k * (bands - 1) / 4);
      put("text", { x: px(at), y: 206, "text-anchor": k === 4 ? "end" : k ? "middle" : "start" }, String(Math.round(data.x[at])));
    }
    put("text", { x: 221, y: 224, "text-anchor": "middle" }, data.unit);
    const path = (get) => data.x.map((_, b) => `${px(b).toFixed(1)},${py(get(b)).toFixed(1)}`);
    for (const line of lines) {
      const band = path((b) => line.mean[b] + line.sd[b]).concat(path((b) => line.mean[b] - line.sd[b]).reverse());
      put("polygon", { points: band.join(" "), fill: line.colour, opacity: 0.28 });
      put("polyline", { points: path((b) => line.mean[b]).join(" "), fill: "none", stroke: line.colour, "stroke-width": 2 });
    }
    put("polyline", { class: "own", points: path((b) => values[b]).join(" ") });
    const keys = $("#spectrum-keys");
    keys.replaceChildren(element("li", "this pixel", { class: "own" }));
    for (const line of lines) {
      const key = element("li", `${line.name}, mean ± sd`), swatch = element("span", "", { class: "swatch" });
      swatch.style.background = line.colour;
      key.prepend(swatch);
      keys.append(key);
    }
    svg.setAttribute("aria-label", `Spectrum of the pixel, ${Math.min(...values).toPrecision(3)} to ${Math.max(...values).toPrecision(3)}`);
  };

  const listen = () => {
    let drag = null;
    const local = (event) => {
      const area = canvas.getBoundingClientRect();
      return [event.clientX - area.left, event.clientY - area.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      const [x, y] = local(event);
      const near = Math.abs(x - canvas.clientWidth * swipe.value / 100) < 14;
      drag = { x, y, near, moved: false, from: { ...view } };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const [x, y] = local(event);
      drag.moved ||= Math.hypot(x - drag.x, y - drag.y) > 4;
      if (!drag.moved) return;
      if (drag.near) swipe.value = 100 * x / canvas.clientWidth;
      else [view.x, view.y] = [drag.from.x - (x - drag.x) / box.scale, drag.from.y - (y - drag.y) / box.scale];
      draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      const [x, y] = local(event);
      if (drag && !drag.moved) {
        select(Math.floor((y - box.top) / box.scale), Math.floor((x - box.left) / box.scale));
      }
      drag = null;
    });
    canvas.addEventListener("pointercancel", () => { drag = null; });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return;
      event.preventDefault();
      zoomBy(event.deltaY < 0 ? 1.25 : 0.8, ...local(event));
    }, { passive: false });
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (move && event.shiftKey) {
        view.y += move[0] * height / view.zoom / 8;
        view.x += move[1] * width / view.zoom / 8;
        draw();
      } else if (move) {
        select(selected.row + move[0], selected.column + move[1]);
      } else if (event.key === "+" || event.key === "=") zoomBy(1.5);
      else if (event.key === "-") zoomBy(1 / 1.5);
      else if (event.key === "0") zoomBy(1 / 32);
      else if (event.key === "Escape" && isolated) isolate(isolated);
      else return;
      event.preventDefault();
    });
    swipe.addEventListener("input", draw);
    for (const control of [left, right]) {
      control.addEventListener("input", () => { explain(); draw(); });
    }
    $("#zoom-in").addEventListener("click", () => zoomBy(1.5));
    $("#zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
    $("#zoom-all").addEventListener("click", () => zoomBy(1 / 32));
    for (const button of document.querySelectorAll("#legend button")) {
      button.disabled = !planes.truth;
      button.addEventListener("click", () => isolate(Number(button.value)));
    }
    document.addEventListener("redraw", draw);
    new ResizeObserver(draw).observe(canvas);
  };

  const start = async () => {
    for (const picture of data.pictures) {
      const image = $(`#picture-${picture.key}`);
      await image.decode();
      pictures[picture.key] = { image, ...picture };
      for (const [list, chosen] of [[left, data.left], [right, data.right]]) {
        const option = element("option", picture.title, { value: picture.key });
        option.selected = picture.key === chosen;
        list.append(option);
      }
    }
    const sheet = data.sheet && await decoded(data.sheet.png);
    for (const [name, place] of Object.entries(data.planes)) {
      planes[name] = typeof place === "number" ? planeOf(sheet, data.sheet, place) : planeFrom(pictures[place]);
    }
    cube = await decoded(data.cube.png);
    $("#viewer").hidden = false;
    listen();
    explain();
    draw();
    select(...data.first);
    root.dataset.ready = "true";
  };
  start();
})();
