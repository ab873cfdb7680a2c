/** Light, dark, or as the system says; kept in the browser. */
export type ThemeChoice = "system" | "light" | "dark";

const KEY = "epochal.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

class Theme {
  choice = $state<ThemeChoice>("system");
  #systemDark = $state(system.matches);

  constructor() {
    const kept = localStorage.getItem(KEY);
    if (kept === "light" || kept === "dark") this.choose(kept);
    system.addEventListener("change", (event) => (this.#systemDark = event.matches));
  }

  get dark(): boolean {
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

  toggle(): void {
    this.choose(this.dark ? "light" : "dark");
  }
}

export const theme = new Theme();
