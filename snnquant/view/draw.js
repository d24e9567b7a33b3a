"use strict";
(() => {
  const cube = document.getElementById("cube");
  if (!cube) return;
  const { page, run } = cube.dataset;
  const height = Number(cube.dataset.height);
  const width = Number(cube.dataset.width);
  const palette = JSON.parse(cube.dataset.palette);
  const find = (id) => document.getElementById(id);

  // --- the run in progress -------------------------------------------------------------------

  let timer = null;

  function link(address, text) {
    const node = document.createElement("a");
    node.href = address;
    node.textContent = text;
    node.rel = "noreferrer noopener";
    return node;
  }

  function show(status) {
    const busy = status.state === "running" || status.state === "stopping";
    find("started").hidden = status.state === "none";
    const text = `Run ${status.name}: ${status.state}`;
    if (find("state").textContent !== text) find("state").textContent = text;
    const output = find("output");
    const follows = output.scrollTop + output.clientHeight >= output.scrollHeight - 4;
    output.textContent = status.output;
    if (follows) output.scrollTop = output.scrollHeight;
    find("stop").hidden = !busy;
    const links = [];
    if (status.page) links.push(link(status.page, "cube"), " ");
    if (status.report) links.push(link(status.report, "report"));
    find("results").replaceChildren(...links);
    clearTimeout(timer);
    if (busy) timer = setTimeout(look, 1000);
  }

  async function look() {
    try {
      show(await ask(page, "started"));
    } catch {
      find("state").textContent = "The server has ended; the run can be resumed";
    }
  }

  async function order(path, body) {
    find("trouble").textContent = "";
    try {
      show(await ask(page, path, body));
    } catch (error) {
      find("trouble").textContent = error.message;
    }
  }

  find("stop").addEventListener("click", () => order("stop", {}));
  if (find("resume")) find("resume").addEventListener("click", () => order(`resume/${run}`, {}));
  look();

  // --- drawing -------------------------------------------------------------------------------

  const drawing = find("drawing");
  if (!drawing) return;
  const picture = find("picture");
  const chosen = find("area").elements.class;
  const key = `areas ${run}`;
  let classes = [];
  let areas = [];
  let corners = [];
  let mark = null;
  try {
    ({ classes, areas } = JSON.parse(sessionStorage.getItem(key)) || { classes, areas });
  } catch {
    sessionStorage.removeItem(key);
  }

  const colour = (name) => palette[classes.indexOf(name) % palette.length];
  const drawable = () => picture.dataset.tool === "draw";
  const points = (list) => list.map(([row, column]) => `${column},${row}`).join(" ");

  function node(name, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    return made;
  }

  function cross([row, column]) {
    const box = picture.getBoundingClientRect();
    const [across, down] = [(6 * width) / box.width, (6 * height) / box.height];
    return `M${column - across},${row}h${2 * across}M${column},${row - down}v${2 * down}`;
  }

  function draw() {
    const shapes = areas.map((area) =>
      node("polygon", { points: points(area.corners), fill: colour(area.class), stroke: colour(area.class) }),
    );
    if (corners.length) {
      const open = mark && drawable() ? [...corners, mark] : corners;
      shapes.push(node("polyline", { points: points(open), stroke: colour(chosen.value) || "#fff" }));
      shapes.push(node("path", { d: corners.map(cross).join("") }));
    }
    if (mark && drawable()) shapes.push(node("path", { d: cross(mark) }));
    drawing.replaceChildren(...shapes);
  }

  function list() {
    const entries = areas.map((area, index) => {
      const entry = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.style.backgroundColor = colour(area.class);
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "Remove";
      remove.setAttribute("aria-label", `Remove area ${index + 1}, ${area.class}`);
      remove.addEventListener("click", () => {
        areas.splice(index, 1);
        changed(`Area ${index + 1} removed`);
      });
      entry.append(swatch, `${area.class}: ${area.corners.length} corners`, remove);
      return entry;
    });
    find("areas").replaceChildren(...entries);
    const last = chosen.value;
    chosen.replaceChildren(...classes.map((name) => new Option(name)));
    if (classes.includes(last)) chosen.value = last;
  }

  function say(text) {
    find("drawn").textContent = text;
  }

  function changed(text) {
    sessionStorage.setItem(key, JSON.stringify({ classes, areas }));
    list();
    draw();
    say(text);
  }

  function add(corner) {
    if (!classes.length) {
      say("Add a class first");
      find("new-class").elements.name.focus();
      return;
    }
    corners.push(corner);
    say(`Corner ${corners.length} at row ${corner[0]}, column ${corner[1]}`);
    draw();
  }

  function close() {
    if (corners.length < 3) {
      say(`An area has three corners or more; this one has ${corners.length}`);
      return;
    }
    areas.push({ class: chosen.value, corners });
    corners = [];
    changed(`Area ${areas.length} of ${chosen.value} closed`);
  }

  function undo() {
    corners.pop();
    say(`${corners.length} corners`);
    draw();
  }

  function placeOf(event) {
    const box = picture.getBoundingClientRect();
    const at = (value, from, size, length) =>
      Math.round(10 * Math.min(length, Math.max(0, ((value - from) / size) * length))) / 10;
    return [at(event.clientY, box.top, box.height, height), at(event.clientX, box.left, box.width, width)];
  }

  function near(event, [row, column]) {
    const box = picture.getBoundingClientRect();
    const down = event.clientY - box.top - (row / height) * box.height;
    const across = event.clientX - box.left - (column / width) * box.width;
    return Math.hypot(down, across) < 10;
  }

  picture.addEventListener("pointerdown", (event) => {
    if (!drawable() || event.button) return;
    if (corners.length > 2 && near(event, corners[0])) close();
    else add((mark = placeOf(event)));
  });
  picture.addEventListener("pointermove", (event) => {
    if (!drawable()) return;
    mark = placeOf(event);
    draw();
  });

  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  picture.addEventListener("keydown", (event) => {
    if (!drawable() || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in moves) {
      const [row, column] = mark ? mark.map(Math.round) : [Math.round(height / 2), Math.round(width / 2)];
      const [down, across] = moves[event.key].map((step) => step * (event.shiftKey ? 10 : 1));
      const within = (value, limit) => Math.min(limit, Math.max(0, value));
      mark = [within(row + down, height), within(column + across, width)];
      say(`Row ${mark[0]}, column ${mark[1]}`);
      draw();
    } else if (event.key === " " && mark) add(mark);
    else if (event.key === "Enter") close();
    else if (event.key === "Backspace") undo();
    else if (event.key === "Escape") {
      corners = [];
      say("Area dropped");
      draw();
    } else return;
    event.preventDefault();
  });

  find("tools").addEventListener("change", (event) => {
    picture.dataset.tool = event.target.value;
    find("look-help").hidden = drawable();
    find("draw-help").hidden = !drawable();
    if (drawable()) find("frame").hidden = true;
    draw();
  });
  find("close-area").addEventListener("click", close);
  find("undo-corner").addEventListener("click", undo);
  find("area").addEventListener("submit", (event) => event.preventDefault());
  find("new-class").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = find("new-class").elements.name;
    const name = field.value.trim().replace(/\s+/g, " ");
    if (!name) return;
    const known = classes.find((other) => other.toLowerCase() === name.toLowerCase());
    if (!known) classes.push(name);
    field.value = "";
    list();
    chosen.value = known || name;
    changed(`Class ${chosen.value}`);
    const tool = find("tools").querySelector("[value=draw]");
    if (!tool.checked) tool.click();
  });
  find("start").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(find("start")));
    for (const name of ["time_steps", "cnn_epochs", "snn_epochs"]) given[name] = Number(given[name]);
    order(`start/${run}`, { ...given, areas });
  });
  window.addEventListener("resize", draw);
  list();
  draw();
})();
