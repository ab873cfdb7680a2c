import { expect, it } from "vitest";
import { clock, ema, extent, group, interpolate, nearestIndex, runningMean } from "../src/charts/curves";
import { svg, ticks } from "../src/charts/picture";
import { overwritten, pieces } from "../src/lib/ansi";
import { csv } from "../src/lib/csv";
import { metric, number, points, short, signedPoints } from "../src/lib/format";
import { chips } from "../src/pages/run-table/filter";

it("smooths without touching gaps", () => {
  expect(ema([1, null, 1, 1], 0.9)).toEqual([expect.closeTo(1), null, expect.closeTo(1), expect.closeTo(1)]);
  expect(runningMean([1, 3, null, 5], 2)).toEqual([1, 2, null, 4]);
});

it("clips outliers and leaves out what a log scale cannot show", () => {
  const values = [...Array.from({ length: 99 }, (_, i) => i), 1e9];
  expect(extent([values], true, false)![1]).toBeLessThan(100);
  expect(extent([values], false, false)).toEqual([0, 1e9]);
  expect(extent([[0, -1, 2]], false, true)).toEqual([2, 2]);
  expect(extent([[null, NaN]], false, false)).toBeNull();
});

it("summarises groups, filling gaps inside a line only", () => {
  expect(interpolate([null, 1, null, 3, null])).toEqual([null, 1, 2, 3, null]);
  const { mean, low, high } = group([[1, 2], [3, null]]);
  expect(mean).toEqual([2, 2]);
  expect(low[0]).toBeCloseTo(2 - Math.SQRT2);
  expect(high[1]).toBe(2);
});

it("writes times along an axis, and the day where it begins", () => {
  const noon = new Date(2026, 10, 24, 23, 59).getTime() / 1000;
  expect(clock([noon, noon + 60, noon + 120], 60)).toEqual(["11-24 23:59", "11-25 00:00", "00:01"]);
  expect(clock([noon], 5)).toEqual(["23:59:00"]);
  expect(clock([noon + 1.25], 0.05)).toEqual(["59:01.250"]);
  expect(clock([noon], 86_400)).toEqual(["2026-11-24"]);
});

it("finds the nearest value", () => {
  expect(nearestIndex([1, null, null, 4], 2)).toBe(3);
  expect(nearestIndex([null, null], 0)).toBeNull();
});

it("escapes what is drawn as a picture", () => {
  const text = svg({
    title: "<script>", x: [0, 1], lines: [{ id: "a", label: "\"&'", colour: "#000", y: [0, 1] }], xRange: [0, 1], yRange: [0, 1],
    log: false, logX: false, format: String, formatX: String, xLabel: "", ink: "#000", muted: "#000", grid: "#000", paper: "#fff",
  });
  expect(text).not.toContain("<script>");
  expect(new Set(ticks(0, 1, 5)).size).toBeGreaterThan(3);
});

it("writes CSV that no spreadsheet runs", () => {
  expect(csv([["=1+1", "a,b", -2, 'q"']])).toBe(`'=1+1,"a,b",-2,"q"""\r\n`);
});

it("writes numbers", () => {
  expect(points(0.4213)).toBe("42.1");
  expect(signedPoints(-0.008)).toBe("−0.8");
  expect(metric(0.4213, "metrics/mAP50-95(B)")).toBe("42.13");
  expect(metric(0.4213, "train/box_loss")).toBe("0.4213");
  expect(number(1e-5)).toBe("1.00e−5");
  expect(number("NaN")).toBe("NaN");
  expect(short("x".repeat(100_000)).length).toBeLessThan(300);
});

it("reads chips from a filter", () => {
  expect(chips('config.imgsz = 640 and name ~ "a and b"')).toEqual(["config.imgsz = 640", 'name ~ "a and b"']);
  expect(chips("a = 1 or b = 2")).toBeNull();
  expect(chips("(a = 1 or b = 2) and c = 3")).toEqual(["(a = 1 or b = 2)", "c = 3"]);
});

it("shows console text as a terminal does", () => {
  expect(overwritten("1%\r50%\r100%\ndone")).toBe("100%\ndone");
  expect(pieces("\x1b[31mred\x1b[0m plain\x1b[2K")).toEqual([
    { text: "red", tone: "red", bold: false },
    { text: " plain", tone: "", bold: false },
  ]);
});
