// What the gateway is asked. A key stays in this tab, and is sent to this origin alone.

const KEY = "tidegate-key";
let askForKey = async () => false;

export class ApiError extends Error {
  constructor(status, body) {
    super(body.detail ?? `the gateway answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

export function onKeyNeeded(ask) {
  askForKey = ask;
}

export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

function headers(more = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
}

async function send(path, options = {}) {
  const answer = await fetch(path, { cache: "no-store", ...options, headers: headers(options.headers) });
  if (answer.status === 401 && (await askForKey(sessionStorage.getItem(KEY) !== null))) return send(path, options);
  if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

export async function get(path, query = {}) {
  const asked = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(asked).toString();
  return (await send(text ? `${path}?${text}` : path)).json();
}

export async function post(path, body) {
  const answer = await send(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer.json();
}

// Server-sent events, read by hand: a browser's EventSource sends no key.
export async function* events(path, signal) {
  const answer = await send(path, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (data.length) yield JSON.parse(data.join("\n"));
    }
  }
}
