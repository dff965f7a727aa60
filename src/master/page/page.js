// The page at the metrics address: reads the server's reports again and again, and shows
// them. Every time is the server's, so a wrong clock of the browser makes no wrong age.

import { Chart, linear, logarithmic } from "./charts.js";
import { Table, Tiles, element, write } from "./table.js";
import { UNKNOWN, bytes, clock, count, duration, line, lines, moment, percent, rate, zone } from "./text.js";

/** The time between two readings of the status, in milliseconds. */
const PAUSE = 2000;
/** The time after which a server without a response counts as not reached. */
const LIMIT = 8000;
/** The most rows of requests. */
const ROWS = 50;
/** A certificate that expires within this time, in seconds, is marked. */
const SOON = 14 * 86400;

const find = (id) => document.getElementById(id);
const sum = (values) => values.reduce((total, value) => total + value, 0);
const total = (counts) => sum(Object.values(counts ?? {}));
const name = (report) => line(report.name ?? report.application ?? "Monoceros");
/** The sum of a figure over processes; null if it is known of none. */
const over = (processes, figure) => {
  const values = processes.map((process) => process[figure]).filter((value) => value != null);
  return values.length ? sum(values) : null;
};

/** Everything that is read and not kept in the document. */
const known = { report: null, before: null, history: null, chosen: null, failures: 0, since: null };

// --- tables

const place = ({ kind, slot }) => (slot == null ? kind : kind === "worker" ? `${slot}` : `${kind} ${slot}`);

function share(worker) {
  const earlier = known.before?.workers.find(({ process }) => process.pid === worker.process.pid);
  const used = worker.process.cpu_seconds - earlier?.process.cpu_seconds;
  return used >= 0 ? used / (known.report.at - known.before.at) : null;
}

const longest = ({ running }) => {
  const [request] = running;
  return request ? `${request.method} ${request.target}` : null;
};

const workers = new Table(
  find("workers"),
  [
    { label: "Worker", text: place },
    { label: "State", text: ({ state }) => state, mark: ({ state }) => `state ${state}` },
    { label: "Gen.", kind: "number", text: ({ generation }) => `${generation}` },
    { label: "Pid", kind: "number", text: ({ process }) => `${process.pid || UNKNOWN}` },
    { label: "Age", kind: "number", text: ({ since }) => duration(known.report.at - since) },
    { label: "Requests", kind: "number", text: ({ requests }) => count(requests), value: ({ requests }) => requests },
    { label: "Errors", kind: "number", text: ({ errors }) => count(errors), value: ({ errors }) => errors },
    { label: "Running", kind: "number", text: (worker) => `${worker.in_progress} of ${worker.threads}` },
    { label: "Waiting", kind: "number", text: ({ waiting }) => count(waiting) },
    { label: "Conns.", kind: "number", text: ({ connections }) => count(connections) },
    { label: "CPU", kind: "number", text: (worker) => percent(share(worker)) },
    { label: "RSS", kind: "number", text: ({ process }) => bytes(process.rss), value: ({ process }) => process.rss },
    { label: "PSS", kind: "number", text: ({ process }) => bytes(process.pss), value: ({ process }) => process.pss },
    { label: "Runs for", kind: "number", text: ({ running }) => (running.length ? duration(running[0].age_seconds) : UNKNOWN) },
    { label: "Longest request", kind: "code", text: (worker) => line(longest(worker) ?? UNKNOWN) },
  ],
  ({ process }) => `${process.pid}`,
);

