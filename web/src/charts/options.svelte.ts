import { duration } from "../lib/format";
import { router } from "../lib/router.svelte";
import type { CurveQuestion } from "./curve-store.svelte";
import type { Smoothing } from "./curves";

export const X_AXES = [
  ["epoch", "Epoch"],
  ["step", "Step"],
  ["relative", "Relative time"],
  ["wall", "Wall time"],
  ["metric", "Another metric"],
] as const;

/** How curves are drawn, as the address says. */
export class ChartOptions {
  /** What is taken where the address says nothing: epochs, where every metric has them. */
  fallback = $state<CurveQuestion["x"]>("step");

  readonly x = $derived.by<CurveQuestion["x"]>(() => {
    const asked = router.get("x");
    return X_AXES.find(([id]) => id === asked)?.[0] ?? this.fallback;
  });
  readonly xMetric = $derived(router.get("xm"));
  readonly smoothing = $derived.by<Smoothing>(() => {
    const kind = router.get("sm").split(":")[0];
    return kind === "ema" || kind === "mean" ? kind : "none";
  });
  readonly strength = $derived(Number(router.get("sm").split(":")[1]) || 0.6);
  readonly log = $derived(router.get("log") === "1");
  readonly logX = $derived(router.get("logx") === "1");
  readonly clip = $derived(router.get("clip") === "1");
  readonly zoom = $derived.by<[number, number] | null>(() => {
    const parts = router.get("zoom").split(",").map(Number);
    const [from, to] = parts;
    return parts.length === 2 && Number.isFinite(from) && Number.isFinite(to) && from! < to! ? [from!, to!] : null;
  });
  readonly xLabel = $derived(this.x === "metric" ? this.xMetric : { epoch: "epoch", step: "step", relative: "after", wall: "" }[this.x]);

  zoomTo = (range: [number, number] | null): void => {
    if (!range) return router.set({ zoom: null }, "push");
    // As many places as the width of the window needs: times are large numbers close to each other.
    const places = Math.max(0, Math.min(12, 4 - Math.floor(Math.log10(range[1] - range[0]))));
    router.set({ zoom: range.map((v) => Number(v.toFixed(places))).join(",") }, "push");
  };

  formatX = (value: number): string => {
    if (this.x === "relative") return duration(value);
    if (this.x === "wall") return new Date(value * 1000).toLocaleString("en-CA", { hour12: false }).replace(",", "");
    return Number.isInteger(value) ? value.toLocaleString("en-US") : Number(value.toPrecision(5)).toString();
  };
}
