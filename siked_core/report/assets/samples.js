// The browser of single samples: filters, a list of which only what is in view exists, and one sample in full.
// Texts are a model's: they come into the page as text and never as markup.
"use strict";
(async () => {
  const ROW = 56; // pixels of an item, as in the style sheet
  const SPARE = 8; // items drawn above and below what is in view
  const words = JSON.parse(document.getElementById("sample-words").textContent);
  const list = document.getElementById("list");
  const spacer = document.getElementById("spacer");
  const detail = document.getElementById("detail");
  const count = document.getElementById("count");
  const form = document.getElementById("filters");
  const search = document.getElementById("filter-text");

  async function unpacked() {
    const packed = document.getElementById("sample-data").textContent.trim();
    const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  if (typeof DecompressionStream === "undefined") {
    count.textContent = "This browser cannot unpack the samples: it needs DecompressionStream, which all have since 2023.";
    return;
  }
  const { names, problems, rows } = await unpacked();
  const total = rows.key.length;
  const ofProblem = new Map();
  for (let at = 0; at < total; at++) {
    const mine = ofProblem.get(rows.problem[at]);
    if (mine) mine.push(at); else ofProblem.set(rows.problem[at], [at]);
  }
  const field = (name, at) => names[name][rows[name][at]];
  const lowered = new Array(total); // made at the first search
  let found = Array.from({ length: total }, (_, at) => at);
  let place = -1; // in `found`

  function element(kind, text, className) {
    const made = document.createElement(kind);
    if (text !== undefined && text !== null) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // Filters

  const selects = [...form.querySelectorAll("select")];
  for (const select of selects) {
    const name = select.dataset.filter;
    names[name].forEach((value, number) => {
      const option = element("option", name === "status" ? plain(value) : value);
      option.value = String(number);
      select.append(option);
    });
  }

  function plain(status) { return status === null ? "not judged" : status.replaceAll("_", " "); }

  function haystack(at) {
    if (lowered[at] === undefined) {
      const problem = rows.problem[at];
      lowered[at] = [
        problems.question[problem], rows.text[at], rows.rationale[at] ?? "", rows.answer[at], rows.why[at],
        rows.key[at], problems.id[problem],
      ].join("\n").toLowerCase();
    }
    return lowered[at];
  }

  function filter() {
    const kept = place >= 0 ? found[place] : -1;
    const wanted = selects.filter((one) => one.value !== "").map((one) => [rows[one.dataset.filter], Number(one.value)]);
    const text = search.value.trim().toLowerCase();
    const next = [];
    for (let at = 0; at < total; at++) {
      let fits = true;
      for (const [column, value] of wanted) if (column[at] !== value) { fits = false; break; }
      if (fits && (text === "" || haystack(at).includes(text))) next.push(at);
    }
    found = next;
    place = found.indexOf(kept);
    const right = found.reduce((sum, at) => sum + (field("status", at) === "correct" ? 1 : 0), 0);
    count.textContent = found.length
      ? `${found.length.toLocaleString("en")} of ${total.toLocaleString("en")} samples; ${right.toLocaleString("en")} of them correct (${(100 * right / found.length).toFixed(1)} %)`
      : "No sample fits these filters.";
    spacer.style.height = `${found.length * ROW}px`;
    if (place < 0) list.scrollTop = 0; else reveal();
    paint();
  }

  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
  form.addEventListener("reset", () => setTimeout(filter));

  // The list

  function item(number) {
    const at = found[number];
    const made = element("div", null, "item");
    made.id = `item-${at}`;
    made.setAttribute("role", "option");
    made.setAttribute("aria-posinset", String(number + 1));
    made.setAttribute("aria-setsize", String(found.length));
    made.setAttribute("aria-selected", String(number === place));
    made.style.top = `${number * ROW}px`;
    const head = element("div", null, "head");
    head.append(strategy(at), verdict(at), element("span", field("pool", at)));
    if (words.filters.includes("run")) head.append(element("span", field("run", at)));
    made.append(head, element("div", problems.question[rows.problem[at]].slice(0, 300), "line"));
    made.addEventListener("click", () => choose(number));
    return made;
  }

  function strategy(at) {
    const name = field("strategy", at);
    const made = element("span", null, "strategy");
    const dot = element("span", null, "dot");
    dot.style.background = words.colours[name] ?? "#9AA0A6";
    made.append(dot, name);
    return made;
  }

  function verdict(at) {
    const status = field("status", at);
    const right = status === "correct";
    const mark = right ? "✓" : status === null ? "–" : "✗";
    return element("span", `${mark} ${plain(status)}`, right ? "good" : status === null ? "" : "bad");
  }

  function paint() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE);
    const last = Math.min(found.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE);
    const made = [];
    for (let number = first; number < last; number++) made.push(item(number));
    list.replaceChildren(spacer, ...made);
    if (place >= first && place < last) list.setAttribute("aria-activedescendant", `item-${found[place]}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function reveal() {
    const top = place * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  }

  function choose(number) {
    if (!found.length) return;
    place = Math.min(Math.max(number, 0), found.length - 1);
    reveal();
    paint();
    tell(found[place]);
  }

  let scheduled = false;
  list.addEventListener("scroll", () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; paint(); });
  });
  new ResizeObserver(paint).observe(list);
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -total, End: total };
    if (event.key in moves && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      choose(place < 0 && moves[event.key] < total ? 0 : place + moves[event.key]);
    } else if (event.key === "Enter" && place >= 0) {
      event.preventDefault();
      detail.focus();
    }
  });

  // One sample

  const PYTHON = /(#[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|\b(and|as|assert|break|class|continue|def|del|elif|else|except|False|finally|for|from|if|import|in|is|lambda|None|not|or|pass|raise|return|True|try|while|with|yield|print|range|sum|min|max|round|abs|int|float|len)\b|(\b\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?\b)/g;
  const CLASSES = ["c", "s", "k", "n"];

  function code(text, language) {
    const made = element("pre");
    if (!language) { made.append(text); return made; }
    let end = 0;
    for (const match of text.matchAll(PYTHON)) {
      made.append(text.slice(end, match.index));
      const kind = match.slice(1).findIndex((part) => part !== undefined);
      made.append(element("span", match[0], CLASSES[kind]));
      end = match.index + match[0].length;
    }
    made.append(text.slice(end));
    return made;
  }

  function facts(pairs) {
    const made = element("dl");
    for (const [name, value] of pairs) {
      if (value === null || value === "") continue;
      const right = element("dd");
      right.append(value);
      made.append(element("dt", name), right);
    }
    return made;
  }

  function usedFor(at) {
    const inside = rows.mixtures[at].map((one) => names.mixture[one]);
    if (inside.length) return `trained on in ${inside.join(", ")}`;
    if (field("pool", at).startsWith("evaluations/")) return "never trained on: it answers an evaluation";
    if (field("status", at) !== "correct") return "never trained on: it is not correct";
    return "in no mixture: a duplicate, or not chosen";
  }

  function tell(at) {
    const problem = rows.problem[at];
    const name = field("strategy", at);
    const language = words.languages[name];
    const judge = words.verifiers[name];
    const parts = [
      element("h3", "Question"), element("p", problems.question[problem]),
      element("h3", language ? `Rationale (${name}, code)` : `Rationale (${name})`),
      code(rows.rationale[at] ?? rows.text[at], language),
    ];
    if (rows.rationale[at] !== null) {
      const whole = element("details");
      whole.append(element("summary", "As it was written"), code(rows.text[at], ""));
      parts.push(whole);
    }
    const result = { program: "Executed result", equation: "Solved to" }[judge] ?? "Answer found";
    parts.push(element("h3", "Verdict"), facts([
      ["Verdict", verdict(at)],
      [result, rows.answer[at]],
      ["Gold answer", problems.gold[problem] || "unknown"],
      ["Why", rows.why[at]],
      ["Judged by", judge && field("status", at) !== null ? `the verifier ${judge}` : ""],
    ]));
    const asked = field("requested", at);
    const why = `siked why ${words.runs[rows.run[at]]} ${rows.key[at].slice(0, 16)}`;
    const copy = element("button", "Copy");
    copy.type = "button";
    copy.setAttribute("aria-label", "Copy the command");
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(why); copy.textContent = "Copied"; } catch { copy.textContent = "Not allowed here"; }
    });
    const command = element("span");
    command.append(element("code", why), " ", copy);
    parts.push(element("h3", "Lineage"), facts([
      ["Run", words.filters.includes("run") ? field("run", at) : ""],
      ["Written by", `the ${field("source", at)}, round ${field("round", at)}, draw ${rows.draw[at]} (${field("pool", at)})`],
      ["Strategy", asked === null ? `${name}, of its own choice` : `${asked}, as it was told`],
      ["Problem", problems.family[problem] ? `${problems.id[problem]} (${problems.family[problem]})` : problems.id[problem]],
      ["Tokens", `${rows.tokens_in[at].toLocaleString("en")} in, ${rows.tokens_out[at].toLocaleString("en")} out${field("finish", at) === "length" ? ", cut off" : ""}`],
      ["Used for", usedFor(at)],
      ["Everything", command],
    ]));
    const same = ofProblem.get(problem);
    if (same.length > 1) {
      const others = element("ul");
      for (const other of same.slice(0, 60)) {
        const button = element("button");
        button.type = "button";
        button.append(strategy(other), ` ${field("pool", other)} ${field("status", other) === "correct" ? "✓" : "✗"}`);
        if (other === at) button.setAttribute("aria-current", "true");
        button.addEventListener("click", () => { place = found.indexOf(other); if (place >= 0) reveal(); paint(); tell(other); detail.focus(); });
        const entry = element("li");
        entry.append(button);
        others.append(entry);
      }
      parts.push(element("h3", `The same problem, ${same.length.toLocaleString("en")} samples here`), others);
    }
    detail.replaceChildren(...parts);
    detail.scrollTop = 0;
    history.replaceState(null, "", `#sample-${rows.key[at]}`);
  }

  const asked = /^#sample-([0-9a-f]+)$/.exec(location.hash);
  filter();
  if (asked) {
    const at = rows.key.indexOf(asked[1]);
    if (at >= 0) { choose(at); document.getElementById("samples").scrollIntoView(); }
  }
  document.documentElement.dataset.samples = "ready";

  // Make ready for the first search while nothing else is to be done.
  let next = 0;
  function warmUp(deadline) {
    while (next < total && deadline.timeRemaining() > 2) haystack(next++);
    if (next < total) requestIdleCallback(warmUp);
  }
  if (window.requestIdleCallback) requestIdleCallback(warmUp);
})();
