// What pages do where scripts run. Every page works without it.

document.documentElement.classList.add("js");

const each = (selector, f, root = document) => root.querySelectorAll(selector).forEach(f);

// A form is sent once, however often its button is pressed.
addEventListener("submit", (e) => {
  const form = e.target;
  if (form.hasAttribute("data-file-comes")) return; // the page stays: a file is the answer
  if (form.dataset.sent) {
    e.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  const button = e.submitter;
  if (button && !form.hasAttribute("data-quick")) {
    button.classList.add("busy");
    button.setAttribute("aria-disabled", "true");
  }
});
// Back from the next page, the form can be sent again.
addEventListener("pageshow", () => each("form[data-sent]", (form) => {
  delete form.dataset.sent;
  each(".busy", (b) => { b.classList.remove("busy"); b.removeAttribute("aria-disabled"); }, form);
}));

addEventListener("click", (e) => {
  const target = e.target.closest("[data-reveal], [data-print], [data-copy]");
  if (!target) return;
  if (target.dataset.reveal) {
    const field = document.getElementById(target.dataset.reveal);
    const shown = field.type === "text";
    field.type = shown ? "password" : "text";
    target.setAttribute("aria-pressed", String(!shown));
    [target.textContent, target.dataset.on] = [target.dataset.on, target.textContent];
  } else if ("print" in target.dataset) {
    print();
  } else if (target.dataset.copy) {
    navigator.clipboard.writeText(target.dataset.copy).then(() => {
      const was = target.textContent;
      target.textContent = target.dataset.done || was;
      setTimeout(() => { target.textContent = was; }, 2000);
    });
  }
});

// A code is digits: what else is pasted with them falls away.
addEventListener("input", (e) => {
  const n = e.target.dataset && e.target.dataset.digits;
  if (n) {
    const digits = e.target.value.replace(/\D/g, "").slice(0, n);
    if (digits !== e.target.value) e.target.value = digits;
  }
});
addEventListener("paste", (e) => {
  const n = e.target.dataset && e.target.dataset.digits;
  if (!n) return;
  e.preventDefault();
  e.target.value = e.clipboardData.getData("text").replace(/\D/g, "").slice(0, n);
}, true);

// data-until: an instant; data-now: the server's time when the page was made. The text counts down in
// data-left's words, with {t}; at the end data-over is shown, and what data-opens names is enabled.
function count(el) {
  const skew = Date.parse(el.dataset.now) - performance.timeOrigin - performance.now();
  const until = Date.parse(el.dataset.until);
  const opens = el.dataset.opens && document.getElementById(el.dataset.opens);
  if (opens) opens.disabled = true;
  const tick = () => {
    const left = Math.ceil((until - (performance.timeOrigin + performance.now() + skew)) / 1000);
    if (left <= 0) {
      el.textContent = el.dataset.over || "";
      if (opens) opens.disabled = false;
      return;
    }
    const t = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
    el.textContent = el.dataset.left.replace("{t}", t);
    setTimeout(tick, 1000);
  };
  tick();
}
each("[data-until]", count);

// Files are dropped onto their field, or chosen with it; the name stands where the hint was.
each("[data-drop]", (zone) => {
  const field = document.getElementById(zone.dataset.drop);
  const name = zone.querySelector("[data-file]");
  const hint = name && name.textContent;
  const over = (on) => () => zone.classList.toggle("over", on);
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", over(false));
  field.addEventListener("change", () => {
    if (!name) return;
    const file = field.files[0];
    const size = file && (file.size < 1e6 ? Math.ceil(file.size / 1e3) + " KB" : (file.size / 1e6).toFixed(1) + " MB");
    name.textContent = file ? `${file.name} (${size})` : hint;
    name.classList.toggle("chosen", Boolean(file));
  });
});

// A page that answers a form is kept with what was sent, PIN and code too, for whoever loads it again or
// restores the browser's session, which is on the disk. From here on it is kept as the page that the
// switch of languages comes back to, with nothing sent.
{
  const back = document.querySelector("a[hreflang]");
  const at = back ? new URL(back.href) : new URL(location.href);
  at.searchParams.delete("lang");
  at.hash = location.hash;
  if (at.origin === location.origin) history.replaceState(history.state, "", at.pathname + at.search + at.hash);
}
