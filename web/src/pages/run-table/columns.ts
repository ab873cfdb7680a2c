import type { Schemas } from "../../api/client";

type Column = Schemas["Column"];

/** Columns that every row carries, whatever was asked for. */
export const BUILT_IN: ReadonlyMap<string, { title: string; width: number; number?: boolean }> = new Map([
  ["status", { title: "Status", width: 94 }],
  ["created", { title: "Started", width: 104 }],
  ["duration", { title: "Duration", width: 100, number: true }],
  ["epoch", { title: "Epoch", width: 86, number: true }],
  ["dataset", { title: "Dataset", width: 140 }],
  ["note", { title: "Lesson", width: 92 }],
  ["tags", { title: "Tags", width: 150 }],
  ["parent", { title: "Parent", width: 130 }],
  ["group", { title: "Group", width: 110 }],
]);

/** What a newcomer sees: the project's metric, then what tells runs apart. */
export function defaultColumns(columns: readonly Column[], metric: string): string[] {
  const plain = (text: string) => text.toLowerCase().replace(/^metrics\//, "").replace(/\(b\)$/, "");
  const scored = columns
    .filter((c) => c.source === "metrics" && c.kind === "number")
    .map((c) => ({
      c,
      score:
        (c.id.startsWith("best(") ? 4 : 0) +
        (metric && [c.key, c.title].some((t) => plain(t) === plain(metric)) ? 8 : 0) +
        (c.direction === "max" ? 2 : 0) +
        (c.key.includes("/") ? 0 : 1),
    }))
    .sort((a, b) => b.score - a.score || b.c.runs - a.c.runs);
  const metrics = scored.slice(0, 1).map(({ c }) => c.id);
  const configs = columns
    .filter((c) => c.source === "config" && c.differs && !c.noise)
    .sort((a, b) => b.runs - a.runs)
    .slice(0, 3)
    .map((c) => c.id);
  return [...metrics, "epoch", ...configs, "dataset", "note", "tags", "created", "duration"];
}

export function titleOf(id: string, columns: ReadonlyMap<string, Column>): string {
  return BUILT_IN.get(id)?.title ?? columns.get(id)?.title ?? id;
}
