/** What is drawn on a chart's canvases beside uPlot's own lines: in a few passes, for all lines. */
import type uPlot from "uplot";
import { token } from "../lib/token";
import { nearestIndex, type Line, type Values } from "./curves";

type Context = CanvasRenderingContext2D;

/** A line through the values that are there; on a log scale, the positive ones. */
function trace(ctx: Context, u: uPlot, values: Values, log: boolean): void {
  const xs = u.data[0]!;
  ctx.beginPath();
  let open = false;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === null || value === undefined || !Number.isFinite(value) || (log && value <= 0)) continue;
    const px = u.valToPos(xs[i]!, "x", true);
    const py = u.valToPos(value, "y", true);
    if (open) ctx.lineTo(px, py);
    else ctx.moveTo(px, py);
    open = true;
  }
  ctx.stroke();
}

function clipToPlot(ctx: Context, u: uPlot): void {
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
}

/** The area between the edges of a group's band. */
function fillBand(ctx: Context, u: uPlot, { low, high }: { low: Values; high: Values }): void {
  const xs = u.data[0]!;
  const to = (i: number, value: number | null | undefined): void => {
    if (value !== null && value !== undefined) ctx.lineTo(u.valToPos(xs[i]!, "x", true), u.valToPos(value, "y", true));
  };
  ctx.beginPath();
  for (let i = 0; i < high.length; i++) to(i, high[i]);
  for (let i = low.length - 1; i >= 0; i--) to(i, low[i]);
  ctx.fill();
}

/** From the lowest to the highest value of each bucket. */
function strokeExtremes(ctx: Context, u: uPlot, min: Values, max: Values): void {
  const xs = u.data[0]!;
  ctx.beginPath();
  for (let i = 0; i < min.length; i++) {
    const low = min[i];
    const high = max[i];
    if (low === null || high === null || low === undefined || high === undefined || low === high) continue;
    const px = u.valToPos(xs[i]!, "x", true);
    ctx.moveTo(px, u.valToPos(low, "y", true));
    ctx.lineTo(px, u.valToPos(high, "y", true));
  }
  ctx.stroke();
}

/** Bands, faint originals and what sticks out of a bucket, under the lines. */
export function paintBehind(u: uPlot, lines: readonly Line[], log: boolean): void {
  const ctx = u.ctx;
  ctx.save();
  clipToPlot(ctx, u);
  ctx.lineWidth = devicePixelRatio;
  for (const line of lines) {
    ctx.strokeStyle = ctx.fillStyle = line.colour;
    if (line.band) {
      ctx.globalAlpha = 0.16;
      fillBand(ctx, u, line.band);
    }
    if (line.faint) {
      ctx.globalAlpha = 0.28;
      trace(ctx, u, line.faint, log);
    }
    if (line.min && line.max) {
      ctx.globalAlpha = line.faint ? 0.28 : 0.5;
      strokeExtremes(ctx, u, line.min, line.max);
    }
  }
  ctx.restore();
}

/** On a canvas over the plot: one line, over a veil that dims the others. */
export function paintLit(canvas: HTMLCanvasElement, u: uPlot, line: Line | undefined, log: boolean): void {
  const ctx = canvas.getContext("2d");
  if (!ctx) return;
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.clearRect(0, 0, canvas.width, canvas.height);
  if (!line) return;
  ctx.save();
  clipToPlot(ctx, u);
  ctx.fillStyle = token("--veil");
  ctx.fillRect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.strokeStyle = line.colour;
  ctx.lineWidth = 2.25 * devicePixelRatio;
  ctx.lineJoin = "round";
  if (line.dashed) ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  trace(ctx, u, line.y, log);
  const { idx, left = -1 } = u.cursor;
  const at = idx === null || idx === undefined || left < 0 ? null : nearestIndex(line.y, idx);
  if (at !== null) {
    ctx.beginPath();
    ctx.setLineDash([]);
    ctx.arc(u.valToPos(u.data[0]![at]!, "x", true), u.valToPos(line.y[at]!, "y", true), 4 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fillStyle = line.colour;
    ctx.fill();
  }
  ctx.restore();
}
