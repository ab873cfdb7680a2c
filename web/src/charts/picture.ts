import type { Line, Values } from "./curves";

/** A chart as a picture of its own. */
export interface Picture {
  title: string;
  x: readonly number[];
  lines: readonly Line[];
  xRange: readonly [number, number];
  yRange: readonly [number, number];
  log: boolean;
  logX: boolean;
  format: (value: number) => string;
  formatX: (value: number) => string;
  xLabel: string;
  ink: string;
  muted: string;
  grid: string;
  paper: string;
  width?: number;
  height?: number;
}

const escaped = (text: string): string =>
  // Control characters are not allowed in XML at all.
  text.replace(/[\u0000-\u001f]/g, " ").replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** About `n` round numbers between `low` and `high`. */
export function ticks(low: number, high: number, n: number): number[] {
  if (!(high > low)) return [low];
  const raw = (high - low) / n;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= raw) ?? raw;
  const out = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) out.push(Number(v.toPrecision(12)));
  return out;
}

function logTicks(low: number, high: number): number[] {
  const out = [];
  for (let e = Math.ceil(Math.log10(low)); e <= Math.log10(high); e++) out.push(10 ** e);
  return out.length ? out : [low, high];
}

export function svg(p: Picture): string {
  const width = p.width ?? 960;
  const legend = p.lines.slice(0, 20);
  const height = (p.height ?? 480) + legend.length * 18;
  const [left, right, top, bottom] = [64, 16, 40, 44 + legend.length * 18];
  const scale = (range: readonly [number, number], log: boolean, from: number, to: number) => {
    const f = log ? Math.log10 : (v: number) => v;
    const [a, b] = [f(range[0]), f(range[1])];
    return (v: number) => from + ((f(v) - a) / (b - a || 1)) * (to - from);
  };
  const sx = scale(p.xRange, p.logX, left, width - right);
  const sy = scale(p.yRange, p.log, height - bottom, top);
  const path = (values: Values) => {
    let d = "";
    values.forEach((v, i) => {
      const x = p.x[i]!;
      if (v === null || !Number.isFinite(v) || (p.log && v <= 0) || (p.logX && x <= 0)) return;
      d += `${d ? "L" : "M"}${sx(x).toFixed(1)} ${sy(v).toFixed(1)}`;
    });
    return d;
  };
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="${p.paper}"/>`,
    `<text x="${left}" y="24" font-size="15" font-weight="600" fill="${p.ink}">${escaped(p.title)}</text>`,
    `<clipPath id="c"><rect x="${left}" y="${top}" width="${width - left - right}" height="${height - top - bottom}"/></clipPath>`,
  ];
  for (const v of p.log ? logTicks(...p.yRange) : ticks(...p.yRange, 6)) {
    const y = sy(v).toFixed(1);
    parts.push(`<path d="M${left} ${y}H${width - right}" stroke="${p.grid}"/><text x="${left - 8}" y="${y}" dy="4" text-anchor="end" fill="${p.muted}">${escaped(p.format(v))}</text>`);
  }
  for (const v of p.logX ? logTicks(Math.max(p.xRange[0], 1e-9), p.xRange[1]) : ticks(...p.xRange, 8)) {
    parts.push(`<text x="${sx(v).toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle" fill="${p.muted}">${escaped(p.formatX(v))}</text>`);
  }
  parts.push(`<g clip-path="url(#c)" fill="none" stroke-linejoin="round">`);
  for (const line of p.lines) {
    if (line.faint) parts.push(`<path d="${path(line.faint)}" stroke="${line.colour}" stroke-opacity=".28"/>`);
    parts.push(`<path d="${path(line.y)}" stroke="${line.colour}" stroke-width="1.6"/>`);
  }
  parts.push("</g>");
  legend.forEach((line, i) => {
    const y = height - legend.length * 18 + i * 18 - 2;
    parts.push(`<circle cx="${left + 5}" cy="${y - 4}" r="4" fill="${line.colour}"/><text x="${left + 16}" y="${y}" fill="${p.ink}">${escaped(line.label.slice(0, 120))}</text>`);
  });
  return `${parts.join("\n")}\n</svg>\n`;
}

export async function png(text: string, scale = 2): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width * scale;
  canvas.height = image.height * scale;
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture could not be made")))),
  );
}
