/** What stands in a cell of the run table, as text. */
import { ago, duration, metric, moment, number, short, text } from "../../lib/format";
import type { Head } from "./layout.svelte";
import type { Group, Row } from "./table.svelte";

/** Which of a row's cells belongs to a column. */
export type Places = ReadonlyMap<string, number>;

export function value(row: Row, head: Head, places: Places): string {
  switch (head.id) {
    case "created": return ago(row.created);
    case "duration": return duration(row.seconds);
    case "epoch": return row.epoch === null ? "–" : `${row.epoch}${row.epochs ? ` / ${row.epochs}` : ""}`;
    case "dataset": return row.dataset ? `${short(row.dataset, 60)}${row.dataset_state === "drifted" ? " ⚠ drifted" : ""}` : "–";
    case "parent": return short(row.parent ?? "–", 80);
    case "group": return short(row.group || "–", 80);
    case "note": return { missing: "–", partial: "partial", written: "✓ written" }[row.note];
    default: return cell(row.cells[places.get(head.id) ?? -1], head);
  }
}

function cell(raw: unknown, head: Head): string {
  if (typeof raw === "number") {
    if (head.column?.kind === "time") return ago(raw);
    if (head.column?.kind === "duration") return duration(raw);
    if (head.column?.source === "config") return text(raw);
    return metric(raw, head.column?.key ?? head.id, head.column?.unit);
  }
  return short(text(raw), 120);
}

/** The same at full length, for whoever points at it. */
export function hint(row: Row, head: Head, places: Places): string {
  if (head.id === "created") return moment(row.created);
  return short(value(row, head, places), 400);
}

/** A column over a group: mean and spread, or the one value that all of it has. */
export function spread(group: Group, head: Head, places: Places): string {
  const stat = group.cells[places.get(head.id) ?? -1];
  if (!stat) return "";
  if (stat.mean === null) return stat.value === null || stat.value === undefined ? "" : cell(stat.value, head);
  // A mean has digits that no single value has.
  const told = (mean: number) => (head.column?.source === "config" ? number(mean) : cell(mean, head));
  return `${told(stat.mean)}${stat.std ? ` ± ${told(stat.std)}` : ""}`;
}
