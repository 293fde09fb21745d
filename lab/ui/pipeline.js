// The upper half of the stepper: ports, stages on one wire, the slow path below it, and where the packet stands.
// One frame (plain data, made by the engine) in, SVG out; the list of stages is whatever the frame has.
export const esc = text => String(text).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
export const num = n => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
export const clip = (text, chars) => (text.length > chars ? text.slice(0, chars - 1) + "…" : text);

const PORT = 62,
  TOP = 52,
  HIGH = 42,
  LOW = 32,
  DEPTH = 28,
  HEIGHT = 164,
  GAP = 9,
  NARROWEST = 66,
  WIDEST = 112;
const MIDDLE = TOP + HIGH / 2,
  CAPTION = TOP + HIGH + 22;
const small = (x, y, anchor, text) => `<text class="small" x="${x}" y="${y}" text-anchor="${anchor}">${text}</text>`;
const box = (x, y, w, h, radius, kind = "") =>
  `<rect class="node ${kind}" x="${x}" y="${y}" width="${w}" height="${h}" rx="${radius}"/>`;

/** Where everything stands, in pixels: text never scales, a narrow page scrolls instead. */
function layout(f, width) {
  const wire = f.stages.filter(s => s.group !== "slow path"),
    n = wire.length;
  const W = Math.max(width, 2 * PORT + 2 + n * NARROWEST + (n + 1) * GAP),
    free = W - 2 * PORT - 2;
  const w = Math.min(WIDEST, (free - (n + 1) * GAP) / Math.max(n, 1)),
    gap = (free - n * w) / (n + 1);
  const at = {rx: {x: 1, y: TOP - 4, w: PORT}, tx: {x: W - PORT - 1, y: TOP - 4, w: PORT}};
  wire.forEach((s, i) => (at[s.key] = {x: PORT + 1 + gap + i * (w + gap), y: TOP, w, h: HIGH}));
  const onWire = s => s.group !== "slow path",
    detours = [];
  f.stages.forEach((stage, i) => {
    if (onWire(stage)) return;
    const a = at[f.stages.slice(0, i).filter(onWire).at(-1)?.key || "rx"],
      b = at[f.stages.slice(i).find(onWire)?.key || "tx"];
    const wide = Math.min(w, 96),
      spot = {x: (a.x + a.w + b.x) / 2 - wide / 2, y: TOP + HIGH + DEPTH, w: wide, h: LOW};
    spot.detour = {stage, a, b, spot, down: a.x + a.w * 0.3, up: b.x + b.w * 0.7};
    at[stage.key] = spot;
    detours.push(spot.detour);
  });
  return {W, at, wire, detours};
}

/** The wire, coloured as far as the packet has travelled: along it, or round by the slow path. */
function wires(f, P) {
  const spot = P.at[f.at] || P.at.rx,
    line = (kind, d) => `<path class="wire ${kind}" d="${d}"/>`;
  const end = spot.detour ? spot.detour.down : f.at === "rx" ? PORT : spot.x + 2;
  let out = line("", `M${PORT} ${MIDDLE}H${P.W - PORT}`),
    from = PORT;
  for (const {stage, a, b, spot: low, down, up} of P.detours) {
    const done = stage.state === "done",
      y = low.y + LOW / 2;
    out += line(done || stage.state === "now" ? "detour hot" : "detour", `M${down} ${TOP + HIGH}V${y}H${low.x}`);
    out += line(done ? "detour hot" : "detour", `M${low.x + low.w} ${y}H${up}V${TOP + HIGH}`);
    if (!done || end < b.x) continue;
    out += line("hot", `M${from} ${MIDDLE}H${a.x + a.w}`);
    from = b.x;
  }
  return out + (end > from ? line("hot", `M${from} ${MIDDLE}H${end}`) : "");
}

/** A bracket with its name under each run of stages of one group. */
function brackets(P) {
  let out = "";
  for (let i = 0, j; i < P.wire.length; i = j) {
    const first = P.wire[i],
      group = first.group;
    for (j = i + 1; j < P.wire.length && P.wire[j].group === group;) j++;
    if (!group || (j === i + 1 && group === first.name)) continue;
    const last = P.at[P.wire[j - 1].key],
      detour = P.detours.find(d => d.a === last),
      y = TOP + HIGH + 5;
    const a = P.at[first.key].x,
      b = detour ? detour.down - 6 : last.x + last.w,
      fits = !detour && b - a > group.length * 6.7;
    out +=
      `<path class="bracket" d="M${a} ${y}v4H${b}v-4"/>` +
      small(fits ? (a + b) / 2 : a, CAPTION, fits ? "middle" : "start", esc(group));
  }
  return out;
}

function tally(s) {
  if (s.state === "skip") return "– skipped";
  if (s.state !== "done" && !s.n) return "";
  if (s.state === "next") return num(s.n);
  return (s.state === "done" ? "✓ " : "") + num(s.n) + (s.out !== undefined && s.out !== s.n ? "→" + num(s.out) : "");
}

function stages(f, P) {
  return f.stages
    .map(s => {
      const {x, y, w, h, detour} = P.at[s.key],
        c = x + w / 2,
        name = clip(s.name, Math.floor(w / 7.3));
      return (
        `<g class="${s.state}"><title>${esc(s.key)}: ${num(s.n)} packets, ${num(s.cycles)} cycles a packet</title>${box(x, y, w, h, 5)}` +
        `<text class="name" x="${c}" y="${y + (detour ? 14 : 18)}" text-anchor="middle">${esc(name)}</text>` +
        small(c, y + (detour ? 27 : 34), "middle", tally(s)) +
        `</g>`
      );
    })
    .join("");
}

