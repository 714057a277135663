// Uploads, keyboard, comparison, theme. Everything else is plain links and one form, which htmx turns into swaps.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const MAX_BYTES = 32 * 1024 * 1024;

function toast(message) {
  const box = $("#toast");
  box.textContent = message;
  box.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { box.hidden = true; }, 4000);
}

// -- uploads

function uploadState(message, bad) {
  const box = $("#upload-state");
  box.textContent = message;
  box.hidden = !message;
  box.classList.toggle("bad", bad);
  $("#drop").classList.toggle("busy", Boolean(message) && !bad);
}

async function upload(file) {
  if (!file) return;
  if (file.size > MAX_BYTES) {
    uploadState(`This file has ${Math.round(file.size / 1048576)} MB; the maximum is 32 MB.`, true);
    return;
  }
  uploadState("Reading the picture …", false);
  const body = new FormData();
  body.append("file", file);
  try {
    const response = await fetch("/api/upload", { method: "POST", body });
    const answer = await response.json();
    if (!response.ok) {
      const detail = typeof answer.detail === "string" ? answer.detail : "the file was refused";
      uploadState(`${detail[0].toUpperCase()}${detail.slice(1)}.`, true);
      return;
    }
    uploadState("", false);
    document.querySelectorAll('#query input[name="trail"]').forEach((input) => input.remove());
    $("#ref").value = answer.ref;
    $("#query").requestSubmit();
  } catch {
    uploadState("The server does not answer. Is it still running?", true);
  }
}

document.addEventListener("change", (event) => {
  if (event.target.id === "file") {
    upload(event.target.files[0]);
    event.target.value = "";
  } else if (event.target.closest("#tune") && document.body.querySelector("main.answered")) {
    $("#query").requestSubmit();
  }
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (event.dataTransfer && [...event.dataTransfer.types].includes("Files")) {
      event.preventDefault();
      document.body.classList.add("dragging");
    }
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dragging");
  if (event.dataTransfer && event.dataTransfer.files.length) {
    event.preventDefault();
    upload(event.dataTransfer.files[0]);
  }
});
document.addEventListener("paste", (event) => {
  const file = event.clipboardData && event.clipboardData.files[0];
  if (file) {
    event.preventDefault();
    upload(file);
  }
});

// -- clicks

const chosen = { card: null }; // the card that the open dialog is about

function showPicture(figure, source, box) {
  $("img", figure).src = source;
  figure.hidden = !source;
  const old = $(".marks", figure);
  if (old) old.remove();
  if (box) $(".figure", figure).append(box.cloneNode(true));
}

function compare(button) {
  const card = button.closest(".card");
  const dialog = $("#compare");
  const ref = $("#ref").value;
  const large = (key) => (key.startsWith("u-") ? `/uploads/${key}` : `/pictures/${key}`);
  showPicture($("#compare-left"), ref ? large(ref) : "", $(".chosen .marks"));
  showPicture($("#compare-right"), large(card.dataset.key), $(".marks", card));
  $("#compare-left").classList.toggle("mirrored", Boolean($(".chosen.mirrored")));
  const { path, about, score, rank } = button.dataset;
  $("#compare-right figcaption").textContent = `Result ${rank} · ${score}`;
  $(".told", dialog).textContent = [$("#text").value && `“${$("#text").value}”`, path, about].filter(Boolean).join(" · ");
  chosen.card = card;
  tellChange(ref, card.dataset.key, Boolean($(".chosen.mirrored")));
  dialog.showModal();
}

async function tellChange(ref, key, mirror) { // how to get from the reference's pose to the result's
  const line = $("#compare-change");
  line.textContent = "";
  line.dataset.key = ref ? key : "";
  if (!ref) return;
  try {
    const answer = await fetch(`/api/compare/${key}?${new URLSearchParams({ ref, mirror })}`);
    const { text, measurements } = await answer.json();
    if (!answer.ok || line.dataset.key !== key) return;
    line.textContent = text;
    line.classList.toggle("changed", measurements.length > 0);
  } catch { /* the comparison of the pictures stands without it */ }
}

// -- videos

const AROUND = 2; // seconds that are played before and after a moment

function frames(key, moment) { // for files that browsers do not play
  const strip = $("#player .strip");
  strip.replaceChildren();
  for (let shift = -AROUND; shift <= AROUND; shift += 0.5) {
    if (moment + shift < 0) continue;
    const place = document.createElement("li");
    const image = document.createElement("img");
    image.src = `/frames/${key}?shift=${shift}`;
    image.alt = shift ? `${Math.abs(shift)} s ${shift < 0 ? "before" : "after"}` : "the moment itself";
    place.title = image.alt;
    if (!shift) place.setAttribute("aria-current", "true");
    place.append(image);
    strip.append(place);
  }
}

function unplayed(key, name, moment) {
  const film = $("#player video");
  const line = $("#player .unplayed");
  film.hidden = true;
  $('#player [data-act="exact"]').hidden = true;
  line.hidden = false;
  line.textContent = `This browser cannot play ${name}. These are its frames, half a second apart. To play it, convert it: ffmpeg -i ${name} -c:v libx264 ${name.replace(/\.[^.]*$/, "")}.mp4`;
  frames(key, moment);
}

