// Draws what /api/events pushes. Everything shown goes through textContent: names come from outside.
"use strict";
const DAY = 86400000, DAYS = 62, NAMES = { d: "done", e: "nothing happened", u: "unanswerable", w: "waiting",
  f: "failed", s: "suspect: contradicted, asked again", ".": "never asked" }, WORST = ".fwsdeu", STATES = ["done", "empty", "unanswerable", "failed", "claimed", "landed"];
const SHOWN = { done: "done", empty: "nothing happened", unanswerable: "unanswerable", failed: "failed", claimed: "waiting",
  landed: "not read yet" };
const at = id => document.getElementById(id), number = n => Number(n).toLocaleString("en");
let last = null, status = null, source = null;

function make(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}
const iso = day => new Date(day).toISOString().slice(0, 10);
function time(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
function fill(id, rows, cells) {
  at(id).tBodies[0].replaceChildren(...rows.map(row => {
    const line = document.createElement("tr");
    line.append(...cells(row));
    return line;
  }));
  at(id).hidden = !rows.length;
  at("no-" + id).hidden = rows.length > 0;
}
function letters(row, dataset) {
  if (dataset !== "both") return row[dataset];
  return [...row.tvl].map((one, day) => {
    const other = row.liquidations[day];
    return WORST.indexOf(one) < WORST.indexOf(other) ? one : other;
  }).join("");
}
function heat() {
  const dataset = at("dataset").value, wanted = at("filter").value.toLowerCase(), first = Date.parse(status.first);
  const rows = status.markets.filter(row => (row.market + " " + row.chain).toLowerCase().includes(wanted));
  const head = document.createElement("tr");
  const complete = status.complete.by_market;
  head.append(make("th", "market"));
  if (complete) head.append(make("th", "complete", "n"));
  const count = rows.length ? rows[0].tvl.length : 0;
  for (let day = 0; day < count; day++) {
    const when = new Date(first + day * DAY), first_of = when.getUTCDate() === 1 || (day === 0 && when.getUTCDate() < 25);
    head.append(make("td", first_of ? iso(when).slice(0, 7) : ""));
  }
  at("heat").tHead.replaceChildren(head);
  at("heat").tBodies[0].replaceChildren(...rows.map(row => {
    const line = document.createElement("tr"), shown = letters(row, dataset);
    line.dataset.market = row.market;
    line.append(make("th", row.market));
    if (complete) line.append(make("th", number(complete[row.market]), "n"));
    for (let day = 0; day < shown.length; day++) {
      const cell = document.createElement("td");
      if (shown[day] !== ".") cell.className = shown[day];
      cell.title = `${row.market} ${iso(first + day * DAY)}: TVL ${NAMES[row.tvl[day]]}, liquidations ${NAMES[row.liquidations[day]]}`;
      line.append(cell);
    }
    return line;
  }));
  const whole = complete && rows.reduce((sum, row) => sum + complete[row.market], 0);
  at("complete").textContent = complete ? `${number(whole)} complete market-days in the panel as it was built last`
    : `Complete market-days are not known: ${status.complete.why}`;
  at("span").textContent = `${status.first} .. ${status.last}`;
  at("no-markets").hidden = status.markets.length > 0;
}
function pace() {
  const most = Math.max(1, ...status.pace), space = "http://www.w3.org/2000/svg";
  at("pace").replaceChildren(...status.pace.map((count, minute) => {
    const bar = document.createElementNS(space, "rect"), high = 96 * count / most;
    for (const [name, value] of Object.entries({ x: minute * 10 + 1, y: 98 - high, width: 8, height: high }))
      bar.setAttribute(name, value);
    const note = document.createElementNS(space, "title");
    note.textContent = `${59 - minute} min ago: ${number(count)}`;
    bar.append(note);
    return bar;
  }));
  const total = status.pace.reduce((sum, one) => sum + one, 0), recent = status.pace.slice(-5).reduce((a, b) => a + b, 0);
  at("pace-note").textContent = `${number(total)} answers in the last hour, ${number(recent / 5)} a minute in the last five`;
}
function draw() {
  at("counts").replaceChildren(...STATES.filter(state => status.counts[state]).map(state => {
    const item = make("li", SHOWN[state] + " ");
    item.append(make("b", number(status.counts[state])));
    item.dataset.state = state;
    return item;
  }));
  heat();
  pace();
  const working = status.runs.filter(run => run.at_work);
  fill("runs", working, run => [make("td", run.what), make("td", run.worker), make("td", number(run.done), "n"),
    make("td", number(run.total), "n"), make("td", number(run.failed), run.failed ? "n bad" : "n"),
    make("td", time(run.left_s))]);
  fill("failures", status.failures, one => {
    const newest = make("td", one.example);
    newest.title = one.error || "";
    return [make("td", number(one.count), "n"), make("td", one.reason, "bad"), make("td", one.remedy), newest];
  });
  const seen = new Map();
  for (const run of status.runs) for (const one of run.endpoints) {
    const key = one.chain + " " + one.name;
    if (!seen.has(key)) seen.set(key, { ...one, fresh: run.at_work });
  }
  fill("endpoints", [...seen.values()], one => {
    const state = one.problem ? one.problem : !one.fresh ? "idle" : one.waits_s ? `sits out ${one.waits_s} s` : "well";
    return [make("td", one.chain), make("td", one.name), make("td", number(one.requests), "n"),
      make("td", number(one.retries), "n"), make("td", Math.round(one.latency_s * 1000), "n"),
      make("td", number(one.rate), "n"), make("td", state, one.problem ? "bad" : state === "well" ? "well" : "")];
  });
}
function connect() {
  if (source) source.close();
  const query = `days=${DAYS}` + (last ? `&last=${last}` : "");
  source = new EventSource("/api/events?" + query);
  source.onmessage = message => {
    status = JSON.parse(message.data);
    at("live").textContent = `as of ${status.at.slice(0, 19).replace("T", " ")} UTC`;
    at("live").className = "on";
    draw();
  };
  source.onerror = () => { at("live").textContent = "no connection, trying again"; at("live").className = "off"; };
}
function move(days) {
  const to = Math.min(Date.parse(status.last) + days * DAY, Date.now());
  last = iso(to);
  connect();
}
at("earlier").onclick = () => status && move(-31);
at("later").onclick = () => status && move(31);
at("dataset").onchange = at("filter").oninput = () => status && heat();
connect();
