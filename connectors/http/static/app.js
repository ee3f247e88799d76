// The dashboard: the fleet, a device, its insights, a question; who answered, and how the models do.

import { ApiError, events, get, onKeyNeeded, post, useKey } from "/static/api.js";
import { clear, draw } from "/static/chart.js";
import { ago, at, count, dollars, foreign, make, percent, table, when } from "/static/dom.js";

const EVERY_MS = 3000;
const PAGE = 100;
const POINTS = 1200;
const CACHES = new Set(["l1", "l2", "l3", "semantic"]);

const state = { device: null, units: {}, before: null, next: null, filter: "", insights: [], since: null };

// -- keys ----------------------------------------------------------------------------------------------------------

let asking = null;
onKeyNeeded((wasWrong) => {
  asking ??= new Promise((resolve) => {
    const dialog = at("key-dialog");
    at("key").hidden = false;
    at("key-says").textContent = wasWrong ? "That key opens nothing here." : "";
    dialog.addEventListener("close", () => {
      asking = null;
      const key = at("key-text").value.trim();
      at("key-text").value = "";
      if (key) useKey(key);
      resolve(Boolean(key));
    }, { once: true });
    dialog.showModal();
  });
  return asking;
});
at("key").addEventListener("click", () => at("key-dialog").showModal());

// -- the fleet -----------------------------------------------------------------------------------------------------

function tile(name, value) {
  return make("div", { className: "tile" }, make("b", { textContent: value }), make("span", { textContent: name }));
}

function showOverview(seen) {
  at("region").textContent = seen.region ? `region ${seen.region}` : "";
  const before = state.before;
  state.before = seen;
  let rate = "…";
  if (before && seen.at !== before.at) {
    const seconds = (Date.parse(seen.at) - Date.parse(before.at)) / 1000;
    rate = count(Math.max(0, seen.totals.stored - before.totals.stored) / seconds);
  }
  const lag = Object.entries(seen.lag).map(([group, behind]) => tile(`behind, ${group.split("-").pop()}`, count(behind)));
  at("tiles").replaceChildren(
    tile("devices", count(seen.devices)),
    tile("values stored a second", rate),
    tile("values stored", count(seen.totals.stored)),
    ...lag,
    tile("dead letters", count(seen.dead_letters)),
    tile("wait for a model", count(seen.waiting_for_models)),
  );
  showAnswers(seen);
  table(
    at("endpoints"),
    [{ name: "Endpoint" }, { name: "Model" }, { name: "State" }, { name: "In flight", number: true },
      { name: "p50", number: true }, { name: "p95", number: true }, { name: "Worker" }],
    seen.endpoints.map((one) => [foreign(one.name), foreign(one.model), mark(one.condition),
      `${one.in_flight} of ${one.limit}`, seconds(one.p50_s), seconds(one.p95_s), foreign(one.worker)]),
  );
  at("no-endpoints").hidden = seen.endpoints.length > 0;
}

const seconds = (value) => (value === null ? "–" : `${value.toFixed(2)} s`);
const mark = (condition) =>
  make("span", { className: condition === "left alone" ? "bad" : "good", textContent: condition });

function showAnswers(seen) {
  const answers = seen.answers_of_a_day;
  const total = answers.reduce((sum, one) => sum + one.insights, 0);
  const model = answers.find((one) => one.source === "model") ?? { insights: 0, usd: 0 };
  const kept = answers.filter((one) => CACHES.has(one.source)).reduce((sum, one) => sum + one.insights, 0);
  table(
    at("sources"),
    [{ name: "Source" }, { name: "Insights", number: true }, { name: "Share", number: true }, { name: "Cost", number: true }],
    answers.map((one) => [one.source, count(one.insights), percent(one.insights / total), dollars(one.usd)]),
  );
  const asked = kept + model.insights;
  const saved = model.insights ? (model.usd / model.insights) * kept : 0;
  const budget = seen.budget_usd_per_day === null ? "" : ` of ${dollars(seen.budget_usd_per_day)} for a day`;
  at("money").textContent = total === 0
    ? "Nobody has answered anything in the last day."
    : `From caches: ${asked ? percent(kept / asked) : "nothing"} of what models are for, which saved about ${dollars(saved)}.` +
      ` Spent today: ${dollars(seen.spent_today_usd)}${budget}.`;
}

