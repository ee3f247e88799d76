// Making elements. Whatever comes from devices, people or models is set as text, in a direction of its own.

export const at = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export const foreign = (text) => make("bdi", { textContent: text });

export function table(target, head, rows) {
  const cell = (tag, value, index) => {
    const numeric = typeof value === "number" || head[index].number;
    return make(tag, { className: numeric ? "number" : "" }, value instanceof Node ? value : String(value));
  };
  const title = (column, index) => {
    const made = cell("th", column.name, index);
    made.scope = "col";
    return made;
  };
  target.replaceChildren(
    make("thead", {}, make("tr", {}, ...head.map(title))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value, index) => cell("td", value, index))))),
  );
  target.hidden = rows.length === 0;
}

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const MONEY = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumFractionDigits: 4 });

export const count = (number) => (number >= 100000 ? SHORT : WHOLE).format(number);
export const dollars = (number) => MONEY.format(number);
export const percent = (share) => `${(100 * share).toFixed(1)} %`;
export const when = (text) => new Date(text).toLocaleString();

export function ago(text) {
  const seconds = Math.max(0, (Date.now() - Date.parse(text)) / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}
