"use strict";

// Also for the scripts after this one. With a body it is a POST.
async function ask(page, path, body) {
  const headers = { "Content-Type": "application/json" };
  const options = body === undefined ? {} : { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(`${page}/${path}`, options);
  const content = await response.json();
  if (!response.ok) throw new Error(content.error);
  return content;
}

(() => {
  const cube = document.getElementById("cube");
  if (!cube) return;
  const { page, run } = cube.dataset;
  const height = Number(cube.dataset.height);
  const width = Number(cube.dataset.width);
  const classes = JSON.parse(cube.dataset.classes);
  const find = (id) => document.getElementById(id);
  const picture = find("picture");
  const frame = find("frame");
  const overlay = find("overlay");
  const fields = { bands: find("bands"), pixel: find("pixel"), rectangle: find("rectangle") };

  function guarded(work) {
    return async () => {
      find("message").textContent = "";
      try {
        await work();
      } catch (error) {
        find("message").textContent = error.message;
      }
    };
  }

  function svg(name, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  const showSpectrum = guarded(async () => {
    const query = new URLSearchParams(new FormData(fields.pixel));
    const found = await ask(page, `spectrum/${run}?${query}`);
    const values = found.values;
    const across = found.wavelengths_nm || values.map((_, band) => band);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const [first, last] = [Math.min(...across), Math.max(...across)];
    const x = (value) => 50 + (400 * (value - first)) / (last - first || 1);
    const y = (value) => 205 - (190 * (value - low)) / (high - low || 1);
    const points = values.map((value, band) => `${x(across[band]).toFixed(1)},${y(value).toFixed(1)}`);
    const unit = found.wavelengths_nm ? "nm" : "band";
    find("spectrum").replaceChildren(
      svg("polyline", { points: points.join(" ") }),
      svg("text", { x: 4, y: 20 }, high.toPrecision(3)),
      svg("text", { x: 4, y: 208 }, low.toPrecision(3)),
      svg("text", { x: 50, y: 230 }, `${Math.round(first)}`),
      svg("text", { x: 450, y: 230, "text-anchor": "end" }, `${Math.round(last)} ${unit}`),
    );
    const label = found.has_data ? found.label || "no label" : "no data";
    find("spectrum-text").textContent = `Row ${query.get("row")}, column ${query.get("column")}: ${label}`;
  });

  const classify = guarded(async () => {
    const given = Object.fromEntries(new FormData(fields.rectangle));
    find("message").textContent = "Classifying…";
    const found = await ask(page, `classes/${run}`, given);
    const context = overlay.getContext("2d");
    context.clearRect(0, 0, width, height);
    const counts = new Map();
    found.classes.forEach((row, down) =>
      row.forEach((number, right) => {
        if (number === 0) return;
        counts.set(number, (counts.get(number) || 0) + 1);
        context.fillStyle = classes[number - 1][1];
        context.fillRect(Number(given.left) + right, Number(given.top) + down, 1, 1);
      }),
    );
    find("message").textContent = `Classes by ${given.network}, before smoothing`;
    const entries = [...counts].sort((a, b) => b[1] - a[1]).map(([number, count]) => {
      const entry = document.createElement("li");
      const colour = document.createElement("span");
      colour.style.backgroundColor = classes[number - 1][1];
      entry.append(colour, `${classes[number - 1][0]}: ${count}`);
      return entry;
    });
    find("legend").replaceChildren(...entries);
  });

  function pixelAt(event) {
    const box = picture.getBoundingClientRect();
    const at = (value, start, size, length) =>
      Math.min(length - 1, Math.max(0, Math.floor(((value - start) / size) * length)));
    return [at(event.clientY, box.top, box.height, height), at(event.clientX, box.left, box.width, width)];
  }

  function drawn(start, end) {
    const [top, left] = [Math.min(start[0], end[0]), Math.min(start[1], end[1])];
    const [bottom, right] = [Math.max(start[0], end[0]) + 1, Math.max(start[1], end[1]) + 1];
    frame.hidden = false;
    frame.style.top = `${(100 * top) / height}%`;
    frame.style.left = `${(100 * left) / width}%`;
    frame.style.height = `${(100 * (bottom - top)) / height}%`;
    frame.style.width = `${(100 * (right - left)) / width}%`;
    return { top, bottom, left, right };
  }

  function fill(form, values) {
    for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
  }

  let start = null;
  picture.addEventListener("pointerdown", (event) => {
    if (picture.dataset.tool === "draw") return;
    event.preventDefault();
    picture.setPointerCapture(event.pointerId);
    start = pixelAt(event);
  });
  picture.addEventListener("pointermove", (event) => {
    if (start) drawn(start, pixelAt(event));
  });
  picture.addEventListener("pointerup", (event) => {
    if (!start) return;
    const end = pixelAt(event);
    if (start[0] === end[0] && start[1] === end[1]) {
      frame.hidden = true;
      fill(fields.pixel, { row: end[0], column: end[1] });
      showSpectrum();
    } else if (fields.rectangle) {
      fill(fields.rectangle, drawn(start, end));
      classify();
    }
    start = null;
  });
  picture.addEventListener("pointercancel", () => {
    start = null;
  });

  function submitted(form, work) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      work();
    });
  }
  submitted(fields.pixel, showSpectrum);
  if (fields.rectangle) submitted(fields.rectangle, classify);
  submitted(fields.bands, () => {
    find("false-colour").src = `${page}/bands/${run}?${new URLSearchParams(new FormData(fields.bands))}`;
  });
  showSpectrum();
})();
