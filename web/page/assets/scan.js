// QR codes are read in the browser: no picture leaves it. Only the address of a record
// of this very site is opened; whatever else a code says is shown as text.
const at = (id) => document.getElementById(id);
const box = at("imbas");
const say = (name) => { at("keadaan").textContent = name ? box.dataset[name] : ""; };

let reader = null; // loaded when somebody wants to scan: it is large
function load() {
  reader ??= new Promise((done, fail) => {
    const s = document.createElement("script");
    s.src = box.dataset.reader;
    s.onload = () => done(Promise.resolve(window.ZXingWASM.prepareZXingModule({ overrides: { locateFile: () => box.dataset.wasm }, fireImmediately: true })).then(() => window.ZXingWASM));
    s.onerror = () => fail(new Error("reader"));
    document.head.append(s);
  });
  reader.catch(() => { reader = null; });
  return reader;
}

async function read(pixels) {
  const zxing = await load();
  const found = await zxing.readBarcodes(pixels, { formats: ["QRCode"], maxNumberOfSymbols: 1, tryHarder: true });
  return found.find((f) => f.isValid && f.text) || null;
}

// address is where a code's text leads within this site, or null.
function address(text) {
  let u;
  try { u = new URL(text); } catch { return null; }
  const ours = u.origin === location.origin && !u.username && !u.password && !u.search &&
    /^\/s\/[A-Za-z0-9_-]{22}$/.test(u.pathname) && /^(#[A-Za-z0-9_-]{22})?$/.test(u.hash);
  return ours ? u.pathname + u.hash : null;
}

function take(text) {
  const to = address(text);
  if (to) {
    say("found");
    location.assign(to);
    return;
  }
  say("");
  at("isinya").textContent = text.length > 500 ? text.slice(0, 500) + "…" : text;
  at("asing").hidden = false;
  at("asing").focus();
}

const canvas = document.createElement("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });

// pixels of a picture or a frame, at most so many on its longer side.
function pixels(source, width, height, most) {
  const scale = Math.min(1, most / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  pen.fillStyle = "#fff"; // where a picture has holes
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(source, 0, 0, canvas.width, canvas.height);
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}

const video = at("kamera");
let stream = null;
let turn = 0; // counts starts: what belongs to an earlier one ends

function stop() {
  turn++;
  if (stream) stream.getTracks().forEach((t) => t.stop());
  stream = null;
  video.srcObject = null;
  at("pandangan").hidden = at("henti").hidden = at("tukar").hidden = at("lampu").hidden = true;
  at("mula").hidden = false;
}

async function start(device) {
  stop();
  const mine = turn;
  at("asing").hidden = true;
  at("mula").hidden = true;
  say("starting");
  try {
    const asked = await navigator.mediaDevices.getUserMedia({ audio: false, video: device ? { deviceId: { exact: device } } : { facingMode: { ideal: "environment" }, width: { ideal: 1280 } } });
    if (mine !== turn) {
      asked.getTracks().forEach((t) => t.stop());
      return;
    }
    stream = asked;
    video.srcObject = stream;
    at("pandangan").hidden = at("henti").hidden = false;
    await video.play();
    await load();
    if (mine !== turn) return;
    say("looking");
    extras(mine);
    look(mine);
  } catch (e) {
    if (mine !== turn) return;
    stop();
    say(e.name === "NotAllowedError" || e.name === "SecurityError" ? "refused" : e.name === "NotFoundError" || e.name === "OverconstrainedError" || e.name === "TypeError" ? "nocamera" : "failed");
  }
}

// extras are shown where the device has them: another camera, a light.
async function extras(mine) {
  const track = stream.getVideoTracks()[0];
  at("lampu").hidden = !(track.getCapabilities && track.getCapabilities().torch);
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === "videoinput");
  if (mine !== turn || cameras.length < 2) return;
  const here = cameras.findIndex((c) => c.deviceId === track.getSettings().deviceId);
  at("tukar").hidden = false;
  at("tukar").onclick = () => start(cameras[(here + 1) % cameras.length].deviceId);
}

async function look(mine) {
  while (mine === turn) {
    if (video.videoWidth > 0) {
      const found = await read(pixels(video, video.videoWidth, video.videoHeight, 1024)).catch(() => null);
      if (mine !== turn) return;
      if (found) {
        stop();
        take(found.text);
        return;
      }
    }
    await new Promise((again) => { setTimeout(again, 120); });
  }
}

at("mula").addEventListener("click", () => start());
at("henti").addEventListener("click", () => { stop(); say(""); });
at("lampu").addEventListener("click", () => {
  const on = at("lampu").getAttribute("aria-pressed") !== "true";
  stream.getVideoTracks()[0].applyConstraints({ advanced: [{ torch: on }] }).then(() => at("lampu").setAttribute("aria-pressed", String(on)), () => {});
});
addEventListener("pagehide", stop);

at("gambar").addEventListener("change", async () => {
  const file = at("gambar").files[0];
  if (!file) return;
  stop();
  at("asing").hidden = true;
  say("starting");
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    say("nopicture");
    return;
  }
  try {
    // A small code in a large picture, and a large one that is easier found in a small picture.
    let found = null;
    for (const most of [1600, 4096, 800]) {
      found = await read(pixels(picture, picture.width, picture.height, most));
      if (found) break;
    }
    if (found) take(found.text);
    else say("nocode");
  } catch {
    say("failed");
  } finally {
    picture.close();
  }
});
