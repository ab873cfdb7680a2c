/** How numbers, times and sizes are written, everywhere. */

export const MINUS = "−";
export const NONE = "–";

/** A number with as many digits as tell something. */
export function number(value: unknown, digits = 4): string {
  if (value === null || value === undefined) return NONE;
  if (typeof value === "string") return value;
  if (typeof value !== "number") return text(value);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en-US").replace("-", MINUS);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    return value.toExponential(Math.max(1, digits - 2)).replace("e+", "e").replaceAll("-", MINUS);
  }
  const places = size >= 1000 ? 1 : size >= 100 ? 2 : size >= 10 ? 3 : digits;
  return value.toFixed(places).replace("-", MINUS);
}

/** A ratio in points: 0.4213 is 42.1. */
export function points(value: number | null | undefined, places = 1): string {
  if (value === null || value === undefined) return NONE;
  if (!Number.isFinite(value)) return number(value);
  return (value * 100).toFixed(places).replace("-", MINUS);
}

/** A difference in points, with its sign: +0.8. */
export function signedPoints(value: number | null | undefined, places = 1): string {
  if (value === null || value === undefined) return NONE;
  const shown = points(value, places);
  return value > 0 ? `+${shown}` : shown;
}

/** Whether a metric is a share in 0..1, shown in points. */
export function isRatio(key: string, unit?: string | null): boolean {
  if (unit) return ["ratio", "share", "points", "%"].includes(unit);
  return /(mAP|precision|recall|\bf1\b|accuracy|\bacc\b|top[15]|iou|auc)/i.test(key) && !/loss/i.test(key);
}

export function metric(value: unknown, key: string, unit?: string | null): string {
  return typeof value === "number" && isRatio(key, unit) ? points(value, 2) : number(value);
}

/** A value of a config or a summary as one line of text. */
export function text(value: unknown): string {
  if (value === null || value === undefined) return NONE;
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value).replace("-", MINUS);
  if (typeof value === "boolean") return value ? "true" : "false";
  return JSON.stringify(value);
}

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** "3 min ago"; `t` in microseconds since 1970, as everywhere in the records. */
export function ago(t: number | null | undefined, now = Date.now()): string {
  if (!t) return NONE;
  const s = Math.max(0, (now - t / 1000) / 1000);
  if (s < 45) return "just now";
  if (s < 3600) return `${Math.max(1, Math.round(s / 60))} min ago`;
  if (s < 86_400) return `${Math.round(s / 3600)} h ago`;
  if (s < 86_400 * 30) return `${Math.round(s / 86_400)} d ago`;
  return new Date(t / 1000).toLocaleDateString("en-CA");
}

export function moment(t: number | null | undefined): string {
  if (!t) return NONE;
  const d = new Date(t / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}`;
}

/** A person by name; the address that git gives stands in the title. */
export function person(author: string): string {
  return short(author.replace(/\s*<[^<>]*>\s*$/, "") || author, 60);
}

export function bytes(size: number | null | undefined): string {
  if (size === null || size === undefined) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;
}

/** Long names from imports: their beginning, and how much there is. */
export function short(name: string, limit = 200): string {
  return name.length <= limit ? name : `${name.slice(0, limit)}… (${count(name.length, "character")})`;
}
