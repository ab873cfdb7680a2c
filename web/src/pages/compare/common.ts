import type { Schemas } from "../../api/client";
import type { Line } from "../../charts/curves";

interface Curve {
  id: string;
  label: string;
  colour: string;
  points: readonly (readonly unknown[])[];
}

const finite = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** Curves of (x, y) pairs on the union of their x; values that are not finite are gaps. */
export function common(curves: readonly Curve[]): { x: number[]; lines: Line[] } {
  const x = [...new Set(curves.flatMap((c) => c.points.map((p) => Number(p[0]))))].sort((a, b) => a - b);
  return {
    x,
    lines: curves.map(({ id, label, colour, points }) => {
      const at = new Map(points.map((p) => [Number(p[0]), finite(p[1])]));
      return { id, label, colour, y: x.map((v) => at.get(v) ?? null) };
    }),
  };
}

export interface Evaluated {
  run: string;
  digest: string;
}

/** The runs of a column that have an evaluation, with its digest. */
export function evaluationPair(column: Schemas["EvaluationColumn"]): Evaluated[] {
  return column.evaluations.flatMap((e) => (e ? [{ run: e.run, digest: e.digest }] : []));
}
