// The health page brings itself up to date, part by part, without taking what somebody reads,
// copies or has the focus in. It stops when nobody has touched the page for long, so that it does
// not keep a session from ending.

const every = 10_000;
const untouched = 10 * 60_000;

const board = document.querySelector("[data-health]");
const lost = board.querySelector("[data-lost]");
const paused = board.querySelector("[data-paused]");
let touched = Date.now();
for (const kind of ["pointerdown", "pointermove", "keydown", "focus"]) {
  addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
}

// busy: somebody has the focus in a part, or text of it selected.
function busy(part) {
  const selected = getSelection();
  return part.contains(document.activeElement) || (selected && !selected.isCollapsed && selected.intersectsNode(part));
}

async function look() {
  if (document.hidden) return;
  paused.hidden = Date.now() - touched < untouched;
  if (!paused.hidden) return;
  let fresh = null;
  try {
    const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" }, redirect: "error", cache: "no-store" });
    if (answer.ok) fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch { /* said below */ }
  const parts = fresh ? fresh.querySelectorAll("[data-part]") : [];
  lost.hidden = parts.length > 0;
  for (const now of parts) {
    const part = document.getElementById(now.id);
    if (part && part.innerHTML !== now.innerHTML && !busy(part)) part.replaceChildren(...now.childNodes);
  }
}

setInterval(look, every);
