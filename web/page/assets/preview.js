// Shows a PDF in the page, one sheet at a time, on a canvas. Nothing in the PDF runs, and none of its
// links can be followed; its text is there for those who hear the page.
//
// To use it: put @page.Preview(page.PDF{URL: …, Name: …}) into a template and "preview.js" into
// Frame.Scripts. Nothing is loaded before its button is pressed (PDF{Open: true}: before it is seen).
// Without scripts its link opens the PDF. A script may, too:
//
//   import { preview } from …            or, without an import, el.preview once the module has run
//   const p = preview(el);               el is the [data-preview]; the same p each time
//   await p.open(source);                source: an address, or a Blob (a file that was dropped); none: data-preview
//   await p.show(3);                     turns to a sheet, from 1; p.number, p.count say where it is
//   el.dataset.first                     the sheet that is shown first, if not 1
//   p.sheet                              an element as large as the sheet, for things that stand on it (position: absolute)
//   p.toPDF(x, y), p.fromPDF(x, y)       between pixels from the sheet's top left corner and points of the PDF
//   p.size                               of the sheet as it is shown, in points: { width, height }
//   el.addEventListener("preview-shown", f)    after a sheet, or another size of it, was drawn
//   el.addEventListener("preview-closed", f)
//   el.addEventListener("preview-failed", f)   detail: "answer", "password" or "unreadable"

const steps = [1, 1.25, 1.5, 2, 3, 4];
const mostPixels = 16 << 20; // of a canvas: phones refuse more

class Preview {
  constructor(el) {
    this.el = el;
    this.at = (name) => el.querySelector(`[data-preview-${name}]`);
    this.sheet = this.at("sheet");
    this.canvas = this.sheet.querySelector("canvas");
    this.view = this.at("view");
    this.number = 1;
    this.count = 0;
    this.step = 0;
    this.turn = 0; // what was asked for since makes an answer void
    for (const [name, f] of Object.entries({
      open: () => this.open(), close: () => this.close(), back: () => this.show(this.number - 1), next: () => this.show(this.number + 1),
      in: () => this.zoom(1), out: () => this.zoom(-1),
    })) this.at(name)?.addEventListener("click", f);
    this.at("sheets").addEventListener("keydown", (e) => {
      const to = { PageDown: this.number + 1, PageUp: this.number - 1, Home: 1, End: this.count }[e.key];
      if (!to || e.target !== e.currentTarget) return;
      e.preventDefault();
      this.show(to);
    });
    let width = 0;
    new ResizeObserver(() => {
      const w = this.at("sheets").clientWidth;
      if (this.pdf && w && w !== width) this.draw();
      width = w;
    }).observe(this.at("sheets"));
    if ("open" in el.dataset) {
      const seen = new IntersectionObserver((all) => {
        if (!all.some((e) => e.isIntersecting)) return;
        seen.disconnect();
        this.open();
      }, { rootMargin: "200px" });
      seen.observe(el);
    }
  }

  async open(source = this.el.dataset.preview) {
    const turn = ++this.turn;
    this.say("");
    const button = this.at("open");
    button?.classList.add("busy");
    this.el.setAttribute("aria-busy", "true");
    try {
      const [lib, data] = await Promise.all([library(this.el), bytes(source)]);
      const task = lib.getDocument({ data, isEvalSupported: false, useWasm: false, wasmUrl: this.el.dataset.pictures, enableXfa: false, useWorkerFetch: false, stopAtErrors: false, verbosity: 0 });
      const pdf = await task.promise;
      if (turn !== this.turn) {
        task.destroy();
        return;
      }
      this.task?.destroy();
      [this.task, this.pdf, this.count, this.step] = [task, pdf, pdf.numPages, 0];
      this.view.hidden = false;
      this.opened(true);
      await this.show(Math.min(Number(this.el.dataset.first) || 1, this.count));
      if (button && document.activeElement === button) this.at("sheets").focus({ preventScroll: true });
    } catch (e) {
      if (turn !== this.turn) return;
      this.close();
      const why = e.answer ? "answer" : e.name === "PasswordException" ? "password" : "unreadable";
      this.say(this.el.dataset[why] || this.el.dataset.unreadable);
      this.el.dispatchEvent(new CustomEvent("preview-failed", { detail: why, bubbles: true }));
    } finally {
      button?.classList.remove("busy");
      this.el.removeAttribute("aria-busy");
    }
  }

