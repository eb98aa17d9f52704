// Places a signature's box on a page that is shown (preview.js). The form's fields are the truth: the
// box is drawn from them, and whatever moves it writes them.

const point = 72 / 25.4; // a millimetre in points
const least = { width: 10, height: 5 };

document.querySelectorAll("form[data-place]").forEach((form) => {
  const el = form.querySelector("[data-preview]");
  const box = form.querySelector("[data-box]");
  const text = box.querySelector("[data-box-text]");
  const size = box.querySelector("[data-box-size]");
  const here = form.querySelector("[data-box-here]");
  const says = form.querySelector("[data-box-says]");
  const { looks, pens, time } = JSON.parse(form.dataset.place);
  const p = el.preview;
  const field = (name) => form.elements[name];
  const number = (name) => parseFloat(field(name).value.replace(",", ".")) || 0;
  const page = () => Math.round(number("page")) || 1;
  const onPage = () => field("where").value === "page";

  // In millimetres, as the fields have it.
  const at = () => ({ x: number("x"), y: number("y"), width: number("width"), height: number("height") });
  const sheet = () => ({ width: p.size.width / point, height: p.size.height / point });
  const pixels = () => p.viewport.width / p.size.width * point; // of a millimetre

  // place writes the fields; the box stays on the sheet.
  function place(b) {
    const s = sheet();
    b.width = Math.min(Math.max(b.width, least.width), s.width);
    b.height = Math.min(Math.max(b.height, least.height), s.height);
    b.x = Math.min(Math.max(b.x, 0), s.width - b.width);
    b.y = Math.min(Math.max(b.y, 0), s.height - b.height);
    // Rounded down: what is rounded up could stand beyond the edge.
    for (const name of ["x", "y", "width", "height"]) field(name).value = String(Math.floor(b[name] * 10 + 0.001) / 10);
    draw();
  }

  function draw() {
    if (!p.viewport) return;
    const shown = onPage() && p.number === page();
    box.hidden = !shown;
    if (here) here.hidden = !onPage() || p.number === page();
    if (!shown) return;
    const b = at(), k = pixels();
    box.style.left = `${b.x * k}px`;
    box.style.width = `${b.width * k}px`;
    box.style.height = `${b.height * k}px`;
    box.style.top = `${p.viewport.height - (b.y + b.height) * k}px`;
    write(b);
  }

  function tell() {
    says.textContent = form.dataset.moved.replace("{page}", page()).replace("{x}", field("x").value).replace("{y}", field("y").value);
  }

  // write sets what the signature will say, as large as fits.
  function write(b) {
    const look = looks.find((l) => l.name === field("template").value) ?? looks[0];
    const pen = pens[field("credential").value] ?? { Name: "", Serial: "" };
    const values = { reason: field("reason").value, location: field("location").value, serial: pen.Serial };
    const line = (kind, words) => {
      const d = document.createElement("span");
      d.className = kind === "name" ? "box-name" : "";
      d.textContent = words;
      return d;
    };
    const lines = [];
    for (const { kind, text: words } of look.lines) {
      if (kind === "name") lines.push(line(kind, pen.Name));
      else if (kind === "title") lines.push(line(kind, words));
      else if (kind === "time") lines.push(line(kind, time));
      else if (values[kind]) lines.push(line(kind, `${words}: ${values[kind]}`));
    }
    box.dataset.look = look.style;
    text.replaceChildren(...lines);
    const most = 12 / point * pixels(); // pixels of the largest type
    for (let n = most; n > 2; n *= 0.93) {
      text.style.fontSize = `${n}px`;
      if (text.scrollHeight <= text.clientHeight + 1 && text.scrollWidth <= text.clientWidth + 1) break;
    }
    size.title = `${b.width} × ${b.height} mm`;
  }

  // Dragging: by the corner the size, else the place. The upper left corner of the box stays when
  // its size changes.
  box.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    e.preventDefault();
    box.focus({ preventScroll: true });
    const sizing = e.target === size;
    const from = { x: e.clientX, y: e.clientY, ...{ b: at() } };
    box.setPointerCapture(e.pointerId);
    box.classList.add("moving");
    const move = (m) => {
      const k = pixels(), dx = (m.clientX - from.x) / k, dy = (m.clientY - from.y) / k, s = sheet();
      const b = { ...from.b };
      if (sizing) {
        const top = b.y + b.height;
        b.width = Math.min(b.width + dx, s.width - b.x);
        b.height = Math.max(least.height, Math.min(b.height + dy, top));
        b.y = top - b.height;
      } else {
        b.x += dx;
        b.y -= dy;
      }
      place(b);
    };
    const end = () => {
      box.removeEventListener("pointermove", move);
      box.removeEventListener("pointerup", end);
      box.removeEventListener("pointercancel", end);
      box.classList.remove("moving");
      tell();
    };
    box.addEventListener("pointermove", move);
    box.addEventListener("pointerup", end);
    box.addEventListener("pointercancel", end);
  });

  // Arrows: a millimetre, ten with Ctrl or Alt; with Shift the size.
  box.addEventListener("keydown", (e) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
    if (!way || e.metaKey) return;
    e.preventDefault();
    e.stopPropagation();
    const far = e.ctrlKey || e.altKey ? 10 : 1;
    const [dx, dy] = way.map((n) => n * far);
    const b = at();
    if (e.shiftKey) {
      const height = Math.max(least.height, Math.min(b.height - dy, b.y + b.height));
      place({ ...b, width: b.width + dx, y: b.y + b.height - height, height });
    } else {
      place({ ...b, x: b.x + dx, y: b.y + dy });
    }
    tell();
  });

  // Where the page is clicked or tapped the box goes, with its middle.
  p.sheet.addEventListener("click", (e) => {
    if (!onPage() || !p.viewport || box.contains(e.target)) return;
    const r = p.sheet.getBoundingClientRect(), k = pixels(), b = at();
    field("page").value = String(p.number);
    place({ ...b, x: (e.clientX - r.left) / k - b.width / 2, y: (p.viewport.height - (e.clientY - r.top)) / k - b.height / 2 });
    tell();
  });
  here?.addEventListener("click", () => {
    field("page").value = String(p.number);
    place(at());
    box.focus({ preventScroll: true });
    tell();
  });

  form.addEventListener("input", draw);
  form.addEventListener("change", (e) => {
    if (!p.viewport) return;
    if (["x", "y", "width", "height"].includes(e.target.name) && p.number === page()) place(at());
    if (e.target.name === "page") {
      field("page").value = String(Math.min(Math.max(page(), 1), p.count));
      p.show(page());
    }
    draw();
  });
  el.addEventListener("preview-shown", () => {
    if (onPage() && p.number === page()) place(at());
    else draw();
  });
  el.dataset.first = page();
});
