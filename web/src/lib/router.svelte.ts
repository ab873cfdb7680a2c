/**
 * The address is the state of a page: `<base>/<page>?<query>`.
 *
 * Pages are one segment deep because assets are addressed relative to the page, which is what lets
 * the interface live behind any prefix.
 */
type Patch = Record<string, string | null | undefined>;

class Router {
  page = $state("");
  query = $state.raw(new URLSearchParams());

  constructor() {
    this.#read();
    addEventListener("popstate", () => this.#read());
    document.addEventListener("click", (event) => this.#click(event));
  }

  #read(): void {
    this.page = location.pathname.split("/").at(-1) ?? "";
    this.query = new URLSearchParams(location.search);
  }

  #click(event: MouseEvent): void {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey) return;
    if (event.shiftKey || event.altKey || !(event.target instanceof Element)) return;
    const anchor = event.target.closest("a");
    const href = anchor?.getAttribute("href");
    if (!anchor || !href || anchor.target || anchor.hasAttribute("download")) return;
    if (!href.startsWith("./") || href.startsWith("./api/")) return;
    event.preventDefault();
    this.go(href);
  }

  /** Follow a link such as `./run?id=…`; the new page starts at its top. */
  go(href: string): void {
    history.pushState(null, "", href);
    this.#read();
    scrollTo(0, 0);
  }

  /** Be at `href` instead of here. */
  replace(href: string): void {
    history.replaceState(null, "", href);
    this.#read();
  }

  get(name: string, fallback = ""): string {
    return this.query.get(name) ?? fallback;
  }

  /** Change parts of the query; null and "" remove one. Steps worth going back to are pushed. */
  set(patch: Patch, how: "replace" | "push" = "replace"): void {
    const query = new URLSearchParams(this.query);
    for (const [name, value] of Object.entries(patch)) {
      if (value === null || value === undefined || value === "") query.delete(name);
      else query.set(name, value);
    }
    const text = query.toString();
    if (text === this.query.toString()) return;
    const href = `./${this.page}${text ? `?${text}` : ""}`;
    if (how === "push") history.pushState(null, "", href);
    else history.replaceState(history.state, "", href);
    this.query = query;
  }
}

export const router = new Router();

/** A link to a page of ours. */
export function link(page: string, query: Patch = {}): string {
  const text = new URLSearchParams(
    Object.entries(query).filter((pair): pair is [string, string] => !!pair[1]),
  ).toString();
  return `./${page}${text ? `?${text}` : ""}`;
}
