import { SvelteMap } from "svelte/reactivity";
import { runColour } from "./palette";
import { theme } from "./theme.svelte";

interface Numbered {
  id: string;
  number?: number;
}

/** Which number each run has in its project, from whatever answer named it. */
const numbers = new SvelteMap<string, number>();

export function remember(runs: Iterable<Numbered | null | undefined>): void {
  for (const run of runs) {
    if (run?.number && numbers.get(run.id) !== run.number) numbers.set(run.id, run.number);
  }
}

/** The colour of a run: the same in the table, in every chart and for everybody. */
export function colourOf(id: string): string {
  return runColour(numbers.get(id) ?? (parseInt(id.slice(0, 6), 16) || 1), theme.dark);
}
