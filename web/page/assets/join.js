// The copy of a MyKad: it is shown before it is sent, and a photograph of a telephone, which is larger than
// what is taken, is made smaller here.

const most = 2 * 1024 * 1024; // bytes
const side = 2000; // pixels: all that is printed on a card can be read

for (const part of document.querySelectorAll("[data-picture]")) {
  const field = document.getElementById(part.dataset.picture);
  const preview = part.querySelector(".photo-preview");
  const [img, said, none] = ["img", "[role=status]", "button"].map((s) => preview.querySelector(s));
  const say = (text, wrong) => {
    preview.hidden = false;
    said.textContent = text;
    said.classList.toggle("error", Boolean(wrong));
  };
  const show = (file, text) => {
    URL.revokeObjectURL(img.src);
    img.src = URL.createObjectURL(file);
    img.hidden = none.hidden = false;
    say(text.replace("{kb}", Math.ceil(file.size / 1024).toLocaleString("en")));
  };
  const refuse = (text) => {
    field.value = "";
    img.hidden = none.hidden = true;
    img.removeAttribute("src");
    say(text, true);
  };

  field.addEventListener("change", async () => {
    const file = field.files[0];
    if (!file) {
      preview.hidden = true;
      return;
    }
    let picture;
    try {
      picture = await createImageBitmap(file);
    } catch {
      refuse(part.dataset.kind);
      return;
    }
    if (file.size <= most && /^image\/(jpeg|png)$/.test(file.type) && picture.width * picture.height <= 16e6) {
      show(file, part.dataset.chosen);
      return;
    }
    const scale = Math.min(1, side / Math.max(picture.width, picture.height));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [picture.width, picture.height].map((n) => Math.round(n * scale));
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
    if (!blob || blob.size > most || field.files[0] !== file) {
      refuse(part.dataset.large);
      return;
    }
    const smaller = new DataTransfer();
    smaller.items.add(new File([blob], "mykad.jpg", { type: "image/jpeg" }));
    field.files = smaller.files;
    show(field.files[0], part.dataset.made);
  });
  none.addEventListener("click", () => {
    field.value = "";
    preview.hidden = true;
    field.focus();
  });
}
