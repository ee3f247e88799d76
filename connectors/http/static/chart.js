// A device over time, and what was said about it, drawn by Plotly.

import { at, table, when } from "/static/dom.js";

const COLOURS = { info: "#5b8def", warning: "#d98a00", critical: "#d33a2f" };

const PERIODS = /question|summary/;
// How many of the latest points are given as a table, too.
const TABLED = 100;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function resolved(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found || colour(name);
}

function faded(rgb) {
  return rgb.replace("rgb(", "rgba(").replace(")", ", 0.16)");
}

export function draw(series, insights, unit, onInsight) {
  const target = at("chart");
  const tide = resolved("--tide");
  const ink = resolved("--ink");
  const line = resolved("--line");
  const x = series.points.map((point) => point.ts);
  const raw = series.resolution === "raw";
  const traces = [];
  if (!raw) {
    traces.push({ x, y: series.points.map((p) => p.low), mode: "lines", line: { width: 0 }, hoverinfo: "skip" });
    traces.push({
      x,
      y: series.points.map((p) => p.high),
      mode: "lines",
      line: { width: 0 },
      fill: "tonexty",
      fillcolor: faded(tide),
      hoverinfo: "skip",
    });
  }
  traces.push({
    x,
    y: series.points.map((p) => p.mean),
    mode: x.length < 3 ? "markers" : "lines",
    line: { color: tide, width: 1.6 },
    hovertemplate: `%{y:.4~g} ${unit.replaceAll("<", "").replaceAll("%", "%%")}<extra></extra>`,
  });
  // What people asked about, and whole periods, are told below; drawn, they would hide the rest.
  const shown = insights.filter((one) => !PERIODS.test(one.kind)
    && x.length && one.window_end >= x[0] && one.window_start <= x[x.length - 1]);
  const shapes = shown.map((one) => ({
    type: "rect",
    yref: "paper",
    x0: one.window_start,
    x1: one.window_end > one.window_start ? one.window_end : new Date(Date.parse(one.window_start) + 1000).toISOString(),
    y0: 0,
    y1: 1,
    line: { color: COLOURS[one.severity], width: 1 },
    fillcolor: COLOURS[one.severity],
    opacity: 0.22,
    layer: "below",
  }));
  const layout = {
    margin: { l: 56, r: 12, t: 8, b: 36 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, family: "system-ui, sans-serif" },
    showlegend: false,
    shapes,
    hovermode: "x",
    uirevision: `${series.device_id} ${series.metric}`,
    xaxis: { type: "date", gridcolor: line, linecolor: line },
    yaxis: { gridcolor: line, zeroline: false, title: { text: unit.replaceAll("<", "") } },
  };
  Plotly.react(target, traces, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  target.removeAllListeners?.("plotly_click");
  target.on?.("plotly_click", ({ points }) => {
    const moment = points[0].x;
    const hit = shown.find((one) => one.window_start <= moment && moment <= one.window_end);
    if (hit) onInsight(hit);
  });
  describe(target, series, shown, unit);
  tabulate(series, raw, unit);
}

// For those who do not see it.
function describe(target, series, shown, unit) {
  const points = series.points;
  if (!points.length) {
    target.setAttribute("aria-label", "There are no readings in this range");
    return;
  }
  const low = Math.min(...points.map((p) => p.low));
  const high = Math.max(...points.map((p) => p.high));
  const last = points[points.length - 1];
  const said = `${series.metric} of ${series.device_id} from ${when(points[0].ts)} to ${when(last.ts)}: between ${low} and
    ${high} ${unit}, last ${last.mean} ${unit}; ${shown.length} ${shown.length === 1 ? "insight" : "insights"}`;
  target.setAttribute("aria-label", said.replace(/\s+/g, " "));
}

function tabulate(series, raw, unit) {
  const short = (number) => Number(number.toPrecision(6));
  const name = unit ? `${series.metric}, ${unit}` : series.metric;
  const values = raw ? [name] : [`${name}: mean`, "lowest", "highest"];
  const latest = series.points.slice(-TABLED).reverse();
  table(
    at("points"),
    [{ name: "Time" }, ...values.map((one) => ({ name: one, number: true }))],
    latest.map((p) => [when(p.ts), ...(raw ? [p.mean] : [p.mean, p.low, p.high]).map(short)]),
  );
  at("as-table").hidden = latest.length === 0;
  at("tabled").textContent = latest.length < series.points.length
    ? `the latest ${latest.length} of ${series.points.length} points`
    : `${latest.length} ${latest.length === 1 ? "point" : "points"}`;
}

export function clear(why) {
  Plotly.purge(at("chart"));
  at("chart").setAttribute("aria-label", why);
  at("as-table").hidden = true;
}
