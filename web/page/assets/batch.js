// What the pages of batches add where scripts run.

// While a batch is signed htmx shows what the gateway sends. The end, or a state that another
// window brought about, is another page.
const live = document.getElementById("kemajuan");
if (live) {
  const again = () => location.reload();
  let heard = performance.now();
  live.addEventListener("done", again);
  new MutationObserver(() => {
    heard = performance.now();
    if (live.querySelector("[data-over]")) again();
  }).observe(live, { childList: true });
  // The gateway says something every five seconds. Where nothing arrives it is asked.
  setInterval(() => {
    if (performance.now() - heard > 12000) htmx.ajax("GET", live.dataset.live, { target: live, swap: "innerHTML" }).catch(() => {});
  }, 4000);
}

// A file that is too large is not sent in vain; a long upload says that it is under way.
for (const zone of document.querySelectorAll("[data-most]")) {
  const form = zone.closest("form");
  const field = zone.querySelector("input[type=file]");
  field.addEventListener("change", () => {
    const file = field.files[0];
    field.setCustomValidity(file && file.size > zone.dataset.most * 2 ** 20 ? zone.dataset.large : "");
    field.reportValidity();
  });
  form.addEventListener("submit", () => {
    const note = form.querySelector("[data-sending]");
    if (!note) return;
    note.hidden = false;
    note.textContent = note.dataset.sending;
  });
}
