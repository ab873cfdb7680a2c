import type { Failure } from "./client";

/**
 * Something that is read from the server and read again: what is shown stays until the new answer
 * is there, and of several requests under way only the last one counts.
 */
export class Resource<T> {
  data = $state.raw<T | null>(null);
  error = $state.raw<Failure | Error | null>(null);
  loading = $state(false);
  #aborter: AbortController | null = null;

  async load(request: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
    this.#aborter?.abort();
    const aborter = (this.#aborter = new AbortController());
    this.loading = true;
    try {
      const data = await request(aborter.signal);
      if (aborter.signal.aborted) return null;
      this.data = data;
      this.error = null;
      return data;
    } catch (error) {
      if (!aborter.signal.aborted) this.error = error as Error;
      return null;
    } finally {
      if (!aborter.signal.aborted) this.loading = false;
    }
  }

  clear(): void {
    this.#aborter?.abort();
    this.data = null;
    this.error = null;
    this.loading = false;
  }
}
