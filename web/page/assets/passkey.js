// Passkeys: forms with data-passkey "get" (log in) or "create" (add one). They are shown where the
// browser can do it: a browser has no passkeys for an address of figures.

const possible = isSecureContext && window.PublicKeyCredential?.parseRequestOptionsFromJSON && !/^[\d.]+$|:/.test(location.hostname);

async function ceremony(form) {
  const begun = await fetch(form.dataset.begin, { method: "POST", body: new URLSearchParams({ form: form.elements.form.value }) });
  const body = await begun.json();
  if (!begun.ok) throw new Error(body.detail);
  const credential = form.dataset.passkey === "get" ?
    await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(body.options.publicKey ?? body.options) }) :
    await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(body.options.publicKey ?? body.options) });
  form.elements.session_id.value = body.session_id;
  form.elements.credential.value = JSON.stringify(credential.toJSON());
}

document.querySelectorAll("form[data-passkey]").forEach((form) => {
  if (!possible) {
    form.parentElement.querySelector("[data-no-passkey]")?.removeAttribute("hidden");
    return;
  }
  form.hidden = false;
  const button = form.querySelector("button");
  const error = form.querySelector("[role=alert]");
  button.addEventListener("click", async () => {
    error.textContent = "";
    button.disabled = true;
    try {
      await ceremony(form);
      form.requestSubmit();
    } catch (e) {
      if (e.name === "NotAllowedError" || e.name === "AbortError") error.textContent = form.dataset.cancelled;
      else error.textContent = e instanceof DOMException || e instanceof TypeError || !e.message ? form.dataset.failed : e.message;
      button.disabled = false;
    }
  });
});
