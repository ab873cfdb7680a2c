import type { Schemas } from "./client";

type Change = Schemas["ChangeEvent"];
type Listener = (change: Change) => void;

/** What the tabs of one browser tell each other. */
type Message =
  | { kind: "change"; id: string; change: Change }
  | { kind: "state"; state: Live["state"] }
  | { kind: "ask" };

const NAME = `epochal.events:${new URL(".", location.href).pathname}`;
/** How often a tab in sight asks whether the stream is still alive, in milliseconds. */
const ASK = 3_000;
const UNANSWERED = 3;

/**
 * What changes in the workspace, as it changes; a lost connection is opened again.
 *
 * A browser opens six connections to a server and no more, so its tabs share one stream: the tab
 * that holds the lock listens and tells the others. When it is closed, the next one has the lock
 * and goes on from where it was told last. A tab that holds it and does not answer, because a
 * dialog stops it, loses it.
 */
class Live {
  state = $state<"connecting" | "open" | "lost">("connecting");
  #source: EventSource | null = null;
  #listeners = new Set<Listener>();
  #last = "";
  #retry = 500;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Without locks, as on a plain address of another machine, each tab has a stream of its own. */
  #channel = "locks" in navigator ? new BroadcastChannel(NAME) : null;
  #leads = false;
  #waiting = new AbortController();
  #unanswered = 0;

  constructor() {
    this.#channel?.addEventListener("message", (event: MessageEvent<Message>) => this.#hear(event.data));
  }

  start(since: number): void {
    if (!this.#last) this.#last = String(since);
    if (!this.#channel) {
      this.#leads = true;
      return this.#open();
    }
    void this.#lead();
    this.#say({ kind: "ask" });
    setInterval(() => this.#ask(), ASK);
  }

  /** Wait for the lock, and listen while this tab has it. */
  async #lead(steal = false): Promise<void> {
    this.#waiting.abort();
    const { signal } = (this.#waiting = new AbortController());
    const held = () => {
      this.#leads = true;
      this.#open();
      return new Promise<never>(() => {});
    };
    try {
      await navigator.locks.request(NAME, steal ? { steal } : { signal }, held);
    } catch {
      if (!this.#leads) return; // it was this tab that stopped waiting
      this.#leads = false;
      this.#close();
      void this.#lead();
    }
  }

  #say(message: Message): void {
    this.#channel?.postMessage(message);
  }

  #hear(message: Message): void {
    if (message.kind === "ask") {
      if (!this.#leads) return;
      // A tab in the background has slow timers: whoever asks also makes it try again.
      if (!this.#source) this.#open();
      return this.#say({ kind: "state", state: this.state });
    }
    if (this.#leads) return;
    this.#unanswered = 0;
    if (message.kind === "state") this.state = message.state;
    else this.#tell(message.id, message.change);
  }

  #ask(): void {
    if (this.#leads || document.hidden) return;
    if (++this.#unanswered > UNANSWERED) {
      this.#unanswered = 0;
      void this.#lead(true);
    } else this.#say({ kind: "ask" });
  }

  #be(state: Live["state"]): void {
    this.state = state;
    this.#say({ kind: "state", state });
  }

  #tell(id: string, change: Change): void {
    if (id) this.#last = id;
    for (const listener of [...this.#listeners]) listener(change);
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #open(): void {
    this.#close();
    const source = (this.#source = new EventSource(`./api/v1/events?since=${this.#last}`));
    source.addEventListener("open", () => {
      this.#be("open");
      this.#retry = 500;
    });
    source.addEventListener("change", (event: MessageEvent<string>) => {
      const change = JSON.parse(event.data) as Change;
      this.#say({ kind: "change", id: event.lastEventId, change });
      this.#tell(event.lastEventId, change);
    });
    source.addEventListener("error", () => {
      // The browser would try again by itself, but gives up for good on some answers.
      this.#close();
      this.#be("lost");
      this.#timer = setTimeout(() => this.#open(), this.#retry);
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
