// The lower half of the stepper: the reason, the dissection with what changed, the chain of mbufs, the bytes, the mask's
// ledger, and the source when one stands inside a stage. One frame in, HTML out; `open` has the layers shown whole.
import {clip, esc, num} from "./pipeline.js";

const LETTER = {
  eth: "E",
  vlan: "V",
  mpls: "M",
  arp: "A",
  ip: "I",
  ip6: "6",
  icmp: "C",
  icmp6: "C",
  tcp: "T",
  udp: "U",
  sctp: "S",
  vxlan: "X",
  geneve: "N",
  gre: "G",
};
// Fields that a layer's headline says already, or that seldom matter: shown when they changed, or when asked for.
const QUIET = new Set([
  ...["dl_dst", "dl_src", "vlan_pcp", "hardware", "protocol", "version", "header length", "version, ihl", "nw_tos", "nw_ecn"],
  ...["ipv6_label", "id", "frag", "ack", "offset", "window", "urgent", "options"],
]);
const hex4 = n => n.toString(16).padStart(4, "0");
const byte = (f, o) => f.hex.slice(o * 2, o * 2 + 2);
const heading = (name, said = "") => `<h4>${name}<span title="${said}">${said}</span></h4>`;
const range = (off, len) => `data-o="${off}" data-n="${len}"`;

/** What byte `o` was before this step: undefined if it is as it was, "" if it is new. */
function previous(f, o) {
  for (const [at, length, was] of f.changed) {
    if (o < at || o >= at + length) continue;
    const old = was.slice((o - at) * 2, (o - at) * 2 + 2);
    if (old !== byte(f, o)) return old;
  }
}

/** Runs of bytes that differ: {at, end, old, now}. */
function runs(f) {
  const out = [];
  for (const [at, length] of f.changed) {
    for (let o = at; o < at + length; o++) {
      const old = previous(f, o),
        now = byte(f, o),
        last = out.at(-1);
      if (old === undefined || !now) continue;
      if (last && last.end === o && !last.old === !old)
        Object.assign(last, {end: o + 1, old: last.old && `${last.old} ${old}`, now: `${last.now} ${now}`});
      else out.push({at: o, end: o + 1, old, now});
    }
  }
  return out;
}

/** The bar that says why: the reason's code, its sentence, the cure, and what changed. */
export function reason(f) {
  const n = runs(f).reduce((sum, d) => sum + d.end - d.at, 0),
    names = f.tables.map(t => t.name);
  const changed = n ? `≠ ${n} byte${n > 1 ? "s" : ""}` : "bytes unchanged",
    more = names.length > 4 ? ", …" : "";
  const cure = f.cure ? ` <code class="cure" title="what changes this decision: select it and copy">${esc(f.cure)}</code>` : "";
  const detail = f.tables.map(t => `${t.name}: ${t.fields || t.rows}`).join("\n");
  return (
    `<b>${esc(f.reason)}</b><span class="say">${esc(f.words)}${cure}</span>` +
    `<span class="sum" title="${esc(detail)}">${esc([changed, ...names.slice(0, 4)].join(", ") + more)}</span>`
  );
}

function field(l, x, id) {
  const changed = x.was !== undefined,
    mark = changed ? "≠" : l.new ? "+" : "",
    last = x.off + x.len - 1;
  const value = changed ? `<del>${esc(x.was)}</del> → <ins>${esc(x.value)}</ins>` : esc(x.value);
  return (
    `<div role="treeitem" aria-level="2" tabindex="-1" class="fld${mark ? " chg" : ""}" ${range(x.off, x.len)}` +
    ` data-f="${esc(`${id}/${x.name}`)}" title="${esc(x.name)} ${esc(x.value)}: bytes ${x.off} to ${last}"><span class="mk">${mark}</span>` +
    `<span class="k">${esc(x.name)}</span><span class="v">${value}</span></div>`
  );
}

