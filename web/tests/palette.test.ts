import { describe, expect, it } from "vitest";
import { DARK, LIGHT } from "../src/lib/palette";

type Triple = [number, number, number];

function linear(hex: string): Triple {
  return [1, 3, 5].map((i) => {
    const v = parseInt(hex.slice(i, i + 2), 16) / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  }) as Triple;
}
const luminance = (hex: string): number => {
  const [r, g, b] = linear(hex);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}
function oklab([r, g, b]: Triple): Triple {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}
// Machado, Oliveira and Fernandes (2009), severity 1.
const SIGHT: Record<string, Triple[]> = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
};
function seen(hex: string, sight: Triple[]): Triple {
  const rgb = linear(hex);
  return oklab(sight.map((row) => Math.min(1, Math.max(0, row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2]))) as Triple);
}

describe.each([["light", LIGHT, "#ffffff"], ["dark", DARK, "#17181b"]] as const)("%s", (_, colours, background) => {
  it("has twenty colours that stand out", () => {
    expect(new Set(colours).size).toBe(20);
    for (const colour of colours) expect(contrast(colour, background), colour).toBeGreaterThanOrEqual(3);
  });

  it.each(Object.entries(SIGHT))("the first ten differ under %s", (_, sight) => {
    const ten = colours.slice(0, 10).map((colour) => seen(colour, sight));
    for (let i = 0; i < 10; i++) {
      for (let k = 0; k < i; k++) {
        const apart = Math.hypot(...ten[i]!.map((v, n) => v - ten[k]![n]!));
        expect(apart, `${colours[i]} and ${colours[k]}`).toBeGreaterThan(0.05);
      }
    }
  });
});
