/** A filter that is a plain list of comparisons joined by `and`, as chips. */
export interface Chip {
  field: string;
  operator: string;
  value: string;
}

/** The comparisons of `text`, or null where it is more than such a list. */
export function chips(text: string): string[] | null {
  const parts: string[] = [];
  let part = "";
  let quote = "";
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote) {
      if (c === "\\") {
        part += c + (text[++i] ?? "");
        continue;
      }
      if (c === quote) quote = "";
    } else if (c === '"' || c === "'") quote = c;
    else if (c === "(" || c === "[") depth += 1;
    else if (c === ")" || c === "]") depth -= 1;
    else if (!depth) {
      const word = /^\s(and|or)\s/i.exec(text.slice(i))?.[1]?.toLowerCase();
      if (word === "or") return null;
      if (word === "and") {
        parts.push(part);
        part = "";
        i += 4;
        continue;
      }
    }
    part += c;
  }
  parts.push(part);
  return parts.map((p) => p.trim()).filter(Boolean);
}

export const joined = (parts: readonly string[]): string => parts.join(" and ");