  close() {
    const inside = this.view.contains(document.activeElement);
    this.turn++;
    this.task?.destroy();
    this.task = this.pdf = null;
    this.view.hidden = true;
    this.opened(false);
    if (inside) this.at("open")?.focus();
    this.el.dispatchEvent(new CustomEvent("preview-closed", { bubbles: true }));
  }

  opened(is) {
    const b = this.at("open");
    if (b) b.hidden = is;
  }

  say(text) {
    const p = this.at("error");
    p.hidden = !text;
    p.textContent = text;
  }

  async show(number) {
    if (!this.pdf || number < 1 || number > this.count) return;
    this.number = number;
    await this.draw();
    this.at("sheets").scrollTop = 0;
  }

  zoom(by) {
    const to = this.step + by;
    if (to < 0 || to >= steps.length) return;
    this.step = to;
    this.draw();
  }

  async draw() {
    const turn = ++this.turn;
    this.job?.cancel();
    try {
      const sheet = await this.pdf.getPage(this.number);
      if (turn !== this.turn) return;
      const plain = sheet.getViewport({ scale: 1 });
      // A sheet that stands fits in width; one that is small is not blown up.
      const fit = Math.min(this.at("sheets").clientWidth - 2, 1000) / plain.width;
      const scale = Math.min(fit, 2) * steps[this.step];
      const viewport = sheet.getViewport({ scale });
      const sharp = Math.min(window.devicePixelRatio || 1, Math.sqrt(mostPixels / (viewport.width * viewport.height)));
      const canvas = document.createElement("canvas");
      canvas.width = Math.floor(viewport.width * sharp);
      canvas.height = Math.floor(viewport.height * sharp);
      this.job = sheet.render({ canvas, viewport, transform: [sharp, 0, 0, sharp, 0, 0], background: "#fff" });
      await this.job.promise;
      if (turn !== this.turn) return;
      const label = this.el.dataset.sheet.replace("{n}", this.number).replace("{all}", this.count);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", label);
      this.canvas.replaceWith(canvas);
      this.canvas = canvas;
      for (const e of [this.sheet, canvas]) {
        e.style.width = `${Math.floor(viewport.width)}px`;
        e.style.height = `${Math.floor(viewport.height)}px`;
      }
      this.viewport = viewport;
      this.size = { width: plain.width, height: plain.height };
      this.at("number").textContent = label;
      this.at("short").textContent = `${this.number} / ${this.count}`;
      for (const [name, off] of [["back", this.number === 1], ["next", this.number === this.count], ["out", this.step === 0], ["in", this.step === steps.length - 1]]) {
        this.at(name)?.setAttribute("aria-disabled", String(off));
      }
      const text = await sheet.getTextContent();
      if (turn !== this.turn) return;
      this.at("text").textContent = text.items.map((i) => i.str + (i.hasEOL ? "\n" : " ")).join("").slice(0, 20000);
      this.el.dispatchEvent(new CustomEvent("preview-shown", { bubbles: true }));
    } catch (e) {
      if (e.name === "RenderingCancelledException" || turn !== this.turn) return;
      this.say(this.el.dataset.unreadable);
    }
  }

  toPDF(x, y) { return this.viewport.convertToPdfPoint(x, y); }
  fromPDF(x, y) { return this.viewport.convertToViewportPoint(x, y); }
}

let loaded;
function library(el) {
  loaded ??= import(el.dataset.library).then((lib) => {
    lib.GlobalWorkerOptions.workerSrc = el.dataset.worker;
    return lib;
  }).catch((e) => {
    loaded = undefined; // the next press tries again
    throw e;
  });
  return loaded;
}

// bytes are asked for once, as a whole: a document of a signing page is hashed each time.
async function bytes(source) {
  if (source instanceof Blob) return source.arrayBuffer();
  const refused = (why) => Object.assign(new Error(why), { answer: true });
  const r = await fetch(source, { headers: { Accept: "application/pdf" } }).catch((e) => { throw refused(e.message); });
  if (!r.ok || !/^application\/pdf\b/.test(r.headers.get("Content-Type") || "")) throw refused(String(r.status));
  return r.arrayBuffer();
}

const made = new WeakMap();

export function preview(el) {
  if (!made.has(el)) {
    made.set(el, new Preview(el));
    el.preview = made.get(el);
  }
  return made.get(el);
}

document.querySelectorAll("[data-preview]").forEach(preview);
