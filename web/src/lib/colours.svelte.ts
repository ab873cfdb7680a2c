import { SvelteMap } from "svelte/reactivity";
import { runColour } from "./palette";
import { theme } from "./theme.svelte";

interface Numbered {
  id: string;
  number?: number;
}

const KEY = "epochal.colours";
const KEPT = 4000;

/** Which number each run has in its project, where an answer told it. */
const numbers = new SvelteMap<string, number>();

/**
 * Else numbers are given in the order in which runs are first shown, so that what is looked at
 * together differs, and kept, so that a run has one colour on all pages.
 */
const given = new Map<string, number>(kept());
let timer: ReturnType<typeof setTimeout> | undefined;

function kept(): [string, number][] {
  try {
    return (JSON.parse(localStorage.getItem(KEY) ?? "[]") as string[]).map((id, i) => [id, i + 1]);
  } catch {
    return []; // a damaged preference is no preference
  }
}

function give(id: string): number {
  const known = given.get(id);
  if (known) return known;
  given.set(id, given.size + 1);
  clearTimeout(timer);
  timer = setTimeout(() => localStorage.setItem(KEY, JSON.stringify([...given.keys()].slice(0, KEPT))), 500);
  return given.size;
}

export function remember(runs: Iterable<Numbered | null | undefined>): void {
  for (const run of runs) {
    if (run?.number && numbers.get(run.id) !== run.number) numbers.set(run.id, run.number);
  }
}

/** The colour of a run: the same in the table, in every chart and on every page. */
export function colourOf(id: string): string {
  return runColour(numbers.get(id) ?? give(id), theme.dark);
}
