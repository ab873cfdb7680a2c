/**
 * The links that an MLflow client prints: addresses of MLflow's own page, at our root.
 *
 * They are behind the `#`, which no server sees, so the page follows them itself.
 */
import { link } from "./router.svelte";

/** Tells the project that stands for an experiment, "" where there is none. */
type ProjectOf = (experiment: string) => Promise<string>;

/** Our address for the part of an MLflow link from `#` on; null if it is no such link. */
export async function pageOfLink(hash: string, projectOf: ProjectOf = askProject): Promise<string | null> {
  const named = /^#\/experiments\/(\d+)(?:\/runs\/([0-9a-f]{32}))?(?=$|[/?])/.exec(hash);
  if (!named) return null;
  const [, experiment = "", run = ""] = named;
  const project = await projectOf(experiment);
  return run ? link("run", { id: run, project }) : link("runs", { project });
}

async function askProject(experiment: string): Promise<string> {
  try {
    const answer = await fetch(`./api/2.0/mlflow/experiments/get?experiment_id=${experiment}`);
    const { experiment: found } = (await answer.json()) as { experiment?: { name?: string } };
    return found?.name ?? "";
  } catch {
    return ""; // the page will say that the server does not answer
  }
}