/** A note ("csum tso4 tso6") in lines as wide as a port. */
function wrap(note) {
  const lines = [""];
  for (const word of note.split(" ")) {
    const line = `${lines.at(-1)} ${word}`.trim();
    if (line.length > 10 && lines.at(-1)) lines.push(word);
    else lines[lines.length - 1] = line;
  }
  return lines.slice(0, 3).map((line, i) => clip(i === 2 && lines.length > 3 ? `${line} …` : line, 10));
}

/** The ports of one side: one box, or two low ones and a count of the rest. */
function ports(f, P, side) {
  const left = side === "in",
    x = left ? 1 : P.W - PORT - 1,
    edge = left ? 1 : P.W - 1,
    anchor = left ? "start" : "end",
    y = TOP - 4;
  const all = f.ports.filter(p => p.side === side),
    now = f.dots && f.at === (left ? "rx" : "tx") ? "now" : "";
  const count = p => num((left ? p.rx : p.tx) ?? 0),
    words = p => `${left ? "rx" : "tx"} ${count(p)}`;
  const title = p => `<title>${esc(p.name)} (${esc(p.kind)}): ${words(p)}${p.note ? ", " + esc(p.note) : ""}</title>`;
  const name = (p, chars, at, y, anchor) =>
    `<text class="name strong" x="${at}" y="${y}" text-anchor="${anchor}">${esc(clip(p.name, chars))}</text>`;
  if (!all.length)
    return `<g class="skip">${box(x, y, PORT, HIGH + 8, 3, "port")}${small(x + PORT / 2, TOP + 25, "middle", left ? "no port" : "?")}</g>`;
  if (all.length === 1) {
    const p = all[0],
      c = x + PORT / 2,
      note = wrap(p.note || "")
        .map((line, i) => small(edge, CAPTION + 13 * i, anchor, esc(line)))
        .join("");
    const face = box(x, y, PORT, HIGH + 8, 3, "port") + name(p, 8, c, TOP + 17, "middle") + small(c, TOP + 34, "middle", words(p));
    return `<g class="${now}">${title(p)}${face}${note}</g>`;
  }
  const low = (p, i) =>
    `<g class="${now}">${title(p)}${box(x, y + 27 * i, PORT, 23, 3, "port")}${name(p, 5, x + 5, y + 16 + 27 * i, "start")}` +
    small(x + PORT - 5, y + 16 + 27 * i, "end", count(p)) +
    `</g>`;
  const rest = all
    .slice(2)
    .map(p => p.name)
    .join(", ");
  return (
    all.slice(0, 2).map(low).join("") +
    (rest && small(edge, CAPTION, anchor, `+ ${all.length - 2} more<title>${esc(rest)}</title>`))
  );
}

/** The packet's capsule, or a row of dots, above its stage: where it stands and what it looks like. */
export function marker(f, P) {
  const spot = P.at[f.at] || P.at.rx,
    centre = spot.x + spot.w / 2,
    many = f.dots > 1,
    shown = Math.min(f.dots, 14),
    detour = spot.detour;
  const longest = Math.max(...(many && f.burst.length ? f.burst.map(p => p.length) : [f.length]));
  const label = f.drop ? "dropped" : many ? `${f.dots} × ≤ ${num(longest)} B` : `${num(f.length)} B`;
  const half = Math.max(many ? shown * 7 : 26, detour ? 0 : label.length * 7.4) / 2;
  const x = Math.min(Math.max(centre, half + 2), P.W - half - 2),
    y = spot.y - 4;
  if (!f.dots) return {x, y, html: ""};
  const dot = (_, i) => `<circle cx="${(i - (shown - 1) / 2) * 7}" cy="-15" r="2.8"/>`;
  const body = many ? Array.from({length: shown}, dot).join("") : `<rect x="-13" y="-20" width="26" height="10" rx="5"/>`;
  const fits = detour && detour.up + 12 + label.length * 7.4 < P.W; // beside the way up, else beside the way down
  const text = detour
    ? `<text x="${(fits ? detour.up + 12 : detour.down - 12) - x}" y="${LOW / 2 + 8}" text-anchor="${fits ? "start" : "end"}">${label}</text>`
    : `<text text-anchor="middle" y="-27">${label}</text>`;
  const cross = f.drop ? `<path class="cross" d="M-5 -20l10 10M5 -20l-10 10"/>` : "";
  return {x, y, html: `${text}${body}${cross}<path d="M${centre - x - 4} -7h8l-4 6z"/>`};
}

/** The same in words, for those who do not see the picture. */
function story(f) {
  const names = state =>
      f.stages
        .filter(s => s.state === state)
        .map(s => s.name)
        .join(", "),
    done = names("done"),
    skipped = names("skip");
  const who = f.dots > 1 ? `${f.dots} packets` : f.dots ? "The packet" : "No packet";
  return (
    `Step ${f.step} of ${f.steps}. ${who}${f.dots ? `, ${f.length} bytes, at ${f.at}` : " in hand"}. ${f.reason}: ${f.words.replace(/\.$/, "")}. ` +
    (done && `Passed: ${done}. `) +
    (skipped && `Skipped: ${skipped}.`)
  );
}

/** {svg, and the places in it}: the whole pipeline, at least `width` pixels wide. */
export function pipeline(f, width) {
  const P = layout(f, width),
    parts = [wires(f, P), stages(f, P), brackets(P), ports(f, P, "in"), ports(f, P, "out")];
  const size = `width="${P.W}" height="${HEIGHT}" viewBox="0 0 ${P.W} ${HEIGHT}"`;
  P.svg = `<svg ${size} role="img" aria-label="${esc(story(f))}">${parts.join("")}<g class="pk${f.drop ? " lost" : ""}"></g></svg>`;
  return P;
}
