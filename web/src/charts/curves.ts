/** What is computed on curves before they are drawn. Missing values are null and stay null. */
export type Values = readonly (number | null)[];

/** One line of a chart, on the chart's common x. */
export interface Line {
  id: string;
  label: string;
  colour: string;
  y: Values;
  /** Lowest and highest value of each bucket: drawn where they stand out, so no spike vanishes. */
  min?: Values | undefined;
  max?: Values | undefined;
  /** The values before smoothing, drawn faintly. */
  faint?: Values | undefined;
  /** Lower and upper edge of a group's band. */
  band?: { low: Values; high: Values } | undefined;
  dashed?: boolean;
}

export type Smoothing = "none" | "ema" | "mean";

/** Exponential moving average, corrected for its start; `weight` in 0..1 is the share of the past. */
export function ema(values: Values, weight: number): (number | null)[] {
  let sum = 0;
  let mass = 0;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return value;
    sum = sum * weight + value * (1 - weight);
    mass = mass * weight + (1 - weight);
    return mass > 0 ? sum / mass : value;
  });
}

/** Mean of the last `window` values that are there. */
export function runningMean(values: Values, window: number): (number | null)[] {
  const held: number[] = [];
  let sum = 0;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return value;
    held.push(value);
    sum += value;
    if (held.length > window) sum -= held.shift()!;
    return sum / held.length;
  });
}

/** `strength` in 0..0.99, as the slider gives it, for either kind. */
export function smooth(values: Values, kind: Smoothing, strength: number): Values {
  if (kind === "none" || strength <= 0) return values;
  if (kind === "ema") return ema(values, strength);
  return runningMean(values, Math.max(1, Math.round(strength * 50)));
}

/** Lowest and highest value to show; `clip` leaves out the outer two hundredths on each side. */
export function extent(series: Iterable<Values>, clip: boolean, log: boolean): [number, number] | null {
  const all: number[] = [];
  let low = Infinity;
  let high = -Infinity;
  for (const values of series) {
    for (const value of values) {
      if (value === null || !Number.isFinite(value) || (log && value <= 0)) continue;
      if (clip) all.push(value);
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return null;
  if (clip && all.length >= 20) {
    all.sort((a, b) => a - b);
    low = all[Math.floor(all.length * 0.02)]!;
    high = all[Math.min(all.length - 1, Math.ceil(all.length * 0.98) - 1)]!;
  }
  return [low, high];
}

/** Widen a range a little, so that no line lies on the frame and a constant has room. */
export function padded([low, high]: [number, number], log: boolean): [number, number] {
  if (log) return [low / 1.15, high * 1.15];
  const margin = (high - low || Math.abs(high) || 1) * 0.05;
  return [low - margin, high + margin];
}

export function best(values: Values, direction: string): number | null {
  let found: number | null = null;
  for (const value of values) {
    if (value === null || !Number.isFinite(value)) continue;
    if (found === null || (direction === "min" ? value < found : value > found)) found = value;
  }
  return found;
}

export function last(values: Values): number | null {
  for (let i = values.length - 1; i >= 0; i--) {
    const value = values[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/** Index of the value nearest to `index` that is there. */
export function nearestIndex(values: Values, index: number, reach = 400): number | null {
  for (let d = 0; d <= reach; d++) {
    for (const i of d ? [index - d, index + d] : [index]) {
      const value = values[i];
      if (value !== null && value !== undefined && Number.isFinite(value)) return i;
    }
  }
  return null;
}

/** Mean and mean ± standard deviation over the lines at each x, filling gaps inside a line. */
export function group(lines: readonly Values[]): { mean: Values; low: Values; high: Values } {
  const size = lines[0]?.length ?? 0;
  const filled = lines.map(interpolate);
  const mean: (number | null)[] = [];
  const low: (number | null)[] = [];
  const high: (number | null)[] = [];
  for (let i = 0; i < size; i++) {
    const here = filled.map((line) => line[i]).filter((v): v is number => v !== null && v !== undefined);
    if (!here.length) {
      mean.push(null), low.push(null), high.push(null);
      continue;
    }
    const m = here.reduce((a, b) => a + b, 0) / here.length;
    const spread =
      here.length > 1 ? Math.sqrt(here.reduce((a, b) => a + (b - m) ** 2, 0) / (here.length - 1)) : 0;
    mean.push(m), low.push(m - spread), high.push(m + spread);
  }
  return { mean, low, high };
}

/** Straight lines across gaps between two values; nothing before the first or after the last. */
export function interpolate(values: Values): (number | null)[] {
  const out = values.map((v) => (v !== null && Number.isFinite(v) ? v : null));
  let from = -1;
  for (let i = 0; i < out.length; i++) {
    const here = out[i];
    if (here === null || here === undefined) continue;
    if (from >= 0 && i - from > 1) {
      const start = out[from]!;
      for (let k = from + 1; k < i; k++) out[k] = start + ((here - start) * (k - from)) / (i - from);
    }
    from = i;
  }
  return out;
}

/** Times (seconds since 1970) along an axis with a tick every `step` seconds; the day where it begins. */
export function clock(ticks: readonly number[], step: number): string[] {
  let day = "";
  return ticks.map((t) => {
    const iso = new Date(t * 1000 - new Date(t * 1000).getTimezoneOffset() * 60_000).toISOString();
    const date = iso.slice(5, 10);
    if (step >= 86_400) return iso.slice(0, 10);
    const told = date === day ? "" : `${date} `;
    day = date;
    if (step >= 60) return told + iso.slice(11, 16);
    return step >= 1 ? iso.slice(11, 19) : iso.slice(14, 23);
  });
}