function layer(l, open, id) {
  const all = open.has(id),
    rows = l.fields.filter(x => all || l.new || x.was !== undefined || !QUIET.has(x.name) || l.key.startsWith("icmp"));
  const hidden = l.fields.length - rows.length,
    label = `${all ? "fewer" : `${hidden} more`} fields of ${l.name}`;
  const sign = all ? "–" : `+${hidden}`;
  const more = `<button class="more" data-layer="${id}" aria-expanded="${all}" aria-label="${esc(label)}">${sign}</button>`;
  return (
    `<div class="lay" style="--c:var(--${l.key})">` +
    `<div role="treeitem" aria-level="1" tabindex="0" class="top" data-f="${id}/" ${range(l.off, l.len)}>` +
    `<span class="tag" aria-hidden="true">${LETTER[l.key] || "·"}</span><b>${esc(l.name)}</b><span class="dim" title="${esc(l.head)}">${esc(l.head)}</span>` +
    (l.new ? `<span class="mk">+ new</span>` : "") +
    (hidden || all ? more : "") +
    `</div>` +
    rows.map(x => field(l, x, id)).join("") +
    `</div>`
  );
}

function dissection(f, open) {
  const rest = f.length - f.headers,
    payload = {key: "data", name: "payload", head: `${num(rest)} B`, off: f.headers, len: rest, fields: []};
  const layers = rest > 0 ? [...f.tree, payload] : f.tree,
    nth = i => layers.slice(0, i).filter(l => l.key === layers[i].key).length; // a tunnel's layers come twice
  return `<div class="tree" role="tree" aria-label="layers of the packet">${layers.map((l, i) => layer(l, open, l.key + (nth(i) ? nth(i) + 1 : ""))).join("")}</div>`;
}

/** The buffers: headroom hatched, layers where they lie (a header may be spread over segments), the rest payload. */
function chain(f) {
  const piece = (n, colour, title) => `<u style="flex:${n};--c:${colour}" title="${esc(title)}"></u>`;
  let start = 0;
  const segments = f.chain.map(m => {
    const from = start,
      end = start + m.len,
      tail = m.room - m.head - m.len;
    let left = m.len,
      drawn = m.head ? `<u class="head" style="flex:${m.head}" title="headroom ${m.head} B"></u>` : "";
    for (const l of f.tree) {
      const part = Math.min(end, l.off + l.len) - Math.max(from, l.off);
      if (part <= 0) continue;
      drawn += piece(Math.max(part, 26), `var(--${l.key})`, `${l.name} ${part} B`);
      left -= part;
    }
    start = end;
    drawn +=
      (left > 0 ? piece(left, "var(--rest)", `payload ${left} B`) : "") +
      (tail > 0 ? piece(tail, "transparent", `free ${tail} B`) : "");
    const who = `mbuf ${m.i}${m.head ? `, head ${m.head}` : ""}${m.ext ? ", external" : ""}`,
      size = `${num(m.len)} B${m.ref > 1 ? `, ref ${m.ref}` : ""}`;
    const buffer = `<div class="buf${m.ext ? " ext" : ""}" data-from="${from}" data-to="${end}">${drawn}</div>`;
    return `<div class="mb">${buffer}<small title="${who}">${who}</small><small>${size}</small></div>`;
  });
  const n = segments.length,
    gap = `<div class="mb rest">→ ${n - 3}<br>more →</div>`;
  const shown = n > 4 ? [segments[0], segments[1], gap, segments[n - 1]] : segments;
  return (
    heading("chain of mbufs", `${n} segment${n > 1 ? "s" : ""}, ${num(f.length)} B`) +
    `<div class="chain">${shown.join("")}</div>`
  );
}

function bytes(f) {
  const have = f.hex.length / 2,
    last = Math.max(96, f.headers, ...f.changed.map(c => c[0] + c[1])),
    rows = Math.ceil(Math.min(have, last) / 16);
  const layerOf = o => f.tree.find(l => o >= l.off && o < l.off + l.len)?.key || "data",
    edges = new Set([...f.tree.map(l => l.off), f.headers]);
  const cell = o => {
    const was = previous(f, o),
      kinds = [o % 16 === 8 && "gap", o < have && edges.has(o) && "edge", was !== undefined && "chg"].filter(Boolean).join(" ");
    if (o >= have) return `<s class="${kinds}"></s>`;
    const title = was === undefined ? "" : ` title="${was ? `was ${was}` : "inserted"}"`;
    return `<s data-b="${o}" class="${kinds}" style="--c:var(--${layerOf(o)})"${title}>${byte(f, o)}</s>`;
  };
  const row = r => `<i>${hex4(r * 16)}</i>` + Array.from({length: 16}, (_, c) => cell(r * 16 + c)).join("");
  return (
    heading("bytes", `first ${Math.min(rows * 16, have)} of ${num(f.length)}`) +
    `<div class="hex" role="img" aria-label="first bytes in hexadecimal">${Array.from({length: rows}, (_, r) => row(r)).join("")}</div>`
  );
}

