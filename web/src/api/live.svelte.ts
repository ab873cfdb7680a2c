import type { Schemas } from "./client";

type Change = Schemas["ChangeEvent"];
type Listener = (change: Change) => void;

/** What changes in the workspace, as it changes; a lost connection is opened again. */
class Live {
  state = $state<"connecting" | "open" | "lost">("connecting");
  #source: EventSource | null = null;
  #listeners = new Set<Listener>();
  #last = "";
  #retry = 500;
  #timer: ReturnType<typeof setTimeout> | undefined;

  start(since: number): void {
    if (this.#source) return;
    if (!this.#last) this.#last = String(since);
    const source = (this.#source = new EventSource(`./api/v1/events?since=${this.#last}`));
    source.addEventListener("open", () => {
      this.state = "open";
      this.#retry = 500;
    });
    source.addEventListener("change", (event: MessageEvent<string>) => {
      if (event.lastEventId) this.#last = event.lastEventId;
      const change = JSON.parse(event.data) as Change;
      for (const listener of [...this.#listeners]) listener(change);
    });
    source.addEventListener("error", () => {
      // The browser would try again by itself, but gives up for good on some answers.
      source.close();
      this.#source = null;
      this.state = "lost";
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.start(0), this.#retry);
      this.#retry = Math.min(5_000, this.#retry * 2);
    });
  }

  /** Call `listener` on every change until the returned function is called; for `$effect`. */
  on(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export const live = new Live();

/** At most one call per `ms`; the last one is never lost. */
export interface Throttled {
  (): void;
  /** Forget what is waiting. */
  cancel(): void;
}

export function throttled(call: () => void, ms: number): Throttled {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let next = 0;
  const soon = () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = undefined;
      next = Date.now() + ms;
      call();
    }, Math.max(0, next - Date.now()));
  };
  return Object.assign(soon, { cancel: () => { clearTimeout(timer); timer = undefined; } });
}

/**
 * While a component lives: call `call`, at most once per `ms`, after changes that `concerns` it.
 */
export function whenChanged(concerns: (change: Change) => boolean, call: () => void, ms: number): void {
  const soon = throttled(call, ms);
  $effect(() => {
    const off = live.on((change) => { if (concerns(change)) soon(); });
    return () => { off(); soon.cancel(); };
  });
}