const requestColumns = (age) => [
  { label: age, kind: "number", text: (request) => duration(request.age_seconds) },
  { label: "Request", kind: "code", text: ({ method, target }) => line(`${method} ${target}`) },
  { label: "Client", kind: "code", text: ({ client }) => line(client || UNKNOWN) },
  { label: "Status", kind: "number", text: ({ status }) => (status ? `${status}` : UNKNOWN), mark: ({ status }) => (status >= 500 ? "bad" : "") },
  { label: "Worker", kind: "number", text: ({ worker, pid }) => (worker == null ? `pid ${pid}` : `${worker}`) },
  { label: "Thread", kind: "number", text: ({ thread }) => `${thread || UNKNOWN}` },
  { label: "Identifier", kind: "code", text: ({ id }) => line(id) },
];
const requestKey = ({ pid, thread, id }) => `${pid} ${thread} ${id}`;
const running = new Table(find("running"), requestColumns("Runs for"), requestKey);
const ended = new Table(
  find("ended"),
  [{ label: "Ended", kind: "number", text: ({ began, age_seconds }) => clock(began + age_seconds) }, ...requestColumns("Took")],
  requestKey,
);

/** The text of a reload or upgrade: its reason, and below it the rest. */
function fillReason(cell, { text }) {
  if (cell.dataset.text === (text ?? "")) return;
  cell.dataset.text = text ?? "";
  const [first, ...rest] = lines(text ?? UNKNOWN).trimEnd().split("\n");
  const reason = element("bdi", {}, first);
  if (rest.length === 0) {
    cell.replaceChildren(reason);
    return;
  }
  const whole = element("pre", { tabindex: "0", role: "region", "aria-label": "Traceback" }, rest.join("\n"));
  cell.replaceChildren(element("details", {}, element("summary", {}, reason), whole));
}

const changes = new Table(
  find("changes"),
  [
    { label: "Began", text: ({ began }) => moment(began) },
    { label: "What", text: ({ kind, generation }) => `${kind} to generation ${generation}` },
    { label: "Outcome", text: ({ outcome }) => outcome, mark: ({ outcome }) => `state ${outcome}` },
    { label: "Took", kind: "number", text: ({ took_seconds }) => duration(took_seconds) },
    { label: "Reason", kind: "reason", fill: fillReason },
  ],
  ({ kind, began }) => `${kind} ${began}`,
);

const queue = ({ queue, queue_limit }) => (queue == null ? UNKNOWN : queue_limit == null ? count(queue) : `${count(queue)} of ${count(queue_limit)}`);
const listeners = new Table(
  find("listeners"),
  [
    { label: "Address", kind: "code", text: ({ address }) => line(address) },
    { label: "Scheme", text: ({ scheme }) => scheme },
    { label: "Accept queue", kind: "number", text: queue, value: ({ queue }) => queue },
    { label: "Active", kind: "number", text: ({ connections }) => count(connections.active) },
    { label: "Idle", kind: "number", text: ({ connections }) => count(connections.idle) },
    { label: "Opening", kind: "number", text: ({ connections }) => count(connections.opening) },
    { label: "Accepted", kind: "number", text: ({ accepted }) => count(accepted), value: ({ accepted }) => accepted },
  ],
  ({ scheme, address }) => `${scheme} ${address}`,
);

const left = ({ not_after }) => not_after - known.report.at;
const certificates = new Table(
  find("certificates"),
  [
    { label: "Names", kind: "code", text: ({ names }) => line(names.join(", ")) },
    { label: "Expires", text: ({ not_after }) => moment(not_after) },
    {
      label: "Left",
      kind: "number",
      text: (certificate) => (left(certificate) > 0 ? duration(left(certificate)) : "expired"),
      mark: (certificate) => (left(certificate) < SOON ? "bad" : ""),
    },
  ],
  ({ names, not_after }) => `${names.join()} ${not_after}`,
);

/** Shows the records of a table, or the sentence that there are none. */
function showOr(sentence, table, shown, records) {
  find(sentence).hidden = records.length > 0;
  find(table).hidden = records.length === 0;
  shown.show(records);
}

function showRequests(kind, caption, table, records) {
  showOr(`no-${kind}`, kind, table, records.slice(0, ROWS));
  const cut = records.length > ROWS ? `: ${ROWS} of ${count(records.length)}` : "";
  write(find(`${kind}-caption`), `${caption}${cut}`);
}

// --- totals