function differences(f) {
  const all = runs(f),
    old = d => (d.old ? `<del>${clip(d.old, 47)}</del> → ` : "+ ");
  const shown = all
    .slice(0, 8)
    .map(d => `<span><b class="mk">≠</b> ${hex4(d.at)} ${old(d)}<ins>${clip(d.now, 47)}</ins></span>`)
    .join("");
  const more = all.length > 8 ? `<span>and ${all.length - 8} more places</span>` : "";
  return `<div class="diff">${shown || "<span>no byte changed in this step</span>"}${more}</div>`;
}

/** The cells of a field of the key byte by byte, its highest bit first; `lead` bits of its first byte are not the field's. */
function cells(x, hatch) {
  const keys = [...Array(x.lead).fill(null), ...x.cells.flatMap(([n, key]) => Array(n).fill(key))],
    bytes = Array.from({length: Math.ceil(keys.length / 8)}, (_, k) => keys.slice(8 * k, 8 * k + 8)),
    alike = bytes.length > 1 && (x.off === null || x.bits > 48) && bytes.every(b => b.join() === bytes[0].join());
  const cell = k => (k === null ? `<q class="no"></q>` : `<q class="${k ? `h${hatch[k]}` : ""}" data-k="${k}"></q>`);
  const drawn = (alike ? bytes.slice(0, 1) : bytes).map(b => `<span>${b.map(cell).join("")}</span>`);
  return drawn.join("") + (alike ? `<i>×${bytes.length}</i>` : "");
}

/** Why each bit of the megaflow's mask is there; without that, the megaflow in words. */
function ledger(f) {
  if (!f.ledger.length) return heading("megaflow") + `<p class="mega">${esc(f.mega || "none yet: the upcall will write one")}</p>`;
  const hatch = Object.fromEntries(f.causes.map(c => [c.key, c.hatch])),
    sum = list => list.reduce((n, x) => n + x.bits, 0);
  const figure = (x, i) => {
    const who = [...new Set(x.cells.map(c => c[1]).filter(Boolean))],
      asked = x.cells.reduce((n, [count, key]) => n + (key ? count : 0), 0),
      where = x.off === null ? "no byte of the packet" : `bytes ${x.off} to ${x.off + x.len - 1}`;
    const label = `${x.field}: ${asked} of ${x.bits} bits asked for${who.length ? ` by ${who.join(", ")}` : ""}; ${where}`;
    const place = x.off === null ? "" : range(x.off, x.len);
    return (
      `<figure tabindex="${i ? -1 : 0}" data-f="ledger/${x.field}" ${place} title="${label}" aria-label="${label}">` +
      `<div class="bits">${cells(x, hatch)}</div>` +
      `<figcaption>${x.field} ${who.length ? `<b>${who.join(" ")}</b>` : "any"}</figcaption></figure>`
    );
  };
  const cause = c =>
    `<li><button class="cause" data-f="cause/${c.key}" data-c="${c.key}" aria-pressed="false" title="${c.kind}: ${c.bits} bits; select it to see them">` +
    `<u class="swatch h${c.hatch}"></u><b>${c.key}</b><span>${esc(c.text)}</span><span class="dim">${c.bits}</span></button></li>`;
  const [, ufid, words] = f.mega.match(/^(ufid [^,]*).*?: (.*)$/s) || [null, "", f.mega];
  const own = f.ledger.filter(x => x.off !== null),
    other = f.ledger.filter(x => x.off === null);
  const rest = other.length ? `<div class="led" role="group" aria-label="fields that are no bytes of the packet">${other.map((x, i) => figure(x, own.length + i)).join("")}</div>` : "";
  return (
    heading("mask ledger", `${esc(ufid)}${ufid && ", "}${sum(f.causes)} of ${sum(f.ledger)} bits`) +
    `<p class="mega">${esc(words)}</p>` +
    `<div class="led" role="group" aria-label="fields of the packet">${own.map(figure).join("")}</div>${rest}` +
    `<ul class="key" aria-label="who asked">${f.causes.map(cause).join("")}</ul>`
  );
}

