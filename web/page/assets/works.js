// What the pages of batches and templates add where scripts run.

// How far a batch is: asked for every two seconds while the page is seen. Another state is another page.
const far = document.getElementById("kemajuan");
if (far?.dataset.poll) {
  const look = async () => {
    if (!document.hidden) {
      const answer = await fetch(far.dataset.poll, { headers: { "HX-Request": "true" } }).catch(() => null);
      if (answer?.ok && !answer.redirected) {
        const part = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (part.querySelector("[data-over]")) return location.reload();
        far.replaceChildren(...part.body.childNodes);
      }
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
}

// A certificate follows the typing: the form is sent a moment after the last key, and what is shown is
// always of the last form that was sent.
const form = document.querySelector("form[data-draft]");
if (form) {
  const sheet = form.querySelector("[data-sheet]");
  const says = form.querySelector("[data-says]");
  let sent, timer, shown;
  const wrong = (faults) => {
    for (const el of form.querySelectorAll("[data-draft-wrong]")) {
      el.removeAttribute("aria-invalid");
      el.removeAttribute("data-draft-wrong");
    }
    for (const f of faults) {
      const el = f.Field && form.elements[f.Field];
      el?.setAttribute?.("aria-invalid", "true");
      el?.setAttribute?.("data-draft-wrong", "");
    }
    says.textContent = faults.map((f) => f.Text).join(" ");
    says.classList.toggle("wrong", faults.length > 0);
  };
  const draw = async () => {
    sent?.abort();
    const mine = (sent = new AbortController());
    sheet.parentElement.classList.add("busy");
    try {
      const answer = await fetch(form.dataset.draft, { method: "POST", body: new FormData(form), signal: mine.signal });
      const kind = answer.headers.get("Content-Type") ?? "";
      if (answer.ok && kind.startsWith("image/")) {
        const url = URL.createObjectURL(await answer.blob());
        sheet.src = url;
        if (shown) URL.revokeObjectURL(shown);
        shown = url;
        wrong([]);
        says.textContent = form.dataset.shown;
      } else if (kind.startsWith("application/json")) {
        wrong((await answer.json()) ?? []);
      } else {
        wrong([{ Text: form.dataset.wrong }]);
      }
    } catch (e) {
      if (e.name === "AbortError") return;
      wrong([{ Text: form.dataset.wrong }]);
    }
    if (mine === sent) sheet.parentElement.classList.remove("busy");
  };
  const later = (e) => {
    if (e.target.name === "reason") return;
    clearTimeout(timer);
    timer = setTimeout(draw, e.type === "change" ? 50 : 400);
  };
  form.addEventListener("input", later);
  form.addEventListener("change", later);
}
