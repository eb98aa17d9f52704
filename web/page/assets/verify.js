// A file that is no PDF need not be sent: its first bytes say so. What looks like one is sent,
// and judged there.
const field = document.getElementById("file");
const words = document.getElementById("semakan");
let said = null;

const say = (text) => {
  if (said) said.remove();
  said = null;
  for (const id of ["file-error", "ralat"]) document.getElementById(id)?.remove(); // of the file before
  field.removeAttribute("aria-invalid");
  if (!text) return;
  said = document.createElement("p");
  said.className = "error";
  said.setAttribute("role", "alert");
  said.textContent = text;
  field.closest(".drop").before(said);
  field.setAttribute("aria-invalid", "true");
};

field.addEventListener("change", async () => {
  const file = field.files[0];
  if (!file) return say("");
  const start = new TextDecoder("latin1").decode(await file.slice(0, 1024).arrayBuffer());
  say(start.includes("%PDF-") ? "" : words.dataset.notpdf);
});