/** All packets in hand, by what was decided for them; the one shown is framed. */
function hand(f) {
  if (f.burst.length < 2) return "";
  const rows = new Map(),
    chip = ([serial, lengths]) =>
      `<span class="chip${serial === f.packet ? " this" : ""}" title="packet ${serial}: ${lengths.map(num).join(", ")} B">` +
      `${serial}${lengths.length > 1 ? ` × ${lengths.length}` : ""}</span>`,
    bySerial = list => {
      const found = new Map();
      for (const p of list) found.set(p.serial, [...(found.get(p.serial) || []), p.length]);
      return [...found];
    };
  for (const p of f.burst) rows.set(p.reason, [...(rows.get(p.reason) || []), p]);
  const row = ([why, list]) =>
    `<div><b>${esc(why || "in hand")}</b><span class="dim">${list.length}</span><span class="chips">${bySerial(list).map(chip).join("")}</span></div>`;
  const said = f.dots > f.burst.length ? `${f.dots}, first ${f.burst.length} shown` : f.burst.length;
  return heading("packets in hand", said) + `<div class="hand">${[...rows].map(row).join("")}</div>`;
}

/** What GRO holds: it is in nobody's hands, and goes on when something ends it. */
function held(f) {
  if (!f.held.length) return "";
  const row = h =>
    `<tr><td>${esc(h.flow)}</td><td class="n">${num(h.packets)}</td><td class="n">${num(h.bytes)}</td><td class="n">${num(h.since)}</td>` +
    `<td class="dim">${esc(h.goes)}</td></tr>`;
  const head = `<tr><th>flow</th><th class="n">packets</th><th class="n">bytes</th><th class="n">µs</th><th>goes</th></tr>`;
  return heading("held by GRO", f.held.length) + `<table class="held"><thead>${head}</thead><tbody>${f.held.map(row).join("")}</tbody></table>`;
}

const KINDS = ["remark", "string", "word", "mark"];
const KEYWORDS = "def|for|in|if|elif|else|while|return|and|or|not|continue|break|is|True|False|None";
const TOKEN = new RegExp(`(#.*$)|("""(?:.*?""")?|'[^']*'|"[^"]*")|\\b(${KEYWORDS})\\b|(@\\w+)`, "g");

function paint(text) {
  let out = "",
    done = 0;
  for (const m of text.matchAll(TOKEN)) {
    out += esc(text.slice(done, m.index)) + `<span class="${KINDS[m.slice(1).findIndex(Boolean)]}">${esc(m[0])}</span>`;
    done = m.index + m[0].length;
  }
  return out + esc(text.slice(done));
}

/** INTO: the source of the stage with the line that comes next, and what its names hold. */
function source(f) {
  const L = f.line,
    line = (text, i) => {
      const here = L.first + i === L.at;
      const number = `<i>${here ? "▶" : ""}</i><i>${L.first + i}</i>`;
      return `<div${here ? ` class="here" aria-current="step"` : ""}>${number}<code>${paint(text) || " "}</code></div>`;
    };
  const names = Object.entries(L.locals)
    .filter(([, v]) => !v.startsWith("<Table ")) // the stage's own tables: the same at every line
    .map(([k, v]) => `<div><dt>${esc(k)}</dt><dd title="${esc(v)}">${esc(v)}</dd></div>`)
    .join("");
  return (
    `<div class="whole">${heading(`inside ${esc(f.stage)}`, `${esc(L.file)}:${L.at}`)}` +
    `<div class="inside"><div class="src">${L.text.map(line).join("")}</div>` +
    `<dl aria-label="names and values">${names}</dl></div></div>`
  );
}

/** The two columns, and above them the source when one stands inside a stage. */
export function packet(f, open) {
  const inside = f.line ? source(f) : "",
    why = f.line ? "" : `<div class="ledger">${ledger(f)}</div>`;
  if (!f.tree.length)
    return `${inside}<div>${heading("packet")}<p class="dim">No packet in hand.</p></div><div>${hand(f)}${held(f)}${why}</div>`;
  return (
    `${inside}<div>${heading(`packet ${f.packet}`, f.gso ? `gso_size ${f.gso}` : "")}${dissection(f, open)}</div>` +
    `<div>${hand(f)}${held(f)}${chain(f)}${bytes(f)}${differences(f)}${why}</div>`
  );
}
