import { short } from "../../lib/format";
import { Preference } from "../../lib/prefs.svelte";
import { BUILT_IN } from "./columns";
import type { Column, RunTable } from "./table.svelte";

/** A column as it is laid out. */
export interface Head {
  id: string;
  title: string;
  width: number;
  number: boolean;
  pinned: boolean;
  /** Where it stays while the table is scrolled sideways, if it is pinned. */
  left: number;
  column: Column | undefined;
}

/** The column of names, which is always the first. */
export const NAME = "name";

const LEAST = 56;
const MOST = 700;
const within = (width: number): number => Math.max(LEAST, Math.min(MOST, width));

/** Where the columns of the run table stand, how wide they are, and which is being dragged. */
export class Layout {
  narrow = $state(false);
  dragged = $state<string | null>(null);
  over = $state<string | null>(null);
  #table: RunTable;
  #widths = new Preference<Record<string, number>>("widths", {});
  #resized = $state<{ id: string; width: number } | null>(null);

  constructor(table: RunTable) {
    this.#table = table;
  }

  readonly nameWidth = $derived.by(() => this.#widthOf(NAME, this.narrow ? 210 : 250));
  readonly heads = $derived.by<Head[]>(() => {
    const table = this.#table;
    const known = new Map((table.columns.data?.columns ?? []).map((c) => [c.id, c]));
    let left = this.nameWidth;
    return table.shownColumns.filter((id) => !table.by.includes(id)).map((id) => {
      const built = BUILT_IN.get(id);
      const column = known.get(id);
      const number = built ? !!built.number : column?.kind === "number" || column?.kind === "duration";
      const width = this.#widthOf(id, built?.width ?? (number ? (table.by.length ? 168 : 116) : 130));
      const pinned = table.pinned.includes(id) && !this.narrow;
      const head = { id, title: short(built?.title ?? column?.title ?? id, 80), width, number, pinned, left, column };
      if (pinned) left += width;
      return head;
    });
  });
  /** `grid-template-columns` of every row. */
  readonly template = $derived([this.nameWidth, ...this.heads.map((h) => h.width)].map((w) => `${w}px`).join(" "));
  readonly wide = $derived(this.nameWidth + this.heads.reduce((sum, h) => sum + h.width, 0));

  #widthOf(id: string, fallback: number): number {
    if (this.#resized?.id === id) return this.#resized.width;
    return this.#widths.value[id] ?? fallback;
  }

  /** Follow the pointer from `from` pixels on, and keep the width where it is let go. */
  resize(event: PointerEvent, id: string, from: number): void {
    event.preventDefault();
    event.stopPropagation();
    const start = event.clientX;
    const target = event.currentTarget as HTMLElement;
    target.setPointerCapture(event.pointerId);
    const moved = (e: PointerEvent) => (this.#resized = { id, width: within(from + e.clientX - start) });
    const done = () => {
      target.removeEventListener("pointermove", moved);
      if (this.#resized) this.#widths.value = { ...this.#widths.value, [id]: this.#resized.width };
      this.#resized = null;
    };
    target.addEventListener("pointermove", moved);
    target.addEventListener("pointerup", done, { once: true });
    target.addEventListener("pointercancel", done, { once: true });
  }

  widen(id: string, by: number, from: number): void {
    this.#widths.value = { ...this.#widths.value, [id]: within(from + by) };
  }
}
