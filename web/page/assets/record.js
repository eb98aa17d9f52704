// The secret of a certificate's address stands behind the #, where no server, log or
// proxy sees it. Here it is posted, and taken out of the browser's history. Until the tab is
// closed it is kept for this page alone: to show it in the other language, and to download.

const key = "mohor " + location.pathname;
const form = document.getElementById("rekod");
const given = location.hash.slice(1);

if (document.querySelector("[data-forget]")) {
  sessionStorage.removeItem(key); // it was of no use
} else if (/^[A-Za-z0-9_-]{22}$/.test(given)) {
  sessionStorage.setItem(key, given);
  history.replaceState(null, "", location.pathname);
}
const secret = sessionStorage.getItem(key);
if (form && secret) {
  form.elements.secret.value = secret;
  form.submit();
}
if (form) {
  form.addEventListener("submit", () => {
    const typed = form.elements.secret.value.split("#").pop().trim();
    if (/^[A-Za-z0-9_-]{22}$/.test(typed)) sessionStorage.setItem(key, typed);
  });
}

const download = document.getElementById("muat");
if (download && secret) {
  download.elements.secret.value = secret;
  download.querySelector(".asks").hidden = true;
}
// The page stays while a file comes: it can be asked for again.
if (download) download.addEventListener("submit", () => setTimeout(() => { delete download.dataset.sent; }, 1000));