/** Tables of counts by reason, of which only those that are not empty are shown. */
const counts = [
  ["requests", "Responses by status", "Status"],
  ["refused", "Given up by the server", "Reason"],
  ["exits", "Ends of processes", "Reason"],
  ["handshakes", "TLS handshakes", "Result"],
  ["static_files", "Static files", "Result"],
].map(([field, caption, heading]) => {
  const table = element("table", { "data-counts": field }, element("caption", {}, caption));
  find("counts").append(table);
  const columns = [
    { label: heading, text: ([reason]) => line(reason) },
    { label: "Count", kind: "number", text: ([, value]) => count(value), value: ([, value]) => value },
  ];
  return { field, table, rows: new Table(table, columns, ([reason]) => reason) };
});

const tiles = new Tiles(find("tiles"), {
  ready: "Workers ready",
  rate: "Responses/s",
  errors: "Errors/s",
  times: "Time, p99",
  running: "Running",
  waiting: "Waiting",
  connections: "Connections",
  memory: "Memory, RSS",
});
const totals = new Tiles(find("totals"), {
  requests: "Requests",
  received: "Received",
  sent: "Sent",
  connections: "Connections",
  timeouts: "Over timeout",
  spawns: "Processes started",
});

function showTotals(report) {
  const { totals: all } = report;
  for (const { field, table, rows } of counts) {
    const records = Object.entries(all[field] ?? {}).filter(([, value]) => value > 0);
    table.hidden = records.length === 0;
    rows.show(records);
  }
  const figures = { ...all, requests: total(all.requests) };
  for (const field of ["requests", "connections", "timeouts", "spawns"]) totals.show(field, count(figures[field]), { value: figures[field] });
  for (const field of ["received", "sent"]) totals.show(field, bytes(figures[field]), { value: figures[field] });
}

// --- the report

function showOverview(report) {
  const shown = report.workers.filter(({ kind }) => kind !== "mold");
  const ready = shown.filter(({ state }) => state === "ready").length;
  const text = `${ready} of ${report.wanted_workers}`;
  tiles.show("ready", text, { value: ready, mark: ready < report.wanted_workers ? "warn" : "" });
  const inProgress = sum(shown.map(({ in_progress }) => in_progress));
  const threads = sum(shown.map(({ threads }) => threads));
  tiles.show("running", count(inProgress), { value: inProgress, note: `${count(threads)} threads` });
  const waiting = sum(shown.map(({ waiting }) => waiting));
  const queued = over(report.listeners, "queue");
  const note = queued == null ? "" : `${count(queued)} not accepted`;
  tiles.show("waiting", count(waiting), { value: waiting, note });
  const open = sum(report.listeners.map(({ connections }) => connections.idle + connections.active + connections.opening));
  tiles.show("connections", count(open), { value: open, note: "open" });
  const processes = [report.master, ...report.workers.map(({ process }) => process)];
  const rss = over(processes, "rss");
  tiles.show("memory", bytes(rss), { value: rss, note: `${processes.length} processes` });
  return { ready };
}

function showReport(report) {
  known.before = known.report?.master.pid === report.master.pid ? known.report : null;
  known.report = report;
  const { ready } = showOverview(report);
  write(find("name"), name(report));
  const facts = [
    `Monoceros ${report.version}`,
    report.application && report.name ? line(report.application) : "",
    `generation ${report.generation}`,
    `pid ${report.master.pid}`,
    `up for ${duration(report.at - report.started)}`,
  ];
  write(find("identity"), facts.filter(Boolean).join(" · "));
  const underWay = report.rolling_to == null ? "" : `, reloading to generation ${report.rolling_to}`;
  write(find("state"), `${report.state}${underWay}${report.is_upgrading ? ", upgrading" : ""}`);
  find("state").className = `badge ${report.is_ready ? "ready" : "warn"}`;
  write(find("summary"), line(report.summary));
  document.title = `${name(report)}: ${report.state}, ${ready} of ${report.wanted_workers} workers`;
  const concerns = find("concerns");
  concerns.hidden = report.concerns.length === 0;
  const items = report.concerns.map((concern) => lines(concern));
  if (concerns.dataset.text !== items.join("\n")) {
    concerns.dataset.text = items.join("\n");
    concerns.lastElementChild.replaceChildren(...items.map((item) => element("li", {}, item)));
  }
  workers.show(report.workers);
  const all = report.workers.flatMap(({ running }) => running);
  showRequests("running", "The longest first", running, all.sort((a, b) => b.age_seconds - a.age_seconds));
  showOr("no-changes", "changes", changes, report.changes);
  listeners.show(report.listeners);
  find("certificates-section").hidden = report.certificates.length === 0;
  certificates.show(report.certificates.toSorted((a, b) => a.not_after - b.not_after));
  showTotals(report);
}

