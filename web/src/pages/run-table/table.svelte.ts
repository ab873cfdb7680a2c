import { untrack } from "svelte";
import { SvelteMap, SvelteSet } from "svelte/reactivity";
import { get, post, Failure, type Schemas } from "../../api/client";
import { whenChanged } from "../../api/live.svelte";
import { Resource } from "../../api/resource.svelte";
import { remember } from "../../lib/colours.svelte";
import { runColour } from "../../lib/palette";
import { router } from "../../lib/router.svelte";
import { theme } from "../../lib/theme.svelte";
import { workspace } from "../../lib/workspace.svelte";
import { BUILT_IN, defaultColumns } from "./columns";

export type Row = Schemas["TableRow"];
export type Group = Schemas["GroupRow"];
export type Column = Schemas["Column"];
export type Sort = Schemas["SortKey"];

export type Item =
  | { kind: "run"; row: Row; depth: number }
  | { kind: "group"; group: Group; key: string; open: boolean };

const PAGE = 200;
const FIRST_SHOWN = 10;
const MOST_SHOWN = 100;

/** Lists of column and run ids in the address, which may hold anything. */
export const pack = (ids: readonly string[]): string => ids.map((id) => encodeURIComponent(id)).join("|");
export const unpack = (text: string): string[] => (text ? text.split("|").map(decodeURIComponent) : []);

/** The run table: what the address asks for, what was read, what is selected and shown. */
export class RunTable {
  rows = $state.raw<Row[]>([]);
  total = $state(0);
  groups = $state.raw<Group[]>([]);
  columns = new Resource<Schemas["Columns"]>();
  error = $state.raw<Failure | Error | null>(null);
  loading = $state(false);
  loaded = $state(false);
  selected = new SvelteSet<string>(unpack(router.get("sel")));
  opened = new SvelteMap<string, Row[]>();
  /** Runs that the address shows although they are on no page that was read. */
  #elsewhere = $state.raw<Row[]>([]);
  /** The pointer is over the table: nothing may move under it. */
  held = false;
  active = $state<string | null>(null);
  #sought = new Set<string>();
  #cursor: string | null = null;
  #aborter: AbortController | null = null;
  #before = "";

