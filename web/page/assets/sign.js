// The signing page where scripts run: one viewer for a list of PDFs, and how far a batch is.

const viewer = document.getElementById("pratonton");
let asked; // the button that opened it
addEventListener("click", (e) => {
  const button = e.target.closest("[data-look]");
  if (!button || !viewer) return;
  const el = viewer.querySelector("[data-preview]");
  asked = button;
  viewer.hidden = false;
  viewer.querySelector("h3").textContent = button.dataset.name;
  el.querySelector("[data-preview-sheets]").setAttribute("aria-label", button.dataset.name);
  button.classList.add("busy");
  el.preview.open(button.dataset.look).finally(() => {
    button.classList.remove("busy");
    if (asked !== button) return;
    viewer.scrollIntoView({ block: "start" });
    viewer.querySelector("h3").focus({ preventScroll: true });
  });
});
viewer?.addEventListener("preview-closed", () => {
  viewer.hidden = true;
  asked?.focus();
});

const work = document.querySelector("[data-progress]");
// One part of the page is asked for until there is nothing to tell any more; then the page is.
async function follow() {
  let r;
  try {
    r = await fetch(work.dataset.progress, { headers: { Accept: "text/html" }, redirect: "error" });
  } catch {
    setTimeout(follow, 4000); // away for a moment
    return;
  }
  if (r.status !== 200) {
    if (r.status >= 500 || r.status === 429) setTimeout(follow, 4000);
    else location.reload();
    return;
  }
  const now = new DOMParser().parseFromString(await r.text(), "text/html").querySelector("[role=status]");
  const was = work.querySelector("[role=status]");
  // The elements stay, so that what has changed is read out.
  for (const s of ["p", "progress"]) {
    const [to, from] = [was.querySelector(s), now.querySelector(s)];
    if (s === "progress") [to.max, to.value] = [from.max, from.value];
    else if (to.innerHTML !== from.innerHTML) to.replaceChildren(...from.childNodes);
  }
  setTimeout(follow, 1000);
}
if (work) setTimeout(follow, 500);
