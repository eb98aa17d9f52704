// A secret is on the page that answers for it and nowhere else: whoever comes back to that page from
// the next one, as browsers keep pages, does not find it.
addEventListener("pagehide", () => {
  for (const el of document.querySelectorAll("[data-secret]")) el.textContent = el.dataset.gone;
  for (const el of document.querySelectorAll(".apps-secret [data-copy]")) {
    el.dataset.copy = "";
    el.hidden = true;
  }
});

// A picture that is chosen is shown as it will stand on the page.
for (const box of document.querySelectorAll("[data-picture-of]")) {
  const field = document.getElementById(box.dataset.pictureOf);
  const img = box.querySelector("img");
  img.addEventListener("load", () => { box.hidden = false; });
  img.addEventListener("error", () => { box.hidden = true; });
  field.addEventListener("change", () => {
    if (img.src) URL.revokeObjectURL(img.src);
    const file = field.files[0];
    box.hidden = true;
    if (file && /^image\/(png|jpeg)$/.test(file.type)) img.src = URL.createObjectURL(file);
  });
}