async function showDevices(more = false) {
  const { filter } = state;
  const page = await get("/v1/devices", { limit: PAGE, prefix: filter, after: more ? state.next : undefined });
  if (filter !== state.filter) return;
  const rows = page.devices.map((device) => {
    const button = make("button", { type: "button" }, foreign(device.device_id),
      make("small", { textContent: `${device.class ? `${device.class} · ` : ""}heard ${ago(device.last_seen)}` }));
    button.setAttribute("aria-current", String(device.device_id === state.device?.device_id));
    button.addEventListener("click", () => choose(device).catch(connected));
    return make("li", {}, button);
  });
  if (more) at("devices").append(...rows);
  else at("devices").replaceChildren(...rows);
  state.next = page.next;
  at("more").hidden = state.next === null;
  at("no-devices").hidden = at("devices").children.length > 0;
  at("no-devices").textContent = filter ? "No device begins so." : "No device has spoken yet.";
  at("of-device").hidden = !state.device && page.devices.length === 0;
  if (!state.device && page.devices.length) await choose(page.devices[0], false);
}

// -- one device ----------------------------------------------------------------------------------------------------

async function choose(device, focus = true) {
  state.device = device;
  for (const button of at("devices").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.querySelector("bdi").textContent === device.device_id));
  }
  at("device-title").replaceChildren(foreign(device.device_id));
  const tags = Object.entries(device.tags).map(([name, value]) => `${name} ${value}`);
  at("device-facts").replaceChildren(foreign([`first heard ${when(device.first_seen)}`, ...tags].join(" · ")));
  at("answer").replaceChildren();
  const { metrics } = await get(`/v1/devices/${encodeURIComponent(device.device_id)}/metrics`);
  // Another one may have been chosen meanwhile.
  if (device !== state.device) return;
  const wanted = at("metric").value;
  at("metric").replaceChildren(...metrics.map((name) => make("option", { value: name, textContent: name })));
  if (metrics.includes(wanted)) at("metric").value = wanted;
  if (focus) at("device").focus();
  await showDevice();
}

async function showDevice() {
  const { device } = state;
  if (!device) return;
  const path = `/v1/devices/${encodeURIComponent(device.device_id)}`;
  const metric = at("metric").value;
  const hours = Number(at("range").value);
  const told = await get("/v1/insights", { device_id: device.device_id, limit: 30 });
  if (device !== state.device) return;
  state.insights = told.insights;
  if (metric) {
    // A device that was silent for long is shown as it was when it spoke.
    const end = Date.parse(device.last_seen) > Date.now() - hours * 3600e3 ? undefined : device.last_seen;
    const from = end === undefined ? new Date(Date.now() - hours * 3600e3).toISOString() : undefined;
    let series = await get(`${path}/series`, { metric, from, points: POINTS });
    if (!series.points.length && from) series = await get(`${path}/series`, { metric, points: POINTS });
    if (device !== state.device || metric !== at("metric").value) return;
    const unit = device.units[metric] ?? "";
    draw(series, told.insights.filter((one) => one.metric === metric), unit, why);
    const kind = { raw: "readings", "1m": "minutes, with their lowest and highest", "1h": "hours, with their lowest and highest" };
    at("chart-says").textContent = series.points.length
      ? `${count(series.points.length)} ${kind[series.resolution]}, until ${when(series.points.at(-1).ts)}`
      : "There are no readings in this range.";
  } else {
    clear("There are no readings");
    at("chart-says").textContent = "There are no readings of this device.";
  }
  showInsights();
}

function showInsights() {
  at("insights").replaceChildren(...state.insights.map((one) => {
    const button = make("button", { type: "button", textContent: "Why?" });
    button.setAttribute("aria-label", `Why was said: ${one.summary}`);
    button.addEventListener("click", () => why(one));
    return make("li", {},
      make("span", {}, make("span", { className: `severity ${one.severity}`, textContent: one.severity }), " ", foreign(one.summary)),
      button,
      make("span", { className: "about" }, foreign(one.metric), ` · ${one.kind} · ${when(one.window_end)} · by ${one.source}`));
  }));
  at("no-insights").hidden = state.insights.length > 0;
  at("no-insights").textContent = "Nothing was said about this device yet.";
}

