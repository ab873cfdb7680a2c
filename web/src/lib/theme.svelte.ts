import { flushSync } from "svelte";

/** Light, dark, or as the system says; kept in the browser. */
export type ThemeChoice = "system" | "light" | "dark";

const KEY = "epochal.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

class Theme {
  /** Paper is light. */
  #printing = $state(false);
  choice = $state<ThemeChoice>("system");
  #systemDark = $state(system.matches);

  constructor() {
    const kept = localStorage.getItem(KEY);
    if (kept === "light" || kept === "dark") this.choose(kept);
    system.addEventListener("change", (event) => (this.#systemDark = event.matches));
    // What is drawn on a canvas takes its colours before the page is laid out as a print.
    addEventListener("beforeprint", () => this.#print(true));
    addEventListener("afterprint", () => this.#print(false));
  }

  get dark(): boolean {
    if (this.#printing) return false;
    return this.choice === "system" ? this.#systemDark : this.choice === "dark";
  }

  choose(choice: ThemeChoice): void {
    this.choice = choice;
    if (choice === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
    const root = document.documentElement;
    if (choice === "system") delete root.dataset["theme"];
    else root.dataset["theme"] = choice;
  }

  #print(on: boolean): void {
    document.documentElement.dataset["theme"] = "light";
    flushSync(() => (this.#printing = on));
    if (!on) this.choose(this.choice);
  }

  toggle(): void {
    this.choose(this.dark ? "light" : "dark");
  }
}

export const theme = new Theme();
