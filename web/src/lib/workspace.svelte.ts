import { get, type Schemas } from "../api/client";
import { live, throttled } from "../api/live.svelte";
import { Resource } from "../api/resource.svelte";
import { router } from "./router.svelte";

/** The workspace, its projects, and which of them the pages are about. */
class Workspace {
  info = new Resource<Schemas["WorkspaceInfo"]>();
  /** The run that is lit up in every chart and table. */
  lit = $state<string | null>(null);

  get projects(): Schemas["ProjectRow"][] {
    return this.info.data?.projects ?? [];
  }

  /** Named in the address, else the one used last. */
  get project(): string {
    const asked = router.get("project");
    if (asked) return asked;
    return [...this.projects].sort((a, b) => b.last_t - a.last_t)[0]?.name ?? "";
  }

  get current(): Schemas["ProjectRow"] | null {
    return this.projects.find((p) => p.name === this.project) ?? null;
  }

  async start(): Promise<void> {
    const info = await this.#load();
    if (!info) {
      setTimeout(() => void this.start(), 2_000);
      return;
    }
    live.start(info.change);
    live.on(throttled(() => void this.#load(), 2_000));
  }

  #load(): Promise<Schemas["WorkspaceInfo"] | null> {
    return this.info.load((signal) => get("/workspace", undefined, undefined, signal));
  }
}

export const workspace = new Workspace();
