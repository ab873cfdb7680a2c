import type { Component } from "svelte";
import type { IconName } from "../components/Icon.svelte";

export interface Page {
  path: string;
  title: string;
  icon: IconName;
  load: () => Promise<{ default: Component }>;
  /** It fills the window and scrolls inside. */
  full?: boolean;
}

/** The pages of the menu, in its order. */
export const PAGES: readonly Page[] = [
  { path: "runs", title: "Runs", icon: "runs", load: () => import("./Runs.svelte"), full: true },
  { path: "compare", title: "Compare", icon: "compare", load: () => import("./Compare.svelte") },
  { path: "decisions", title: "Decisions", icon: "decision", load: () => import("./Decisions.svelte") },
  { path: "lessons", title: "Lessons", icon: "lessons", load: () => import("./Lessons.svelte") },
  { path: "datasets", title: "Datasets", icon: "datasets", load: () => import("./Datasets.svelte") },
  { path: "ledger", title: "Ledger", icon: "ledger", load: () => import("./Ledger.svelte") },
  { path: "project", title: "Project", icon: "project", load: () => import("./Project.svelte") },
  { path: "settings", title: "Settings", icon: "settings", load: () => import("./Settings.svelte") },
];

/** Pages that others lead to. */
export const INNER: readonly Page[] = [
  { path: "run", title: "Run", icon: "runs", load: () => import("./Run.svelte") },
  { path: "decision", title: "Decision", icon: "decision", load: () => import("./Decision.svelte") },
];

export function pageOf(path: string): Page | undefined {
  return [...PAGES, ...INNER].find((page) => page.path === (path || "runs"));
}