function play(button) {
  const { key, video, clock, seconds, plays } = button.dataset;
  const dialog = $("#player");
  const film = $("video", dialog);
  const moment = Number(seconds);
  const from = Math.max(0, moment - AROUND);
  const name = video.split("/").pop();
  play.moment = moment;
  play.loops = true;
  chosen.card = button.closest(".near li") || button.closest(".card");
  film.hidden = false;
  $(".unplayed", dialog).hidden = true;
  $(".strip", dialog).replaceChildren();
  $('[data-act="exact"]', dialog).hidden = false;
  $('[data-link="[data-do=person]"]', dialog).hidden = !$("[data-do=person]", button.closest(".card"));
  $(".told", dialog).textContent = `${video} · the match is at ${clock}`;
  film.onloadedmetadata = () => {
    if (!film.videoWidth) { unplayed(key, name, moment); return; } // it has sound that can be played, and nothing to see
    film.currentTime = from;
    film.play().catch(() => { /* the user presses play */ });
  };
  film.onerror = () => { if (film.getAttribute("src")) unplayed(key, name, moment); };
  film.ontimeupdate = () => { // again and again, until somebody looks elsewhere
    const late = film.currentTime - (moment + AROUND);
    if (late > 1 || film.currentTime < from - 1) play.loops = false;
    else if (late >= 0 && play.loops && !film.paused) film.currentTime = from;
  };
  film.onended = () => { if (play.loops) { film.currentTime = from; film.play().catch(() => {}); } };
  if (plays) film.src = `/videos/${key}`;
  else unplayed(key, name, moment);
  dialog.showModal();
}

$("#player").addEventListener("close", () => {
  const film = $("#player video");
  film.pause();
  film.removeAttribute("src");
  film.load();
});

function showSkeletons(on) {
  document.documentElement.classList.toggle("skeletons", on);
  const button = $(".bones-switch");
  if (button) button.setAttribute("aria-pressed", String(on));
}

const acts = {
  choose: () => $("#file").click(),
  compare,
  follow: (button) => { // a choice in a dialog: the same link of the card
    $("dialog[open]").close();
    ($(button.dataset.link, chosen.card) || $(button.dataset.link, chosen.card.closest(".card"))).click();
  },
  play,
  exact: () => {
    const film = $("#player video");
    film.pause();
    play.loops = false;
    film.currentTime = play.moment + 0.001;
  },
  skeletons: () => showSkeletons(!document.documentElement.classList.contains("skeletons")),
  help: () => $("#help").showModal(),
  theme: () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* not kept, then */ }
  },
  share: async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      toast("Link copied.");
    } catch {
      toast("Copy the address from the address bar to share this search.");
    }
  },
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) acts[button.dataset.act](button);
  if (event.target.matches("dialog")) event.target.close(); // the backdrop
});

// -- keyboard

function moveFocus(key) {
  const cards = [...document.querySelectorAll("#grid .go")];
  if (!cards.length) return false;
  const now = cards.indexOf(document.activeElement);
  const top = cards[0].getBoundingClientRect().top;
  const columns = Math.max(1, cards.filter((card) => Math.abs(card.getBoundingClientRect().top - top) < 2).length);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[key];
  const next = now < 0 ? 0 : now + step;
  if (next < 0 || next >= cards.length) return now >= 0;
  cards[next].focus();
  return true;
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("textarea, select, input:not([type=hidden])");
  if (event.target.id === "text" && event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("#query").requestSubmit();
    return;
  }
  if (event.target.id === "text" && event.key === "Escape") event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  const card = document.activeElement.closest && document.activeElement.closest(".card");
  const press = (selector) => { const target = card && $(selector, card); if (target) target.click(); };
  const keys = {
    "/": () => $("#text").select(),
    "u": () => acts.choose(),
    "?": () => acts.help(),
    "c": () => press('[data-act="compare"]'),
    "p": () => press('[data-act="play"]'),
    "+": () => press('[data-do="like"]'),
    "-": () => press('[data-do="unlike"]'),
    "s": () => acts.skeletons(),
    "m": () => { const mirror = $('.tool[aria-pressed]'); if (mirror) mirror.click(); },
    "Backspace": () => history.back(),
  };
  if (event.key.startsWith("Arrow")) {
    if (moveFocus(event.key)) event.preventDefault();
  } else if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

document.addEventListener("toggle", (event) => { // does not bubble, so it is caught on its way down
  if (event.target.id === "tune" && event.target.open) event.target.scrollIntoView({ block: "nearest" });
}, true);

// -- around a swap

function showLastStep() {
  const trail = $(".trail");
  if (trail) trail.scrollLeft = trail.scrollWidth;
}
showLastStep();

let tuneOpen = false;
document.addEventListener("htmx:beforeSwap", () => { tuneOpen = Boolean($("#tune[open]")); });

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target && event.detail.target.id !== "app") return; // without target: back or forward
  if (tuneOpen && $("#tune")) $("#tune").open = true;
  showLastStep();
  showSkeletons(document.documentElement.classList.contains("skeletons"));
  if ($("main.answered") && !$("#text").value && matchMedia("(min-width: 1000px)").matches) $("#text").focus({ preventScroll: true });
});
document.addEventListener("htmx:sendError", () => toast("The server does not answer. Is it still running?"));
