import { SvelteMap } from "svelte/reactivity";
import { runColour } from "./palette";
import { theme } from "./theme.svelte";

interface Numbered {
  id: string;
  /** Which run of its project it is, by start; 0 where it was purged. */
  number: number;
}

/** The number of every run that an answer told of. */
const numbers = new SvelteMap<string, number>();

export function remember(runs: Iterable<Numbered | null | undefined>): void {
  for (const run of runs) {
    if (run?.number && numbers.get(run.id) !== run.number) numbers.set(run.id, run.number);
  }
}

/**
 * The colour of a run: the same in the table, in every chart and for everybody who looks. It
 * follows from the run's number, so that runs made after each other differ; a run that is not here
 * any more has one by its id.
 */
export function colourOf(id: string): string {
  return runColour(numbers.get(id) ?? parseInt(id.slice(0, 6), 16), theme.dark);
}
