// Lists that are worked through by keyboard: [data-choose] holds a table of which rows are chosen.

const typing = (el) => el.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");

function work(list) {
  const rows = () => [...list.querySelectorAll("tbody tr")];
  const box = (row) => row.querySelector("input[name=id]");
  const all = list.querySelector("[data-all]");
  const said = document.querySelector("[data-chosen]");
  let at = -1;

  const count = () => {
    const boxes = rows().map(box).filter(Boolean);
    const n = boxes.filter((b) => b.checked).length;
    if (said) said.textContent = n ? said.dataset.some.replace("{n}", n) : said.dataset.none;
    if (all) {
      all.checked = n > 0 && n === boxes.length;
      all.indeterminate = n > 0 && n < boxes.length;
    }
  };
  const go = (to) => {
    const found = rows();
    if (!found.length) return;
    at = Math.max(0, Math.min(found.length - 1, to));
    found.forEach((r, k) => r.classList.toggle("at", k === at));
    const b = box(found[at]);
    (b || found[at].querySelector("a") || found[at]).focus({ preventScroll: true });
    found[at].scrollIntoView({ block: "nearest" });
  };
  const every = () => {
    const boxes = rows().map(box).filter(Boolean);
    const on = boxes.some((b) => !b.checked);
    boxes.forEach((b) => { b.checked = on; });
    count();
  };
  list.addEventListener("change", (e) => {
    if (e.target === all) rows().map(box).filter(Boolean).forEach((b) => { b.checked = all.checked; });
    count();
  });
  list.addEventListener("focusin", (e) => {
    const row = e.target.closest("tbody tr");
    if (!row) return;
    at = rows().indexOf(row);
    rows().forEach((r, k) => r.classList.toggle("at", k === at));
  });
  count();
  return {
    j: () => go(at + 1),
    k: () => go(at - 1),
    x: () => {
      const row = rows()[at], b = row && box(row);
      if (b) { b.checked = !b.checked; count(); }
    },
    a: every,
    o: () => {
      const row = rows()[at], link = row && row.querySelector("a[href]");
      if (link) link.click();
    },
  };
}

const found = document.querySelector("[data-choose]");
const keys = found ? work(found) : {};
const help = document.getElementById("kekunci");
const open = () => { if (help && !help.open) help.showModal(); };
for (const b of document.querySelectorAll("[data-keys]")) b.addEventListener("click", open);

addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target) || document.querySelector("dialog[open]")) return;
  const search = document.querySelector("[role=search] input");
  if (keys[e.key]) keys[e.key]();
  else if (e.key === "/" && search) { search.focus(); search.select(); }
  else if (e.key === "?" && help) open();
  else return;
  e.preventDefault();
});