function why(one) {
  const facts = {
    said: one.summary,
    "about": `${one.metric}, ${when(one.window_start)} to ${when(one.window_end)}`,
    kind: one.kind,
    severity: one.severity,
    "likely causes": one.probable_causes.join("\n") || "none given",
    "what to do": one.recommended_actions.join("\n") || "nothing given",
    confidence: percent(one.confidence),
    source: CACHES.has(one.source) ? `${one.source} (kept from an earlier answer)` : one.source,
    model: one.model ?? "none was asked",
    cost: `${dollars(one.cost_usd)}, ${one.prompt_tokens} + ${one.completion_tokens} tokens, ${one.latency_s.toFixed(2)} s`,
    readings: one.topic ? `${one.topic}, partition ${one.partition}, offsets ${one.first_offset} to ${one.last_offset}` : "from the table",
    prompt: one.prompt_hash ?? "none",
    id: one.id,
  };
  at("why-facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
    [make("dt", { textContent: name }), make("dd", {}, ...value.split("\n").flatMap((line) => [foreign(line), make("br")]))]));
  at("said").textContent = "";
  at("say-right").onclick = () => say(one, "right");
  at("say-wrong").onclick = () => say(one, "wrong");
  at("why").showModal();
}

async function say(one, verdict) {
  try {
    await post(`/v1/insights/${one.id}/feedback`, { verdict });
    at("said").textContent = verdict === "wrong" ? "Noted: the same is asked anew from now on." : "Noted.";
  } catch (error) {
    at("said").textContent = error.message;
  }
}

// -- a question ----------------------------------------------------------------------------------------------------

at("ask").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const answer = at("answer");
  if (!state.device) return;
  try {
    const asked = { device_id: state.device.device_id, metric: at("metric").value, question: at("question").value };
    const { task_id: task } = await post("/v1/tasks", asked);
    answer.replaceChildren("accepted: it waits for its turn");
    for await (const seen of events(`/v1/tasks/${task}/events`)) showTask(answer, seen);
    await showDevice();
  } catch (error) {
    answer.replaceChildren(make("span", { className: "bad", textContent: error.message }));
  }
});

function showTask(answer, task) {
  if (task.insight) {
    const button = make("button", { type: "button", textContent: "Why?" });
    button.addEventListener("click", () => why(task.insight));
    answer.replaceChildren(foreign(task.insight.summary), " ", button);
    return;
  }
  const words = {
    queued: "it waits for its turn",
    running: `it is being answered (attempt ${task.attempts})`,
    retrying: `no model has time; one is asked again ${task.due ? when(task.due) : "soon"}`,
    failed: `it has failed: ${task.error}`,
    cancelled: "it was called off",
  };
  answer.replaceChildren(words[task.state] ?? task.state);
}

// -- all of it, again and again ------------------------------------------------------------------------------------

function connected(error) {
  const place = at("connection");
  if (!error) {
    state.since = null;
    place.className = "good";
    place.textContent = "live";
    return;
  }
  state.since ??= new Date();
  place.className = "bad";
  place.textContent = `not up to date since ${state.since.toLocaleTimeString()}: ${error.message}`;
}

async function look() {
  let failed = null;
  const parts = [get("/v1/overview").then(showOverview)];
  // Not while somebody is in the list: it would be taken away from under them.
  if (!at("devices").contains(document.activeElement) && at("devices").children.length <= PAGE) parts.push(showDevices());
  if (at("live").checked) parts.push(showDevice());
  for (const done of await Promise.allSettled(parts)) {
    // Who may not see everything still sees their devices.
    if (done.status === "rejected" && !(done.reason instanceof ApiError && done.reason.status === 403)) failed = done.reason;
  }
  connected(failed);
}

async function watch() {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

at("filter").addEventListener("input", () => {
  state.filter = at("filter").value;
  showDevices().catch(connected);
});
at("more").addEventListener("click", () => showDevices(true).catch(connected));
for (const id of ["metric", "range"]) at(id).addEventListener("change", () => showDevice().catch(connected));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => showDevice().catch(connected));
watch();
