/** The colour of a token as a canvas takes it, in the theme of the moment. */
let probe: HTMLElement | null = null;

export function token(name: string): string {
  if (!probe) {
    probe = document.createElement("i");
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
