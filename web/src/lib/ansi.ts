/** Console text as a terminal shows it: carriage returns overwrite, colours are kept, the rest goes. */
export interface Piece {
  text: string;
  tone: "" | "red" | "green" | "yellow" | "blue" | "magenta" | "cyan" | "grey";
  bold: boolean;
}

const TONES: Record<number, Piece["tone"]> = {
  30: "grey", 31: "red", 32: "green", 33: "yellow", 34: "blue", 35: "magenta", 36: "cyan", 90: "grey",
  91: "red", 92: "green", 93: "yellow", 94: "blue", 95: "magenta", 96: "cyan",
};
// Colours (kept), other control sequences, operating system commands, lone escapes.
const SEQUENCE = /\x1b\[([\d;]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]/g;

/** What is left of lines on which a progress bar was drawn again and again. */
export function overwritten(text: string): string {
  if (!text.includes("\r")) return text;
  return text
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => line.split("\r").filter(Boolean).at(-1) ?? "")
    .join("\n");
}

export function pieces(text: string): Piece[] {
  const out: Piece[] = [];
  let tone: Piece["tone"] = "";
  let bold = false;
  let at = 0;
  const push = (part: string) => {
    const clean = part.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g, "");
    if (clean) out.push({ text: clean, tone, bold });
  };
  for (const match of text.matchAll(SEQUENCE)) {
    push(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[1] === undefined) continue;
    for (const code of (match[1] || "0").split(";").map(Number)) {
      if (code === 0) (tone = ""), (bold = false);
      else if (code === 1) bold = true;
      else if (code === 22) bold = false;
      else if (code === 39) tone = "";
      else if (TONES[code]) tone = TONES[code];
    }
  }
  push(text.slice(at));
  return out;
}
