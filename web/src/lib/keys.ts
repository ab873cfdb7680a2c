/** Single-key shortcuts, silent while somebody types or a dialog is open. */
type Keys = Record<string, (event: KeyboardEvent) => void>;

export function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** Listen until the returned function is called; for `$effect`. */
export function shortcuts(keys: Keys): () => void {
  const listen = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    const run = keys[event.key];
    if (!run) return;
    event.preventDefault();
    run(event);
  };
  addEventListener("keydown", listen);
  return () => removeEventListener("keydown", listen);
}

/** What `?` shows. */
export const SHORTCUTS: readonly (readonly [string, string])[] = [
  ["⌘ K / Ctrl K", "Go to a page, run, dataset or decision"],
  ["/", "Filter runs, or search lessons"],
  ["j  k", "Next and previous run"],
  ["x", "Select the run"],
  ["v", "Show or hide its curves"],
  ["Enter", "Open the run"],
  ["c", "Compare the selected runs"],
  ["m", "Search metrics"],
  ["Shift + click", "On a column: sort by several; on a checkbox: select a range"],
  ["Alt + click", "On a line or legend: show this run alone"],
  ["Double click", "On a chart: back to the whole range"],
  ["d", "Light or dark"],
  ["?", "This list"],
];