  // --- what the address asks for ---------------------------------------------------------------
  get project(): string {
    return workspace.project;
  }
  readonly filter = $derived.by(() => {
    const glob = router.get("name").trim();
    const text = router.get("q").trim();
    if (!glob) return text;
    const pattern = /[*?]/.test(glob) ? glob : `*${glob}*`;
    const name = `name ~ "${pattern.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
    return text ? `(${text}) and ${name}` : name;
  });
  readonly trashed = $derived(router.get("trash") === "1");
  readonly by = $derived(unpack(router.get("by")));
  readonly sort = $derived<Sort[]>(
    unpack(router.get("sort")).map((text) =>
      text.startsWith("-") ? { column: text.slice(1), descending: true } : { column: text, descending: false },
    ),
  );
  readonly differing = $derived(router.get("only") === "1");
  readonly chosen = $derived(router.query.has("cols") ? unpack(router.get("cols")) : null);
  readonly pinned = $derived(unpack(router.get("pin")));

  /** Ids of the columns that are shown, pinned ones first. */
  readonly shownColumns = $derived.by<string[]>(() => {
    const all = this.columns.data?.columns ?? [];
    let ids = this.chosen ?? defaultColumns(all, workspace.current?.metric ?? "");
    if (this.differing) {
      const known = new Map(all.map((c) => [c.id, c]));
      const differ = all.filter((c) => c.source === "config" && c.differs && !c.noise).map((c) => c.id);
      ids = [...new Set([...ids.filter((id) => known.get(id)?.differs ?? true), ...differ])].slice(0, 60);
    }
    return [...ids.filter((id) => this.pinned.includes(id)), ...ids.filter((id) => !this.pinned.includes(id))];
  });
  /** Those of them whose values the server has to send. */
  readonly asked = $derived(this.shownColumns.filter((id) => !BUILT_IN.has(id)));
  readonly place = $derived(new Map(this.asked.map((id, i) => [id, i])));

  readonly #request = $derived(
    JSON.stringify([this.project, this.filter, this.trashed, this.sort, this.by, this.asked]),
  );

  // --- rows ------------------------------------------------------------------------------------
  readonly items = $derived.by<Item[]>(() => {
    if (!this.by.length) return this.rows.map((row) => ({ kind: "run", row, depth: 0 }));
    return this.groups.flatMap((group): Item[] => {
      const key = JSON.stringify(group.key);
      const rows = this.opened.get(key);
      return [
        { kind: "group", group, key, open: !!rows },
        ...(rows ?? []).map((row): Item => ({ kind: "run", row, depth: 1 })),
      ];
    });
  });
  readonly byId = $derived(
    new Map([...this.#elsewhere, ...this.rows, ...[...this.opened.values()].flat()].map((row) => [row.id, row])),
  );

  /** Ids of the runs whose curves are drawn, in the order of the table. */
  readonly visible = $derived.by<string[]>(() => {
    const show = router.get("show");
    if (show === "none") return [];
    if (show === "all") return this.rows.slice(0, MOST_SHOWN).map((r) => r.id);
    if (show) return unpack(show).slice(0, MOST_SHOWN);
    if (this.by.length) return [];
    return this.rows.slice(0, FIRST_SHOWN).map((r) => r.id);
  });
  readonly visibleSet = $derived(new Set(this.visible));

  watch(): void {
    $effect(() => {
      const project = this.project;
      const filter = this.filter;
      const trashed = this.trashed;
      if (!project) return;
      untrack(() => void this.#loadColumns(project, filter, trashed));
    });
    $effect(() => {
      void this.#request;
      // Without the columns the default ones are not known yet: one request instead of two.
      if (!this.project || (!this.columns.data && !this.columns.error)) return;
      untrack(() => void this.reload());
    });
    $effect(() => {
      if (!this.loaded || !router.get("show")) return;
      const missing = this.visible.filter((id) => /^[0-9a-f]{32}$/.test(id) && !this.byId.has(id) && !this.#sought.has(id));
      if (missing.length) untrack(() => void this.#seek(missing));
    });
    $effect(() => {
      const chosen = [...this.selected];
      untrack(() => router.set({ sel: chosen.length <= 30 ? pack(chosen) : null }));
    });
    const ours = (change: Schemas["ChangeEvent"]) =>
      change.all || !change.projects.length || change.projects.includes(this.project);
    const waiting = new Set<string>();
    const patch = () => {
      const ids = [...waiting];
      waiting.clear();
      void this.#patch(ids);
    };
    whenChanged(
      (change) => {
        if (ours(change)) for (const id of change.runs) waiting.add(id);
        return ours(change);
      },
      patch,
      600,
    );
    whenChanged(ours, () => void this.#settle(), 4_000);
    whenChanged(ours, () => void this.#loadColumns(this.project, this.filter, this.trashed), 10_000);
  }

  async #loadColumns(project: string, filter: string, trashed: boolean): Promise<void> {
    await this.columns.load((signal) => post("/runs/columns", { project, filter, trashed }, {}, signal));
  }

  #query(limit: number, cursor: string | null): Schemas["RunsQuery"] {
    return {
      project: this.project, filter: this.filter, trashed: this.trashed, sort: this.sort,
      columns: this.asked, limit, cursor,
    };
  }

  async reload(): Promise<void> {
    this.#aborter?.abort();
    const aborter = (this.#aborter = new AbortController());
    this.loading = true;
    try {
      if (this.by.length) {
        const page = await post("/runs/groups", {
          project: this.project, filter: this.filter, trashed: this.trashed, by: this.by, columns: this.asked,
          sort: this.sort.filter((s) => this.by.includes(s.column) || this.asked.includes(s.column)), limit: 500,
        }, {}, aborter.signal);
        this.groups = page.rows;
        this.rows = [];
        this.total = page.total;
        for (const key of this.opened.keys()) if (!page.rows.some((g) => JSON.stringify(g.key) === key)) this.opened.delete(key);
        await Promise.all([...this.opened.keys()].map((key) => this.#loadGroup(key)));
      } else {
        const want = Math.min(1000, Math.max(PAGE, this.rows.length));
        const page = await post("/runs/query", this.#query(want, null), {}, aborter.signal);
        remember(page.rows);
        this.rows = page.rows;
        this.total = page.total;
        this.#cursor = page.cursor;
        this.opened.clear();
      }
      this.error = null;
      this.loaded = true;
    } catch (error) {
      if (!aborter.signal.aborted) this.error = error as Failure;
    } finally {
      if (!aborter.signal.aborted) this.loading = false;
    }
  }

  /** Read the next page when the table is scrolled near its end. */
  async more(): Promise<void> {
    if (!this.#cursor || this.loading || this.by.length) return;
    this.loading = true;
    const aborter = this.#aborter;
    try {
      const page = await post("/runs/query", this.#query(1000, this.#cursor), {}, aborter?.signal);
      remember(page.rows);
      const known = new Set(this.rows.map((r) => r.id));
      this.rows = [...this.rows, ...page.rows.filter((r) => !known.has(r.id))];
      this.#cursor = page.cursor;
    } catch (error) {
      if (!aborter?.signal.aborted) this.error = error as Failure;
    } finally {
      this.loading = false;
    }
  }

  /** New values of runs that are already in the table, in place; new runs on top. */
  async #patch(ids: string[]): Promise<void> {
    if (!ids.length || !this.loaded || this.by.length) return;
    try {
      const page = await post("/runs/query", { ...this.#query(1000, null), ids: ids.slice(0, 1000) });
      remember(page.rows);
      const fresh = new Map(page.rows.map((r) => [r.id, r]));
      const gone = new Set(ids.filter((id) => !fresh.has(id)));
      const kept = this.rows.filter((r) => !gone.has(r.id)).map((r) => fresh.get(r.id) ?? r);
      const known = new Set(kept.map((r) => r.id));
      const added = page.rows.filter((r) => !known.has(r.id));
      this.rows = [...added, ...kept];
      this.total += added.length + kept.length - this.rows.length;
    } catch {
      // The next change, or the next look, tries again.
    }
  }

  /** Read the runs that a shared link shows, wherever the table has them. */
  async #seek(ids: string[]): Promise<void> {
    for (const id of ids) this.#sought.add(id);
    try {
      const page = await post("/runs/query", { project: this.project, ids, limit: 1000 });
      remember(page.rows);
      this.#elsewhere = [...this.#elsewhere, ...page.rows];
    } catch {
      for (const id of ids) this.#sought.delete(id);
    }
  }

  async #settle(): Promise<void> {
    if (!this.held) await this.reload();
  }

  async toggleGroup(key: string): Promise<void> {
    if (this.opened.has(key)) this.opened.delete(key);
    else await this.#loadGroup(key);
  }

  async #loadGroup(key: string): Promise<void> {
    try {
      const within = { by: this.by, key: JSON.parse(key) as Group["key"] };
      const page = await post("/runs/query", { ...this.#query(500, null), within });
      remember(page.rows);
      this.opened.set(key, page.rows);
    } catch (error) {
      this.error = error as Failure;
    }
  }

  // --- what a person does ----------------------------------------------------------------------
  show(ids: readonly string[]): void {
    router.set({ show: ids.length ? pack(ids.slice(0, MOST_SHOWN)) : "none" });
  }

  /** Without a choice of runs, the first groups are drawn as mean and spread. */
  readonly drawnGroups = $derived(this.by.length && !router.get("show") ? this.groups.slice(0, FIRST_SHOWN) : []);

  groupColour(key: string): string {
    const at = this.drawnGroups.findIndex((g) => JSON.stringify(g.key) === key);
    return at < 0 ? "" : runColour(at + 1, theme.dark);
  }

  toggleShown(id: string): void {
    this.show(this.visibleSet.has(id) ? this.visible.filter((v) => v !== id) : [...this.visible, id]);
  }

  /** Show one run alone, or, when it is alone, what was shown before. */
  isolate(id: string): void {
    if (this.visible.length === 1 && this.visible[0] === id) {
      router.set({ show: this.#before });
    } else {
      this.#before = router.get("show");
      this.show([id]);
    }
  }

  select(id: string, on = !this.selected.has(id)): void {
    if (on) this.selected.add(id);
    else this.selected.delete(id);
  }

  selectTo(id: string, from: string | null): void {
    const ids = this.items.flatMap((item) => (item.kind === "run" ? [item.row.id] : []));
    const a = from === null ? -1 : ids.indexOf(from);
    const b = ids.indexOf(id);
    for (const each of ids.slice(Math.min(a < 0 ? b : a, b), Math.max(a, b) + 1)) this.selected.add(each);
  }

  sortBy(column: string, add: boolean): void {
    const old = this.sort.find((s) => s.column === column);
    const known = this.columns.data?.columns.find((c) => c.id === column);
    const first = known?.direction === "max" || known?.kind === "time" || column === "created";
    let rest = add ? this.sort.filter((s) => s.column !== column) : [];
    if (!old) rest = [...rest, { column, descending: first }];
    else if (old.descending === first) rest = [...rest, { column, descending: !first }];
    router.set({ sort: pack(rest.map((s) => (s.descending ? `-${s.column}` : s.column))) }, "push");
  }

  /** How a column is sorted, in the words of `aria-sort`. */
  orderOf(column: string): "ascending" | "descending" | "none" {
    const found = this.sort.find((s) => s.column === column);
    return found ? (found.descending ? "descending" : "ascending") : "none";
  }

  setColumns(ids: readonly string[]): void {
    router.set({ cols: pack(ids) });
  }

  move(column: string, before: string | null): void {
    const rest = this.shownColumns.filter((id) => id !== column);
    const at = before === null ? rest.length : rest.indexOf(before);
    rest.splice(at < 0 ? rest.length : at, 0, column);
    this.setColumns(rest);
  }

  pin(column: string): void {
    const on = !this.pinned.includes(column);
    router.set({ pin: pack(on ? [...this.pinned, column] : this.pinned.filter((id) => id !== column)), cols: pack(this.shownColumns) });
  }

  groupBy(columns: readonly string[]): void {
    this.opened.clear();
    router.set({ by: pack(columns) }, "push");
  }
}

export function checkFilter(filter: string, project: string, signal: AbortSignal): Promise<Schemas["FilterCheck"]> {
  return post("/runs/filter", { filter, project }, {}, signal);
}

export function checkName(project: string, name: string, run: string, signal: AbortSignal): Promise<Schemas["NameCheck"]> {
  return get("/names/check", {}, { project, name, run }, signal);
}
