/**
 * The colours of runs: twenty per theme, chosen by farthest-point search in OKLab under normal
 * vision and simulated deuteranopia, protanopia and tritanopia (Machado 2009, full severity). Each
 * has a contrast of at least 3:1 against its theme's background; `tests/palette.test.ts` checks it.
 */
export const LIGHT = [
  "#3568d0", "#fe5920", "#7f0327", "#550f95", "#1ea28f", "#9d4087", "#c50a00", "#ac77fa",
  "#0a7044", "#393e67", "#807eba", "#2c3ac3", "#559b1b", "#ec6485", "#d72764", "#663e9e",
  "#7963f5", "#9d658d", "#7b5aae", "#004e44",
] as const;

export const DARK = [
  "#6b9cfb", "#b0f039", "#ee4a36", "#fac6e2", "#b06abb", "#d3a23b", "#ee79a1", "#5f7bff",
  "#57a068", "#abd297", "#14bee0", "#17a478", "#d05fc8", "#d8742a", "#cfc200", "#c9559a",
  "#8479ee", "#89f3a2", "#78c072", "#e89fb5",
] as const;

/** The colour of the run with this number in its project (1 is the first). */
export function runColour(number: number, dark: boolean): string {
  const colours = dark ? DARK : LIGHT;
  return colours[(Math.max(1, number) - 1) % colours.length]!;
}