function showEnded(requests) {
  const past = requests.filter(({ is_running }) => !is_running);
  const end = ({ began, age_seconds }) => began + age_seconds;
  showRequests("ended", "The newest first", ended, past.sort((a, b) => end(b) - end(a)));
}

// --- the history

const perSecond = (status) => (point) => point.responses[status] / point.seconds;
const slider = find("moment");
const charts = [
  {
    name: "rates",
    title: "Responses per second",
    stacked: true,
    scale: linear(10),
    format: rate,
    alarm: ({ responses }) => responses["5xx"] > 0,
    series: ["2xx", "3xx", "4xx", "5xx"].map((status) => ({ label: status, name: `status-${status}`, value: perSecond(status) })),
  },
  {
    name: "times",
    title: "Response time",
    scale: logarithmic(1e-6),
    format: duration,
    series: ["p50", "p90", "p99"].map((share) => ({ label: share, name: share, value: (point) => point[`${share}_seconds`] ?? null })),
  },
  {
    name: "queue",
    title: "Requests in the server",
    scale: linear(10),
    format: count,
    series: [
      { label: "running", name: "running", value: ({ running }) => running },
      { label: "waiting", name: "waiting", value: ({ waiting }) => waiting },
      { label: "not accepted", name: "queued", value: ({ queued }) => queued ?? null },
    ],
  },
  {
    name: "memory",
    title: "Memory, RSS",
    stacked: true,
    scale: linear(2),
    format: bytes,
    series: [{ label: "all processes", name: "memory", value: ({ memory }) => memory ?? 0 }],
  },
].map((options) => new Chart(find("charts"), options, choose));

const historyTable = new Table(
  find("history-table"),
  [
    { label: "Time", text: ({ at }) => clock(at) },
    ...["2xx", "3xx", "4xx", "5xx"].map((status) => ({ label: `${status} /s`, kind: "number", text: (point) => rate(perSecond(status)(point)) })),
    ...["p50", "p90", "p99"].map((share) => ({ label: share, kind: "number", text: (point) => duration(point[`${share}_seconds`]) })),
    { label: "Running", kind: "number", text: ({ running }) => count(running) },
    { label: "Waiting", kind: "number", text: ({ waiting }) => count(waiting) },
    { label: "Not accepted", kind: "number", text: ({ queued }) => count(queued) },
    { label: "RSS", kind: "number", text: ({ memory }) => bytes(memory) },
  ],
  ({ at }) => `${at}`,
);

/** Shows the values of one point in all charts; null is the latest one. */
function choose(index) {
  const points = known.history?.points ?? [];
  const last = points.length - 1;
  known.chosen = index == null || index >= last ? null : points[index].at;
  showMoment();
}

/** The chosen point is kept by its time, since the indices move with each new point. */
function showMoment() {
  const points = known.history?.points ?? [];
  if (points.length === 0) return;
  const last = points.length - 1;
  const found = points.findIndex(({ at }) => at === known.chosen);
  const index = found < 0 ? last : found;
  const words = charts.map((chart) => chart.show(index, found >= 0)).filter(Boolean);
  slider.max = last;
  slider.value = index;
  slider.disabled = last === 0;
  const time = found < 0 ? `latest, ${clock(points[last].at)}` : clock(points[index].at);
  write(find("moment-time"), time);
  // A screen reader reads this out when it changes: not with each new point.
  slider.setAttribute("aria-valuetext", found < 0 ? "latest" : `${time}: ${words.join(", ")}`);
}

