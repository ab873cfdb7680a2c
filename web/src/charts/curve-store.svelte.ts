import { untrack } from "svelte";
import { SvelteMap } from "svelte/reactivity";
import { Failure, post, type Schemas } from "../api/client";
import { whenChanged } from "../api/live.svelte";

type Grid = Schemas["CurveGrid"];
type Query = Schemas["CurvesQuery"];

/** What all charts of a page have in common. */
export interface CurveQuestion {
  runs: readonly string[];
  x: NonNullable<Query["x"]>;
  xMetric?: string;
  zoom: readonly [number, number] | null;
  source?: "metrics" | "system";
  buckets?: number;
}

interface Flight {
  signature: string;
  aborter: AbortController;
  /** Runs have logged more since it was sent. */
  stale: boolean;
}

/**
 * The curves of the charts in sight: they say which keys they draw, and one request asks for all.
 * What is drawn stays until the new answer is there. One request is under way at a time, and only
 * another question ends it: a curve of a million points is not asked for again at every scroll.
 */
export class CurveStore {
  grids = new SvelteMap<string, Grid>();
  errors = new SvelteMap<string, string>();
  #wanted = new Map<string, number>();
  #have = new Map<string, string>();
  #question: () => CurveQuestion;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #flight: Flight | null = null;
  #over = false;

  constructor(question: () => CurveQuestion) {
    this.#question = question;
  }

  readonly #signature = $derived.by(() => JSON.stringify(this.#question()));

  /** Call once, while the page is being made. */
  watch(): void {
    $effect(() => {
      void this.#signature;
      untrack(() => this.#soon());
    });
    // What is still on its way when the page is left has nobody to tell.
    $effect(() => () => {
      this.#over = true;
      clearTimeout(this.#timer);
      this.#flight?.aborter.abort();
    });
    whenChanged(
      (change) => change.all || change.runs.some((id) => this.#question().runs.includes(id)),
      () => {
        this.#have.clear();
        if (this.#flight) this.#flight.stale = true;
        this.#soon();
      },
      1_000,
    );
  }

  /** A chart of this key is in sight, until the returned function is called. */
  want(key: string): () => void {
    this.#wanted.set(key, (this.#wanted.get(key) ?? 0) + 1);
    this.#soon();
    return () => {
      const left = (this.#wanted.get(key) ?? 1) - 1;
      if (left > 0) this.#wanted.set(key, left);
      else this.#wanted.delete(key);
    };
  }

  #soon(wait = 15): void {
    if (this.#over) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#load(), wait);
  }

  async #load(): Promise<void> {
    const question = this.#question();
    const signature = this.#signature;
    if (!question.runs.length) {
      this.grids.clear();
      return;
    }
    if (this.#flight?.signature === signature) return; // what it leaves out is asked for after it
    const keys = [...this.#wanted.keys()].filter((key) => this.#have.get(key) !== signature).slice(0, 100);
    if (!keys.length) return;
    this.#flight?.aborter.abort();
    const flight: Flight = (this.#flight = { signature, aborter: new AbortController(), stale: false });
    let wait = 0;
    try {
      const answer = await post("/curves", {
        runs: [...question.runs], keys, source: question.source ?? "metrics", x: question.x,
        x_metric: question.x === "metric" ? (question.xMetric ?? null) : null,
        lo: question.zoom?.[0] ?? null, hi: question.zoom?.[1] ?? null, buckets: question.buckets ?? 600,
      }, {}, flight.aborter.signal);
      for (const grid of answer.curves) {
        this.grids.set(grid.key, grid);
        this.errors.delete(grid.key);
        if (!flight.stale) this.#have.set(grid.key, signature);
      }
    } catch (error) {
      if (flight.aborter.signal.aborted) return; // whoever ended it asks for its keys too
      if (error instanceof Failure && error.status === 503) wait = 1_000;
      else {
        for (const key of keys) {
          this.errors.set(key, (error as Error).message);
          this.#have.set(key, signature);
        }
      }
    }
    this.#flight = null;
    this.#soon(wait);
  }
}
