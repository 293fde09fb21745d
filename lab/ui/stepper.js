// The stepper: toolbar, keys, clicks and the redrawing of one frame. In a notebook the kernel sends the frames; in a saved page
// `play` has them all. Nothing here computes what a packet does. lab.ui.page joins this file and the two below into one ES module.
import {marker, pipeline} from "./pipeline.js";
import {packet, reason} from "./packet.js";

const TOOLBAR = `<div class="bar" role="toolbar" aria-label="stepper">
  <button data-do="back" title="one stage back (key b)">◀ BACK<kbd>b</kbd></button>
  <button class="main" data-do="step" title="one stage on (key s)">STEP ▶<kbd>s</kbd></button>
  <button data-do="into" title="inside the stage, line by line (key i)">INTO<kbd>i</kbd></button>
  <button data-do="run" title="until nothing moves (key r)">RUN ▶▶<kbd>r</kbd></button>
  <input type="range" min="0" aria-label="timeline"><span class="count"></span></div>
  <div class="pipe"></div><div class="why" role="status" aria-live="polite"></div><p class="note"></p><div class="cols"></div>`;
const KEYS = {s: "step", b: "back", i: "into", r: "run", ArrowRight: "step", ArrowLeft: "back"};

function render({model, el}) {
  const gw = document.createElement("div"),
    q = s => gw.querySelector(s),
    sent = new Map(),
    open = new Set();
  gw.className = "gw";
  gw.tabIndex = -1;
  gw.setAttribute("role", "group");
  gw.setAttribute("aria-label", "packet stepper");
  gw.innerHTML = TOOLBAR;
  el.appendChild(gw);
  let id = 0,
    width = 0,
    chosen = "",
    waiting = 0,
    next = null;

  function go(what, more) {
    id += 1;
    sent.set(id, performance.now());
    model.send({do: what, id, ...more});
    return id;
  }
  // One message at a time while the thumb is dragged.
  function slide(to) {
    if (waiting) next = to;
    else waiting = go("goto", {to});
  }

  // What is chosen: a field with its bytes, its buffer and its bits, or a cause with the bits that it asked for and their bytes.
  function pick(row) {
    gw.querySelectorAll(".sel").forEach(x => x.classList.remove("sel"));
    gw.querySelectorAll(".cause").forEach(x => x.setAttribute("aria-pressed", x === row));
    gw.querySelectorAll(".ledger").forEach(x => x.classList.toggle("some", Boolean(row && row.dataset.c)));
    chosen = row ? row.dataset.f : "";
    if (!row) return;
    row.classList.add("sel");
    const spans = row.dataset.c ? bitsOf(row.dataset.c) : row.dataset.n ? [[+row.dataset.o, +row.dataset.o + +row.dataset.n]] : [];
    const meets = (from, to) => spans.some(([o, end]) => from < end && o < to);
    gw.querySelectorAll("[data-b]").forEach(x => x.classList.toggle("sel", meets(+x.dataset.b, +x.dataset.b + 1)));
    gw.querySelectorAll("[data-from]").forEach(x => x.classList.toggle("sel", meets(+x.dataset.from, +x.dataset.to)));
    if (row.dataset.c) return;
    const others = row.closest(".tree") ? "figure[data-n]" : ".fld[data-n]";
    gw.querySelectorAll(others).forEach(x => x.classList.toggle("sel", meets(+x.dataset.o, +x.dataset.o + +x.dataset.n)));
    row.classList.add("sel");
  }
  // Outline the bits that a cause asked for; [from, to] of the bytes that they lie in.
  function bitsOf(cause) {
    const spans = [];
    gw.querySelectorAll("figure").forEach(figure => {
      const all = [...figure.querySelectorAll("q")],
        at = +figure.dataset.o,
        n = +figure.dataset.n,
        exact = Math.ceil(all.length / 8) === n;
      all.forEach((q, i) => {
        if (q.dataset.k !== cause) return;
        q.classList.add("sel");
        if (n) spans.push(exact ? [at + (i >> 3), at + (i >> 3) + 1] : [at, at + n]);
      });
    });
    return spans;
  }
  const rowAt = o => [...gw.querySelectorAll(".tree [data-f]")].filter(r => o >= +r.dataset.o && o < +r.dataset.o + +r.dataset.n).pop();
  const rowOf = name => gw.querySelector(`[data-f="${CSS.escape(name)}"]`);

  function draw() {
    const f = model.get("frame");
    if (!f || !f.stages) return;
    const focused = gw.contains(document.activeElement) && document.activeElement.dataset.f,
      inside = focused !== undefined && focused !== false;
    width = q(".pipe").clientWidth || 900;
    const P = pipeline(f, width),
      old = q(".pk"),
      from = old && old.style.transform,
      m = marker(f, P),
      box = q(".pipe");
    box.innerHTML = P.svg;
    const pk = q(".pk");
    pk.innerHTML = m.html;
    if (from) {
      pk.style.transform = from;
      pk.getBoundingClientRect();
    }
    pk.style.transform = `translate(${m.x}px, ${m.y}px)`;
    if (box.scrollWidth > box.clientWidth) box.scrollLeft = m.x - box.clientWidth / 2;
    q(".why").innerHTML = reason(f);
    q(".why").classList.toggle("lost", f.drop);
    q(".note").textContent = f.note || "";
    q(".cols").innerHTML = packet(f, open);
    const slider = q("input"),
      start = f.step <= 0;
    slider.max = Math.max(f.steps, f.step);
    slider.value = f.step;
    slider.setAttribute("aria-valuetext", `step ${f.step} of ${f.steps}, ${f.at}`);
    q(".count").textContent = `step ${f.step} of ${f.steps}${f.cores > 1 && f.core ? `, core ${f.core}` : ""}`;
    q("[data-do=back]").setAttribute("aria-disabled", start); // not `disabled`: that would take the focus away
    const here = q(".src .here"),
      src = q(".src");
    if (here) src.scrollTop = here.offsetTop - src.offsetTop - 5 * here.offsetHeight;
    if (chosen) {
      const kept = chosen;
      pick(rowOf(kept));
      chosen = kept;
    }
    if (inside) (rowOf(focused) || gw).focus({preventScroll: true});
    answered(f.echo);
  }

  function answered(echo) {
    if (!echo || !sent.has(echo)) return;
    const since = sent.get(echo);
    sent.delete(echo);
    if (echo === waiting) {
      waiting = 0;
      if (next !== null) {
        const to = next;
        next = null;
        slide(to);
      }
    }
    // from click to picture, for the benchmark
    requestAnimationFrame(() => setTimeout(() => (window.__gw ||= []).push([echo, performance.now() - since])));
  }

  gw.addEventListener("click", e => {
    const button = e.target.closest("button[data-do]"),
      more = e.target.closest("button[data-layer]"),
      byte = e.target.closest("[data-b]");
    if (button) {
      if (button.getAttribute("aria-disabled") !== "true") go(button.dataset.do);
    } else if (more) {
      const key = more.dataset.layer;
      open.has(key) ? open.delete(key) : open.add(key);
      draw();
      gw.querySelector(`[data-layer="${key}"]`)?.focus();
    } else if (byte) pick(rowAt(+byte.dataset.b));
    else {
      const row = e.target.closest("[data-f]");
      if (row) {
        row.focus();
        pick(row);
      }
    }
  });
  gw.addEventListener("focusin", e => {
    if (e.target.dataset.f) pick(e.target);
  });
  gw.addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.key === "Tab" || (e.shiftKey && e.key === "Enter")) return; // saving, running: the notebook's
    e.stopPropagation(); // or the notebook would take b for a new cell and x for cutting one
    if (e.target.tagName === "INPUT" && e.key.startsWith("Arrow")) return;
    const row = e.target.closest("[data-f]"),
      to = {ArrowUp: -1, ArrowDown: 1}[e.key];
    if (row && to) {
      const all = [...gw.querySelectorAll("[data-f]")];
      (all[all.indexOf(row) + to] || row).focus();
    } else if (e.key === "Escape") pick(null);
    else if (KEYS[e.key]) {
      const button = q(`[data-do=${KEYS[e.key]}]`);
      if (button && button.getAttribute("aria-disabled") !== "true") go(KEYS[e.key]);
    } else return;
    e.preventDefault();
  });
  q("input").addEventListener("input", e => slide(+e.target.value));
  if (model.recorded) q("[data-do=into]").remove(); // a recording has no engine to go into
  model.on("change:frame", draw);
  draw();
  const resized = new ResizeObserver(() => {
    if (Math.abs(q(".pipe").clientWidth - width) > 2) draw();
  });
  resized.observe(q(".pipe"));
  return () => {
    model.off("change:frame", draw);
    resized.disconnect();
  };
}

/** A saved page: the frames, gzipped, in place of a kernel. */
async function play(el, packed, start = 0) {
  const raw = Uint8Array.from(atob(packed), c => c.charCodeAt(0));
  const frames = await new Response(new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  const stop = frames.length - 1,
    hear = new Set();
  let at = Math.min(start, stop),
    echo = 0;
  const place = {
    step: () => Math.min(at + 1, stop),
    back: () => Math.max(at - 1, 0),
    goto: c => Math.min(Math.max(c.to, 0), stop),
    run: () => stop,
  };
  el.textContent = "";
  render({
    el,
    model: {
      recorded: true,
      get: () => ({...frames[at], step: at, steps: stop, echo}),
      on: (_, f) => hear.add(f),
      off: (_, f) => hear.delete(f),
      send: c => {
        at = place[c.do](c);
        echo = c.id;
        hear.forEach(f => f());
      },
    },
  });
}

export {play};
export default {render};