function drawHistory() {
  const points = known.history?.points ?? [];
  find("no-history").hidden = points.length > 0;
  find("charts").hidden = points.length === 0;
  if (points.length === 0) return;
  charts.forEach((chart) => chart.draw(points, known.history.interval_seconds));
  showMoment();
  const { seconds, responses, p50_seconds, p99_seconds, at } = points.at(-1);
  const note = `last ${duration(seconds)}`;
  const perSecond = total(responses) / seconds;
  tiles.show("rate", rate(perSecond), { value: perSecond, note });
  const errors = responses["5xx"] / seconds;
  tiles.show("errors", rate(errors), { value: errors, note: "5xx", mark: errors > 0 ? "bad" : "" });
  tiles.show("times", duration(p99_seconds), { value: p99_seconds, note: `p50 ${duration(p50_seconds)}` });
  find("charts").dataset.at = at;
  if (find("history-details").open) historyTable.show(points.toReversed());
}

// --- reading

/** Reads one report. Each error is a sentence for people. */
async function read(path) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(LIMIT) });
  } catch (error) {
    throw new Error(error.name === "TimeoutError" ? "The server does not respond" : "The server cannot be reached");
  }
  if (!response.ok) throw new Error(`The server refuses ${path} with status ${response.status}`);
  return response.json();
}

let timer = null;
let isPaused = false;
let isReading = false;

async function readAll() {
  const report = await read("status.json");
  if (known.report && known.report.version !== report.version) {
    // Another version may report other fields, and has its own page.
    location.reload();
    return;
  }
  const interval = known.history?.interval_seconds ?? 5;
  const last = known.history?.points.at(-1)?.at ?? 0;
  const history = report.at - last >= interval ? await read("history.json") : null;
  const requests = find("ended-details").open ? await read("requests.json") : null;
  if (isPaused) return;
  showReport(report);
  if (history) {
    known.history = history;
    drawHistory();
  }
  if (requests) showEnded(requests);
  document.documentElement.dataset.at = report.at;
}

/** One failure may be the moment in which a new master takes over. */
function note(error) {
  known.failures = error ? known.failures + 1 : 0;
  const isLost = known.failures > 1 || (known.failures === 1 && !known.report);
  known.since = isLost ? (known.since ?? Date.now() / 1000) : null;
  document.body.classList.toggle("stale", isLost);
  const trouble = find("trouble");
  trouble.hidden = !isLost;
  if (isLost) {
    const figures = known.report ? ` The figures are from ${clock(known.report.at)}.` : "";
    write(find("state"), "not reachable");
    write(trouble, `${error.message}, since ${clock(known.since)}.${figures} The page tries again every two seconds.`);
  } else {
    write(trouble, "");
  }
  showFreshness();
}

function showFreshness() {
  const { report } = known;
  const state = isPaused ? "paused at" : known.since ? "not connected, figures from" : "live,";
  write(find("freshness"), report ? `${state} ${clock(report.at)}` : known.since ? "not connected" : "connecting");
}

async function poll() {
  clearTimeout(timer);
  if (isPaused || document.hidden || isReading) return;
  isReading = true;
  try {
    await readAll();
    note(null);
  } catch (error) {
    note(error);
  }
  isReading = false;
  timer = setTimeout(poll, PAUSE);
}

find("pause").addEventListener("click", ({ currentTarget: button }) => {
  isPaused = !isPaused;
  button.setAttribute("aria-pressed", isPaused);
  showFreshness();
  poll();
});
slider.addEventListener("input", () => choose(Number(slider.value)));
find("ended-details").addEventListener("toggle", poll);
find("history-details").addEventListener("toggle", drawHistory);
document.addEventListener("visibilitychange", poll);
new ResizeObserver(drawHistory).observe(find("charts"));
write(find("zone"), `Times are those of this browser's zone, ${zone()}.`);
poll();
