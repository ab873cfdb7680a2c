/** What belongs to this browser rather than to a shared link: column widths, saved views. */
function read<T>(name: string, fallback: T): T {
  try {
    const kept = localStorage.getItem(`epochal.${name}`);
    return kept === null ? fallback : (JSON.parse(kept) as T);
  } catch {
    return fallback; // a damaged preference is no preference
  }
}

export class Preference<T> {
  #name: string;
  #value: T;

  constructor(name: string, fallback: T) {
    this.#name = name;
    this.#value = $state.raw(read(name, fallback));
  }

  get value(): T {
    return this.#value;
  }

  set value(value: T) {
    this.#value = value;
    localStorage.setItem(`epochal.${this.#name}`, JSON.stringify(value));
  }
}
