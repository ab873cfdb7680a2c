/** Short notices at the foot of the page, some with a way back. */
export interface Toast {
  id: number;
  text: string;
  tone: "plain" | "bad";
  undo?: () => void | Promise<void>;
}

class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;

  show(text: string, options: { undo?: Toast["undo"]; tone?: Toast["tone"] } = {}): void {
    const toast: Toast = { id: this.#next++, text, tone: options.tone ?? "plain", undo: options.undo };
    this.list = [...this.list.slice(-3), toast];
    setTimeout(() => this.dismiss(toast.id), options.undo ? 10_000 : 5_000);
  }

  bad(error: unknown): void {
    this.show(error instanceof Error ? error.message : String(error), { tone: "bad" });
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
